"""The actor that owns many streams: a pipeline's items, a queue's dead letters."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec

from ...events import Event, Fold
from ...events.log import Appended, Context, StreamAppend
from .actor import Actor
from .errors import CommandRejectedError
from .event_sourced import decide_command
from .handlers import handlers_of
from .journal import Journal
from .messages import Message
from .outbox import Entry, Known
from .owner_decision import OwnerContext, OwnerDecision, Write
from .recovery import evolved, folded, recovered
from .snapshots import Snapshots

if TYPE_CHECKING:
    pass

S = TypeVar("S")

SNAPSHOT_EVERY: Final = 250
"""Most streams end sooner: those of items whose stages report progress for hours, or
that are put off again and again, do not."""


class StreamOwner(Actor, Generic[S]):
    """An actor that owns every open stream whose name starts with `prefix`.

    Every message is a command for `decide`, except classes that have a method with
    `@handles`. A stream leaves `states` once the event that closes it is durable.
    Whose data a stream's first events are, theirs are the later ones, whoever sent
    the message that led to them.
    """

    prefix: str
    fold: Fold[S]
    pipelined: bool = True
    """Whether it decides the next command while earlier events are being written."""
    undurable_max: int = 5000
    """With so many events being written it takes no further commands."""
    snapshot_every: int | None = None
    """Events of a stream between two snapshots; None: a start replays all of each."""
    journal: "StreamOwnerJournal[S]"
    states: Mapping[str, S]
    """The open streams with everything decided so far, durable or not."""

    def open_journal(self) -> "StreamOwnerJournal[S]":
        """Return the journal of this instance: the runtime's call."""
        context = OwnerContext(self.ctx.cell, self.ctx.system)
        self.ctx.cell.own_extras().context = self.ctx = context
        self.journal = StreamOwnerJournal(self, context)
        self.states = self.journal.states
        context.attach(self.journal)
        return self.journal

    def version(self, stream: str) -> int:
        """Return the version of a stream of `states`, durable or not."""
        return self.journal.versions[stream]

    def decide(
        self,
        states: Mapping[str, S],
        command: Message,
        ctx: OwnerContext,
    ) -> OwnerDecision:
        """Return what `command` leads to; pure but for what `ctx` hands out.

        Raise `CommandRejectedError` to refuse it: the asker gets that error.
        """
        raise NotImplementedError

    def react(self, stream: str, event: Event, ctx: OwnerContext) -> None:
        """Do what a durable event brings about; called in order, never in replay."""

    def resume(self, states: Mapping[str, S], ctx: OwnerContext) -> None:
        """Do what the recovered states still owe, as `react` would have."""

    def changed(self, stream: str, before: S | None, after: S | None) -> None:
        """Keep what is derived from `states` up to date; it must not fail.

        Called on every change, durable or not, when one is taken back, and in
        recovery. `before` None: the stream is new here; `after` None: it has left.
        """


StreamOwner.handlers = handlers_of(StreamOwner, decide_command)


