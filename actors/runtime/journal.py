"""The journal of an event-sourced actor: from decisions to durable events and effects.

An actor decides on its tentative state and goes on; its decisions are in the outbox until
the log says that they are durable. Those made shortly one after the other share an append
and an `Entry`. The log's `done` only notes the outcome and asks the pump for one turn of
the cell, in which answers are given and `react` is called, in order. No future and no task
is made for an event.

When an append is rejected the actor fails: its incarnation is revoked, whoever waits for
an answer gets the error, and its supervisor has it rebuilt from the log. A taken
idempotency key is no failure: its asker gets the error, what was decided on the strength
of it is taken back and decided anew. When the log is unavailable the actor is suspended
and rebuilt as soon as the log is back.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ...events import Event
from ...events.log import (
    Appended,
    Context,
    EventLog,
    Incarnation,
    KeyTakenError,
    LogError,
    LogUnavailableError,
    StreamAppend,
)
from .cell import Cell
from .mailbox import refuse
from .messages import Message
from .origin import NOWHERE, Origin
from .outbox import Decided, Entry, Known, Outbox
from .unwinding import refuse_asks, unwound

if TYPE_CHECKING:
    from ...events.log.pending import Pending

SETTLED_MAX: Final = 16
"""Decisions whose effects happen in one turn of an actor, but for those that share the
append of the last of them."""


class Journal(ABC):
    """The events of one life of an event-sourced actor."""

    __slots__ = (
        "_cell",
        "_context",
        "_growing",
        "_incarnation",
        "_log",
        "_now_us",
        "_outbox",
        "_owned",
        "_paused",
        "_react",
        "_revoked",
        "_undurable",
        "_undurable_max",
        "_unwinding",
        "signalled",
    )

    def __init__(
        self,
        context: Any,
        react: Callable[[str, Event, Any], None],
        *,
        owned: str,
        pipelined: bool,
        undurable_max: int,
    ) -> None:
        system = context.system
        self._cell: Cell = context.cell
        self._context = context
        self._react = react
        """Does what a durable event brings about."""
        self._owned = owned  # a stream, or the prefix of all of them
        self._now_us = self._cell.pump.clock.now_us
        self._log: EventLog = system.needed_log(self._cell.path)
        self._undurable_max = max(1, undurable_max) if pipelined else 1
        self._incarnation = Incarnation()
        self._outbox = Outbox()
        self._growing: Pending | None = None
        """The append of the last entry, while it may take further decisions in."""
        self._undurable = 0
        self.signalled = False
        """Whether a turn is due in which all known outcomes are worked off."""
        self._paused = False
        self._unwinding = False
        self._revoked: BaseException | None = None

    # What the two kinds of event-sourced actors do in their ways

    @abstractmethod
    async def _recover(self) -> None:
        """Read the state from the log."""

    @abstractmethod
    def _resume(self) -> None:
        """Do what the recovered state still owes."""

    @abstractmethod
    def command(self, message: Message) -> None:
        """Decide about `message`; its answer is given later."""

    @abstractmethod
    def _ended(self, entry: Entry, appended: Appended) -> None:
        """Keep a snapshot or forget closed streams, once all reactions have run."""

    @abstractmethod
    def _apply(self, append: StreamAppend) -> None:
        """Fold events into the tentative state."""

    @abstractmethod
    def _put_back(self, stream: str, state: Any, version: int) -> None:
        """Return a stream to what it was before a decision."""

    # Coming up and going down

    async def recover(self) -> None:
        """Claim what is owned and read it; at most so many actors of a system read."""
        system, log = self._context.system, self._log
        await log.claim(self._owned)
        epoch = log.epoch
        async with system.recoveries:
            await self._recover()
        system.journals[self] = None
        if not log.available or log.epoch != epoch:
            self.revoke(self.unavailable())
        self._check()

    def resume(self) -> None:
        """Do what the recovered state still owes; raises if the log failed meanwhile."""
        self._check()
        self._resume()

    def _check(self) -> None:
        if self._revoked is not None:
            raise self._revoked

    async def drain(self) -> None:
        """Wait until all that was decided is durable, with its effects, or lost."""
        await self._outbox.emptied(self._cell.pump.loop)

    def abandon(self) -> None:
        """Wait no longer for a log that may not answer, and let others own the streams."""
        self._growing = None
        self._outbox.abandon()
        self._log.disclaim(self._owned)

    def unavailable(self, _: object = None) -> LogUnavailableError:
        """Return the error for those who ask while the log cannot be written."""
        return LogUnavailableError(
            f"{self._cell.path} waits until its log can be written: ask again then",
        )

    def suspend(self) -> None:
        """Stop deciding until the log is back: the system's call when it fails."""
        cell = self._cell
        self.revoke(self.unavailable())
        if cell.state == "running":
            cell.state = "suspended"
            cell.refusal = self.unavailable
            cell.hold()
            refuse_asks(cell, self.unavailable)

    def revoke(self, error: BaseException) -> None:
        """End this life: queued appends are refused, nobody reacts any more."""
        if self._revoked is None:
            self._revoked = error
            self.signalled = False
            self._context.system.journals.pop(self, None)
            self._incarnation.revoked = True
            self._growing = None
            self._outbox.wind_up(error)

    # Deciding

    def answer(self, command: Message, answer: Any) -> None:
        """Answer a decision without events: at once, or after those before it."""
        cell = self._cell
        if not self._outbox.entries:
            cell.answer(answer, command)
            return
        self._hold_back(command, answer)

    def refuse(self, command: Message, error: Exception) -> None:
        """Refuse a command, after the decisions before it are durable."""
        if self._outbox.entries:
            self._hold_back(command, refusal=error)
        else:
            reply, self._cell.reply = self._cell.reply, None
            refuse(reply, error)

    def _hold_back(
        self, command: Message, answer: Any = None, refusal: Exception | None = None
    ) -> None:
        """Have an answer wait for all decisions before it."""
        cell = self._cell
        reply, cell.reply = cell.reply, None
        made = (command, reply, cell.origin or NOWHERE, (), ())
        self._outbox.hold_back(self, made, answer, refusal)
        self._growing = None  # what is decided from now on is answered after it

    def stamp(self) -> Context:
        """Return who decides now, when and why."""
        origin = self._cell.origin or NOWHERE
        at_us = self._context.at_us
        return Context(at_us, origin.by, origin.owner, origin.corr, origin.cause)

    def submit(
        self,
        command: Message,
        decision: Decided,
        appends: Sequence[StreamAppend],
        before: Sequence[Known],
        events: int,
    ) -> Entry:
        """Send a decision to the log and hold its answer back.

        Decisions share an append for as long as the log lets one grow: it costs the
        log, its writer and this journal as much for one decision as for many.
        """
        cell, growing = self._cell, self._growing
        reply, origin = cell.reply, cell.origin or NOWHERE
        made = (command, reply, origin, appends, before)
        if growing is not None and not decision.keys and growing.extend(appends):
            entry = self._outbox.entries[-1]
            entry.made.append(made)
        else:
            entry = Entry(self, [made], [])
            self._outbox.entries.append(entry)
            self._growing = self._log.submit(
                appends,
                appends[0].context or Context(self._context.at_us),
                entry.done,
                keys=decision.keys,
                incarnation=self._incarnation,
            )
        if reply is not None:
            cell.reply = None
            entry.answers.append((reply, decision.reply, command))
        entry.events += events
        self._undurable = undurable = self._undurable + events
        if undurable >= self._undurable_max or self._log.congested:
            self._paused = True
            cell.hold()
        return entry

    # Settling

    def late(self, command: Message) -> None:
        """Count an answer that nobody waits for any more."""
        self._cell.pump.dead(self._cell, command, "late_reply")

    def arrived(self) -> None:
        """Note that an entry's outcome is known; its effects are for a turn."""
        if self._revoked is not None:
            self._outbox.wind_up(self._revoked)
        else:
            self.signalled = True
            self._cell.signal(self.settle)

    def settle(self) -> None:
        """Give answers and react, in order, as far as events are durable."""
        self.signalled = False
        outbox = self._outbox.entries
        left = SETTLED_MAX
        while outbox and self._revoked is None:
            entry = outbox[0]
            outcome = entry.outcome
            if outcome is None:
                break
            if not left:
                self.arrived()
                break
            left = max(0, left - len(entry.made))
            if isinstance(outcome, Appended):
                outbox.popleft()
                entry.say()
                if entry.events:
                    self._settle(entry, outcome)
            elif not self._handle(outcome):
                break
        self._outbox.taken()
        undurable = self._undurable
        full = undurable >= self._undurable_max or self._log.congested
        if self._paused and not self._unwinding and not (undurable and full):
            self._paused = False
            if self._cell.state == "running":
                self._cell.release()

    def _settle(self, entry: Entry, appended: Appended) -> None:
        """React to each event of decisions that share an append."""
        self._undurable -= entry.events
        pump = self._cell.pump
        pump.current = self._cell
        react, context = self._react, self._context
        try:
            for _, _, origin, appends, _ in entry.made:
                if self._revoked is not None:
                    break  # by an effect: what is left is for the next life to resume
                for append in appends:
                    stream, version = append.stream, append.expected
                    owner = append.context.owner if append.context else origin.owner
                    for event in append.events:
                        version += 1
                        pump.origin = Origin(
                            origin.corr,
                            origin.by,
                            owner,
                            (stream, version),
                            origin.deadline_s,
                        )
                        react(stream, event, context)
        finally:
            pump.current = pump.origin = None
        if entry.closes or entry.snapshots:
            self._ended(entry, appended)

    def _handle(self, error: LogError) -> bool:
        """Deal with an append that came to nothing; tell whether to go on."""
        if isinstance(error, KeyTakenError):
            return self._unwind()
        if isinstance(error, LogUnavailableError):
            self.suspend()
        else:
            self._cell.fail(error)
        return False

    def _unwind(self) -> bool:
        """Take back a decision whose key was taken, once nothing is in flight."""
        self._incarnation.revoked = True
        self._growing = None
        outbox = self._outbox.entries
        if any(entry.outcome is None for entry in outbox):
            if not self._unwinding:
                self._unwinding = self._paused = True
                self._cell.hold()
            return False
        again, events = unwound(outbox, self._put_back, self._apply, self._cell.path)
        self._undurable -= events
        self._incarnation = Incarnation()
        self._unwinding = False
        self._cell.put_first(again)
        return True
