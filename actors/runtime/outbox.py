"""What an event-sourced actor has decided and may not say yet."""

from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Sequence
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


class Entry(msgspec.Struct, eq=False):
    """One decision: its events on their way to the disk, and the answer held back.

    The collector sees it: it refers to its journal, and an error in `react` to it.
    """

    journal: "Journal"
    command: Message
    reply: Reply | None
    origin: Origin | None
    answer: Any = None
    appends: Sequence[StreamAppend] = ()
    events: int = 0
    before: Sequence[Known] = ()
    """What its streams were before, by which it can be taken back."""
    outcome: Appended | LogError | None = None
    closes: bool = False
    """Whether it ends a stream."""
    snapshot: Any = None
    """The state after it, where a snapshot is due."""
    refusal: Exception | None = None
    """The answer is this error instead."""

    def done(self, outcome: Appended | LogError) -> None:
        """Take the outcome: the log's call, on the loop."""
        self.outcome = outcome
        if not self.journal.signalled:
            self.journal.arrived()

    def say(self) -> None:
        """Give the answer."""
        reply = self.reply
        if reply is None:
            return
        if self.refusal is not None:
            refuse(reply, self.refusal)
        elif reply.done():
            self.journal.late(self.command)
        else:
            reply.set_result(self.answer)

    def say_taken(self, error: KeyTakenError, actor: str) -> None:
        """Tell the asker; a command that was told leaves a line in the log."""
        if self.reply is None:
            command = type(self.command).__name__
            _log.info("command.key_taken", actor=actor, command=command)
        refuse(self.reply, error)

    @property
    def item(self) -> Item:
        """The command as it lay in the mailbox."""
        return (self.command, self.reply, self.origin)


class Outbox:
    """The decisions whose answers are held back, in order."""

    __slots__ = ("_lost", "_waiting", "entries")

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self._lost = False
        """Whether a decision came to nothing since the end."""
        self._waiting: list[Future[None]] = []

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
            refuse(entry.reply, error)
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
                refuse(entry.reply, outcome)
            else:
                refuse(entry.reply, error)
        self.taken()
