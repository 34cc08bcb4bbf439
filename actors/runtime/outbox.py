"""What an event-sourced actor has decided and may not say yet."""

from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
import structlog

from ...events.log import (
    Appended,
    IdempotencyKey,
    KeyTakenError,
    LogError,
    LogUnavailableError,
    OutcomeUnknownError,
    StreamAppend,
)
from .mailbox import Item, Reply, refuse
from .messages import Message
from .origin import Origin

if TYPE_CHECKING:
    from .journal import Journal

_log = structlog.get_logger(__name__)

NO_EVENTS: Final = Appended(0, 0)
"""The outcome of a decision without events: it only waits for those before it."""


class Decided(Protocol):
    """What a journal wants to know of a decision besides its events."""

    @property
    def reply(self) -> Any:
        """The answer to the command."""
        ...

    @property
    def keys(self) -> Sequence[IdempotencyKey]:
        """The idempotency keys that it uses."""
        ...


Known = tuple[str, Any, int]
"""A stream with its state (None: not here) and version."""


Made = tuple[Message, Reply | None, Origin, Sequence[StreamAppend], Sequence[Known]]
"""A decision: its command as it lay in the mailbox, with who waits for the answer and
where it comes from; what it appends, and what its streams were before, by which it can
be taken back. A plain tuple, for one is made for each."""


class Entry(msgspec.Struct, eq=False):
    """Decisions that share an append: on their way to the disk, with their answers.

    One without events is alone: it only waits for those before it. The collector sees
    it: it refers to its journal, and an error in `react` to it.
    """

    journal: "Journal"
    made: list[Made]
    answers: list[tuple[Reply, Any, Message]]
    """Who waits for which answer, and to what."""
    events: int = 0
    outcome: Appended | LogError | None = None
    closes: bool = False
    """Whether it may end a stream."""
    snapshots: list[Known] = []
    """What streams are after it or some of it, where a snapshot is due."""
    refusal: Exception | None = None
    """The answer is this error instead."""

    def done(self, outcome: Appended | LogError) -> None:
        """Take the outcome: the log's call, on the loop."""
        self.outcome = outcome
        if not self.journal.signalled:
            self.journal.arrived()

    def say(self) -> None:
        """Give the answers."""
        for reply, answer, command in self.answers:
            if self.refusal is not None:
                refuse(reply, self.refusal)
            elif reply.done():
                self.journal.late(command)
            else:
                reply.set_result(answer)

    def refuse(self, error: BaseException) -> None:
        """Answer with an error."""
        for reply, _, _ in self.answers:
            refuse(reply, error)

    def say_taken(self, error: KeyTakenError, actor: str) -> None:
        """Tell the asker; a command that was told leaves a line in the log."""
        for command, reply, *_ in self.made:
            if reply is None:
                name = type(command).__name__
                _log.info("command.key_taken", actor=actor, command=name)
        self.refuse(error)

    @property
    def appends(self) -> Iterator[StreamAppend]:
        """What is appended, stream by stream."""
        return chain.from_iterable([made[3] for made in self.made])

    @property
    def items(self) -> list[Item]:
        """The commands as they lay in the mailbox."""
        return [made[:3] for made in self.made]


class Outbox:
    """The decisions whose answers are held back, in order."""

    __slots__ = ("_lost", "_waiting", "entries")

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self._lost = False
        """Whether a decision came to nothing since the end."""
        self._waiting: list[Future[None]] = []

    def hold_back(
        self, journal: "Journal", made: Made, answer: Any, refusal: Exception | None
    ) -> None:
        """Keep a decision without events, whose answer waits for those before it."""
        command, reply, *_ = made
        answers = [] if reply is None else [(reply, answer, command)]
        entry = Entry(journal, [made], answers, outcome=NO_EVENTS, refusal=refusal)
        self.entries.append(entry)

    async def emptied(self, loop: AbstractEventLoop) -> None:
        """Wait until nothing is held back."""
        while self.entries:
            waiter: Future[None] = loop.create_future()
            self._waiting.append(waiter)
            await waiter

    def taken(self) -> None:
        """Wake those who wait, if nothing is held back."""
        if self.entries or not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def abandon(self) -> None:
        """Tell those who wait that nobody knows; what the log says later is lost."""
        error = OutcomeUnknownError(
            "the actor stopped before the log answered: read its stream to see",
        )
        for entry in self.entries:
            entry.refuse(error)
        self.entries.clear()
        self.taken()

    def wind_up(self, error: BaseException) -> None:
        """After the end, tell the truth to those who wait as far as it is known.

        What became durable is answered. What came to nothing, and what stood on it,
        gets `error`, or the log's own where that says more.
        """
        entries = self.entries
        while entries and entries[0].outcome is not None:
            entry = entries.popleft()
            outcome = entry.outcome
            if isinstance(outcome, Appended) and (entry.events or not self._lost):
                entry.say()
                continue
            self._lost = True
            if isinstance(outcome, (LogUnavailableError, KeyTakenError)):
                entry.refuse(outcome)
            else:
                entry.refuse(error)
        self.taken()
