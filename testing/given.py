"""Given events, when a command comes, then events: deciders without a system."""

import copy
from typing import Any, Generic, Self, TypeVar, overload

from ..actors.runtime import (
    CommandRejectedError,
    Decision,
    EventSourced,
    Message,
    Origin,
    StreamOwner,
    Write,
)
from ..events import Event
from .deciding import NOW_US, DecidingContext, Setting, decided_by
from .given_streams import GivenStreams
from .outcomes import Outcome
from .purity import alike, folded, shown, untouched

S = TypeVar("S")


@overload
def given(actor: EventSourced[S], *before: Event) -> "Given[S]": ...


@overload
def given(actor: StreamOwner[S], *before: Write) -> GivenStreams[S]: ...


def given(actor: Any, *before: Any) -> Any:
    """Begin with an event-sourced actor and what has happened before.

    For an `EventSourced` that is events of its stream, for a `StreamOwner` a `Write`
    for each stream. No system is started, `starting` is not called, and nothing has
    effects. While folding and deciding the kit sees to it that states are not changed
    in place and that folds and deciders are pure; it raises `ImpureError` if not::

        given(Account(), Deposited(5)).when(Withdraw(3)).then(Withdrawn(3))
    """
    kind: type[Any] = GivenStreams if isinstance(actor, StreamOwner) else Given
    return kind(actor).after(*before)


class Given(Generic[S]):
    """An event-sourced actor at a point of its history."""

    def __init__(self, actor: EventSourced[S]) -> None:
        self._actor = actor
        self.state: S = actor.fold.initial(actor.stream)
        """The fold of all events so far."""
        self.version = 0
        """How many these were."""

    def after(self, *events: Event) -> Self:
        """Go on by these events."""
        for event in events:
            self.version += 1
            self.state = folded(
                self._actor.fold, self._actor.stream, self.state, event, self.version
            )
        return self

    def when(
        self,
        command: Message,
        *,
        now_us: int = NOW_US,
        now_s: float = 0.0,
        seed: int = 0,
        origin: Origin | None = None,
    ) -> "Decided[S]":
        """Decide about `command`; the rest is what the context hands out."""
        setting = Setting(
            now_us=now_us, now_s=now_s, seed=seed, origin=origin or Origin()
        )
        told = f"{shown(command)} on {shown(self.state)}"
        decided_by(self._actor, command)

        def decide() -> Decision:
            context = DecidingContext(setting)
            self._actor.ctx = context
            return self._actor.decide(self.state, command, context)

        try:
            decision = untouched(f"decide of {told}", self.state, decide)
            alike(f"decide of {told}", decision, decide())
        except CommandRejectedError as error:
            return Decided(self, told, None, error)
        next_one = copy.copy(self).after(*decision.events)
        return Decided(next_one, told, decision, None)


class Decided(Outcome[Decision], Generic[S]):
    """What an event-sourced actor decided, and what a test expects of that."""

    def __init__(
        self,
        given: Given[S],
        told: str,
        decision: Decision | None,
        error: CommandRejectedError | None,
    ) -> None:
        super().__init__(told, decision, error)
        self._given = given

    @property
    def state(self) -> S:
        """The state after the decision."""
        return self._given.state

    def then(self, *events: Event) -> Self:
        """Expect exactly these events, in order."""
        if self.decision.events != events:
            self._differs("was decided otherwise", events, self.decision.events)
        return self

    def then_nothing(self) -> Self:
        """Expect no events; there may be a reply."""
        return self.then()

    def then_state(self, state: S) -> Self:
        """Expect this state after the events."""
        if self.state != state:
            self._differs("led to another state", state, self.state)
        return self

    def when(self, command: Message, **setting: Any) -> "Decided[S]":
        """Go on with another command; a refused one has changed nothing."""
        return self._given.when(command, **setting)
