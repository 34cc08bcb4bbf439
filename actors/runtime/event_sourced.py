"""The event-sourced actor: it decides, and its events are what it is."""

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from ...events import Event, Fold
from ...events.log import Appended, IdempotencyKey, StreamAppend
from .actor import Actor
from .errors import CommandRejectedError
from .handlers import handlers_of
from .journal import Journal
from .messages import Message
from .outbox import Entry
from .recovery import evolved, recovered
from .snapshots import Snapshots

if TYPE_CHECKING:
    from .context import ActorContext

S = TypeVar("S")


class Decision(msgspec.Struct, frozen=True):
    """What a command leads to: all of it becomes durable, or nothing happened."""

    events: tuple[Event, ...] = ()
    reply: Any = None
    """Answers an ask, once all that was decided so far is durable."""
    keys: tuple[IdempotencyKey, ...] = ()
    """If one is in use the asker gets `KeyTakenError` and nothing happens."""


class EventSourced(Actor, Generic[S]):
    """An actor that owns one stream; its state is the fold of the stream's events.

    Every message is a command for `decide`, except classes that have a method with
    `@handles`. Such a method must not tell others what is not durable yet.
    """

    stream: str
    """The stream it owns; no other actor may write to it."""
    fold: Fold[S]
    snapshot_every: int | None = None
    """Events between two snapshots; None: a start replays the whole stream."""
    pipelined: bool = True
    """Whether it decides the next command while earlier events are being written."""
    undurable_max: int = 1000
    """With so many events being written it takes no further commands."""
    personal: bool = True
    """Whether its events are the data of whose message led to them. Those of a part of
    the system, which goes on when an owner is erased, are nobody's."""
    journal: "EventSourcedJournal[S]"

    def open_journal(self) -> "EventSourcedJournal[S]":
        """Return the journal of this instance: the runtime's call."""
        self.journal = EventSourcedJournal(self)
        return self.journal

    @property
    def state(self) -> S:
        """The state with everything decided so far, durable or not."""
        return self.journal.state

    def decide(self, state: S, command: Message, ctx: "ActorContext") -> Decision:
        """Return what `command` leads to; pure but for what `ctx` hands out.

        Raise `CommandRejectedError` to refuse it: the asker gets that error.
        """
        raise NotImplementedError

    def react(self, event: Event, ctx: "ActorContext") -> None:
        """Do what a durable event brings about; called in order, never in replay."""

    def resume(self, state: S, ctx: "ActorContext") -> None:
        """Do what a recovered state still owes, as `react` would have."""


def decide_command(actor: Any, message: Message) -> None:
    """Handle a message as a command."""
    actor.journal.command(message)


EventSourced.handlers = handlers_of(EventSourced, decide_command)


class EventSourcedJournal(Journal, Generic[S]):
    """The journal of an actor with one stream."""

    __slots__ = (
        "_actor",
        "_evolve",
        "_fold",
        "_snapshots",
        "_stream",
        "state",
        "version",
    )

    def __init__(self, actor: EventSourced[S]) -> None:
        super().__init__(
            actor.ctx,
            self._react_to,
            owned=actor.stream,
            pipelined=actor.pipelined,
            undurable_max=actor.undurable_max,
        )
        self._actor = actor
        self._fold = actor.fold
        self._evolve = actor.fold.evolve
        self._snapshots = Snapshots(self._log, actor.fold, actor.snapshot_every)
        self._stream = actor.stream
        self.state = actor.fold.initial(actor.stream)
        self.version = 0

    async def _recover(self) -> None:
        self.state, read = await recovered(
            self._log,
            self._fold,
            self._stream,
            snapshots=self._actor.snapshot_every is not None,
        )
        self.version = read.version

    def _resume(self) -> None:
        """Have the actor do what its state still owes."""
        self._actor.resume(self.state, self._context)

    def command(self, message: Message) -> None:
        """Decide about `message` on the tentative state."""
        context = self._context
        context.at_us = self._now_us()
        try:
            decision = self._actor.decide(self.state, message, context)
        except CommandRejectedError as error:
            self.refuse(message, error)
            return
        events = decision.events
        if not events:
            self.answer(message, decision.reply)
            return
        if not self._actor.personal:
            self._disown()
        before, version = self.state, self.version
        append = StreamAppend(self._stream, version, events, self.stamp())
        self._apply(append)
        entry = self.submit(
            message,
            decision,
            (append,),
            ((self._stream, before, version),),
            len(events),
        )
        self._snapshots.note(entry, self._stream, self.state, version, self.version)

    def _disown(self) -> None:
        origin = self._cell.origin
        if origin is not None and origin.owner:
            self._cell.origin = msgspec.structs.replace(origin, owner="")

    def _apply(self, append: StreamAppend) -> None:
        events, version = append.events, append.expected
        self.state = evolved(self._evolve, self._stream, self.state, events, version)
        self.version = version + len(events)

    def _react_to(self, stream: str, event: Event, context: "ActorContext") -> None:
        assert stream == self._stream
        self._actor.react(event, context)

    def _put_back(self, stream: str, state: S, version: int) -> None:
        assert stream == self._stream
        self.state, self.version = state, version

    def _ended(self, entry: Entry, appended: Appended) -> None:
        self._snapshots.save(entry, appended)
