"""What an event-sourced actor has decided and may not say yet."""

from asyncio import AbstractEventLoop, Future
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog

from ...events.log import (
    Appended,
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


class Entry:
    """One decision: its events on their way to the disk, and the answer held back."""

    __slots__ = (
        "_journal",
        "answer",
        "appends",
        "command",
        "events",
        "origin",
        "outcome",
        "refusal",
        "reply",
        "snapshot",
        "undo",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - all that a decision is; a hot path
        self,
        journal: "Journal",
        command: Message,
        reply: Reply | None,
        origin: Origin | None,
        answer: Any = None,
        appends: Sequence[StreamAppend] = (),
        events: int = 0,
        undo: Callable[[], None] | None = None,
    ) -> None:
        self._journal = journal
        self.command = command
        self.reply = reply
        self.origin = origin
        self.answer = answer
        self.refusal: Exception | None = None
        """The answer is this error instead."""
        self.appends = appends
        self.events = events
        self.snapshot: Any = None
        """The state after it, where a snapshot is due."""
        self.undo = undo
        """Takes the tentative change of state back."""
        self.outcome: Appended | LogError | None = None if events else NO_EVENTS

    def done(self, outcome: Appended | LogError) -> None:
        """Take the outcome: the log's call, on the loop."""
        self.outcome = outcome
        self._journal.arrived()

    def say(self) -> None:
        """Give the answer."""
        reply = self.reply
        if reply is None:
            return
        if self.refusal is not None:
            refuse(reply, self.refusal)
        elif reply.done():
            self._journal.late(self.command)
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