class StreamOwnerJournal(Journal, Generic[S]):
    """The journal of an actor with many streams."""

    _context: OwnerContext

    __slots__ = (
        "_actor",
        "_changed",
        "_evolve",
        "_fold",
        "_owners",
        "_prefix",
        "_snapshots",
        "states",
        "versions",
    )

    def __init__(self, actor: StreamOwner[S], context: OwnerContext) -> None:
        super().__init__(
            context,
            actor.react,
            owned=actor.prefix,
            pipelined=actor.pipelined,
            undurable_max=actor.undurable_max,
        )
        self._actor = actor
        self._changed = actor.changed
        self._fold = actor.fold
        self._evolve = actor.fold.evolve
        self._prefix = actor.prefix
        self._snapshots = Snapshots(self._log, actor.fold, actor.snapshot_every)
        self.states: dict[str, S] = {}
        self.versions: dict[str, int] = {}
        self._owners: dict[str, str] = {}
        """Whose data the streams are that are somebody's."""

    async def _recover(self) -> None:
        for head in await self._log.open_streams(self._prefix):
            state, read = await recovered(
                self._log,
                self._fold,
                head.stream,
                snapshots=self._snapshots.expected(head.version),
            )
            self._put(head.stream, state, read.version)
            if read.owner:
                self._owners[head.stream] = read.owner

    def _resume(self) -> None:
        """Have the actor do what its states still owe."""
        self._actor.resume(self.states, self._context)

    def adopt(self, stream: str, events: tuple[Event, ...], owner: str) -> None:
        """Take a stream over."""
        if self.versions.get(stream, -1) >= len(events):
            return
        if events and type(events[-1]).closes:
            self.release(stream)
            return
        state = folded(self._fold, stream, self._fold.initial(stream), events, 0)
        self._put(stream, state, len(events))
        if owner:
            self._owners[stream] = owner

    def release(self, stream: str) -> None:
        """Forget a stream."""
        before = self.states.pop(stream, None)
        self._owners.pop(stream, None)
        if self.versions.pop(stream, None) is not None:
            self._changed(stream, before, None)

    def command(self, message: Message) -> None:
        """Decide about `message` on the tentative states."""
        context = self._context
        context.at_us = self._now_us()
        try:
            decision = self._actor.decide(self.states, message, context)
        except CommandRejectedError as error:
            self.refuse(message, error)
            return
        writes = decision.writes
        if len(writes) != 1:
            self._submit_all(message, decision)
            return
        write = writes[0]
        stream, events, expected = write.stream, write.events, write.expected
        if not events:
            self.answer(message, decision.reply)
            return
        stamp = self.stamp()
        if self._owners or stamp.owner:
            stamp = self._named(stamp, (stream,), decision)[0]
        before, version = self.states.get(stream), self.versions.get(stream, 0)
        if expected is None:
            expected = version
        count = len(events)
        if before is None:
            self._go_on(stream, before, expected, events)
        else:  # what `_go_on` does, for nearly every decision ends here
            state = evolved(self._evolve, stream, before, events, expected)
            self.states[stream] = state
            self.versions[stream] = expected + count
            self._changed(stream, before, state)
        append = StreamAppend(stream, expected, events, stamp)
        known = (stream, before, version)
        entry = self.submit(message, decision, (append,), (known,), count)
        if events[-1].closes:
            entry.closes = True
        else:
            self._note(entry, known)

    def _submit_all(self, message: Message, decision: OwnerDecision) -> None:
        """Submit a decision about several streams, or about none."""
        writes = [write for write in decision.writes if write.events]
        if not writes:
            self.answer(message, decision.reply)
            return
        streams = [write.stream for write in writes]
        contexts = self._named(self.stamp(), streams, decision)
        appends = tuple(map(self._append, writes, contexts))
        before = [self._known(append.stream) for append in appends]
        assert len({known[0] for known in before}) == len(before), "a Write per stream"
        count = 0
        for append in appends:
            count += len(append.events)
            self._apply(append)
        entry = self.submit(message, decision, appends, before, count)
        entry.closes = True  # some may; it is looked at once they are durable
        for known in before:
            self._note(entry, known)

    def _note(self, entry: Entry, before: Known) -> None:
        """Note that a stream may be due for a snapshot, if it is this actor's."""
        stream, _, version = before
        if stream in self.states:
            state, now = self.states[stream], self.versions[stream]
            self._snapshots.note(entry, stream, state, version, now)

    def _named(
        self, context: Context, streams: Sequence[str], decision: OwnerDecision
    ) -> Sequence[Context]:
        """Return the context for each stream: in its owner's name, whoever asked."""
        owners = self._owners
        if not owners and not context.owner:
            return (context,) * len(streams)
        owner = decision.owner
        if owner is None:
            known = {owners[stream] for stream in streams if stream in owners}
            owner = known.pop() if len(known) == 1 else context.owner
        if owner:
            for stream in streams:
                if stream not in self.versions and stream.startswith(self._prefix):
                    owners[stream] = owner
        return [
            msgspec.structs.replace(context, owner=owners.get(stream, owner))
            for stream in streams
        ]

    def _append(self, write: Write, context: Context) -> StreamAppend:
        expected = write.expected
        if expected is None:
            expected = self.versions.get(write.stream, 0)
        return StreamAppend(write.stream, expected, write.events, context)

    def _known(self, stream: str) -> Known:
        return stream, self.states.get(stream), self.versions.get(stream, 0)

    def _apply(self, append: StreamAppend) -> None:
        stream = append.stream
        before = self.states.get(stream)
        self._go_on(stream, before, append.expected, append.events)

    def _go_on(
        self,
        stream: str,
        before: S | None,
        version: int,
        events: tuple[Event, ...],
    ) -> None:
        """Fold events into the state of their stream, if it is of this actor's."""
        state = before
        if state is None:
            if version or not stream.startswith(self._prefix):
                return
            state = self._fold.initial(stream)
        self.states[stream] = state = evolved(
            self._evolve, stream, state, events, version
        )
        self.versions[stream] = version + len(events)
        self._changed(stream, before, state)

    def _put(self, stream: str, state: S, version: int) -> None:
        before = self.states.get(stream)
        self.states[stream] = state
        self.versions[stream] = version
        self._changed(stream, before, state)

    def _put_back(self, stream: str, state: S | None, version: int) -> None:
        if stream not in self.states:
            return
        if state is None:
            self.release(stream)
        else:
            self._put(stream, state, version)

    def _ended(self, entry: Entry, appended: Appended) -> None:
        if entry.snapshots:
            self._snapshots.save(entry, appended)
        for append in entry.appends:
            events = append.events
            if events[-1].closes:
                version = append.expected + len(events)
                if self.versions.get(append.stream) == version:
                    self.release(append.stream)
