"""What a decider was found to do, and what a test says of it."""

import re
from typing import Any, Generic, NoReturn, Self, TypeVar

from ..actors.runtime import CommandRejectedError
from ..events.log import IdempotencyKey
from .differences import differences
from .errors import ExpectationError

D = TypeVar("D")


class Outcome(Generic[D]):
    """A decision, or the error with which the command was refused."""

    def __init__(
        self, told: str, decision: D | None, error: CommandRejectedError | None
    ) -> None:
        self._told = told
        self._decision = decision
        self.error = error
        """Why the command was refused; None: it was not."""

    @property
    def decision(self) -> D:
        """What was decided. Raises `ExpectationError` if the command was refused."""
        if self._decision is None:
            message = f"{self._told} was refused: {self.error!r}"
            raise ExpectationError(message) from self.error
        return self._decision

    def then_reply(self, reply: object) -> Self:
        """Expect this answer."""
        found: Any = self.decision
        if found.reply != reply:
            self._differs("was answered otherwise", reply, found.reply)
        return self

    def then_keys(self, *keys: IdempotencyKey) -> Self:
        """Expect these idempotency keys to be taken, in any order."""
        found: Any = self.decision
        if set(found.keys) != set(keys):
            self._differs("takes other keys", keys, found.keys)
        return self

    def then_rejected(
        self,
        kind: type[CommandRejectedError] = CommandRejectedError,
        match: str = "",
    ) -> Self:
        """Expect a refusal by `kind` with a message in which `match` is found."""
        if self.error is None:
            message = f"{self._told} was not refused but decided: {self._decision!r}"
            raise ExpectationError(message)
        if not isinstance(self.error, kind) or not re.search(match, str(self.error)):
            message = (
                f"{self._told} was to be refused by {kind.__name__} and {match!r}, "
                f"and was by {self.error!r}"
            )
            raise ExpectationError(message) from self.error
        return self

    def _differs(self, what: str, expected: object, found: object) -> NoReturn:
        shown = differences(expected, found, "expected", "decided")
        raise ExpectationError(f"{self._told} {what}:\n{shown}")
