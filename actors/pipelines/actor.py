"""The actor that owns a pipeline's items: how it starts, and who talks to it."""

from functools import partial

from ...events.event import Event
from ...events.log import Recorded
from ...events.pipelines import Redriven
from ..dead_letters.messages import HasRoom, TakeBack
from ..runtime import Origin, OwnerContext, Ref, handles
from . import rollback, wishes
from .board import CLOSED
from .crew import Crew
from .decisions import Items
from .effects import ItemEffects
from .item import FOLD, Item
from .messages import (
    AbortAttempt,
    AskForRoom,
    AttemptLost,
    CheckAttempt,
    ControlChanged,
    Fill,
    Redrive,
    Reopened,
    ReopenFailed,
    RoomChecked,
    StartItem,
    Unblock,
    Wake,
    WorkerStarted,
)
from .pipeline import Pipeline

FILL_MAX = 256
"""Items started in one go."""
ROOM_CHECK_S = 30.0
"""How often a full dead letter queue is asked again."""


class PipelineActor(ItemEffects):
    """Owns the items of one pipeline.

    Workers are told of attempts that are durable, callers of ends that are; what
    a crash interrupts is found in the items' states when it is started again.
    """

    def __init__(self, pipeline: Pipeline, crew: Crew, queue: Ref | None) -> None:
        super().__init__(pipeline, crew, queue)
        self._is_up = False

    async def stopping(self) -> None:
        """Have those who wait for an item ask for it again."""
        self.crew.open = {}
        self.crew.desk.look_again(0)

    async def restarting(self, error: BaseException | None) -> None:
        """Do the same when this is not the end."""
        del error
        await self.stopping()

    # What changes in memory

    def changed(self, stream: str, before: Item | None, after: Item | None) -> None:
        """Keep the board, and wake those who may go on."""
        board = self.board
        if before and after and before.phase == after.phase == "running":
            board.moved(before.stage, after.stage)  # nearly every step ends here
            if board.queued:
                self.fill_soon()
            return
        board.changed(stream, before, after)
        if not self._is_up:
            return
        self.fill_soon()
        if after is None or after.phase in CLOSED:
            desk = self.crew.desk
            if not board.is_full:
                desk.has_room(1)
            if not board.busy:
                desk.is_idle()
        elif (after.paused or after.phase == "stuck") and not board.busy:
            self.crew.desk.is_idle()

    def resume(self, states: Items, ctx: OwnerContext) -> None:
        """Take up what the items were at when this actor, or its process, went down."""
        crew, board = self.crew, self.board
        crew.pipeline = ctx.self
        crew.open = states
        self._is_up = True
        self.generations = dict(crew.generations)
        board.manned |= set(crew.workers)
        self.control_changed(ControlChanged())
        for stream, item in states.items():
            self._take_up(stream, item)
        self.fill_soon()
        crew.desk.look_again(self.pipeline.in_flight_max - board.open)

    def _take_up(self, stream: str, item: Item) -> None:
        if item.erased:
            self.ctx.self.tell(StartItem(stream), origin=origin(item))
            return
        if item.phase == "running":
            about = (item.stage, item.attempt, item.undoing, item.redrives)
            worker = self.crew.workers.get(item.stage)
            if worker is None:
                self.ctx.self.tell(AttemptLost(stream, *about), origin=origin(item))
            else:
                worker.tell(CheckAttempt(stream, *about), origin=origin(item))
                if item.back and not item.undoing:
                    worker.tell(AbortAttempt(stream), origin=origin(item))
            return
        self.wake_when_due(stream, item, overdue=True)
        if wishes.waits_for_room(item) or rollback.owes_question(item, self.moment()):
            self.ctx.self.tell(AskForRoom(stream), origin=origin(item))

    # Messages about anything but one item's state

    @handles
    def fill(self, _: Fill) -> None:
        """Start what waits, each item under its own correlation id."""
        self.is_filling = False
        tell = self.ctx.self.tell
        for stream in tuple(self.board.startable(FILL_MAX)):
            tell(StartItem(stream), origin=origin(self.states[stream]))

    @handles
    def wake(self, message: Wake) -> None:
        """Line an item up whose time has come."""
        item = self.states.get(message.stream)
        if item is not None:
            self.board.wake(message.stream, item)
            self.fill_soon()

    @handles
    def unblock(self, message: Unblock) -> None:
        """Let attempts of a stage ask its breaker again."""
        self.board.blocked.discard(message.stage)
        self.fill_soon()

    @handles
    def worker_started(self, message: WorkerStarted) -> None:
        """Count as lost what an earlier worker of the stage ran.

        A worker that was known when this actor came up was asked about each attempt.
        """
        stage = message.stage
        is_new = message.generation > self.generations.get(stage, 0)
        for stream, item in self.states.items() if is_new else ():
            if item.phase == "running" and item.stage == stage:
                about = (stage, item.attempt, item.undoing, item.redrives)
                lost = AttemptLost(stream, *about)
                self.doomed.add(lost)
                self.ctx.self.tell(lost, origin=origin(item))
        self.generations[stage] = message.generation
        self.board.manned.add(stage)
        self.fill_soon()

    @handles
    def control_changed(self, _: ControlChanged) -> None:
        """Start nothing that is paused, and what no longer is."""
        self.board.paused = self.crew.paused
        self.board.held = set(self.crew.held)
        self.fill_soon()

    @handles
    def ask_for_room(self, message: AskForRoom) -> None:
        """Ask the dead letter queue whether it takes one more."""
        queue, stream = self.queue, message.stream
        if queue is None or stream not in self.states:
            return

        async def ask() -> bool:
            return await queue.ask(HasRoom(stream))

        self.ctx.run(
            ask(),
            then=partial(RoomChecked, stream),
            failed=lambda _: RoomChecked(stream, room=False),
        )
        self.ctx.timers.once(("room", stream), ROOM_CHECK_S, message)

    @handles
    def take_back(self, message: TakeBack) -> None:
        """Read the stream of a dead letter that is to go on."""
        waiting = self.returning.setdefault(message.entry, [])
        waiting.append(self.ctx.later())
        if len(waiting) > 1:
            return
        log = self.ctx.system.needed_log(self.ctx.self.path)

        def then(recorded: list[Recorded]) -> Reopened:
            return Reopened(message, tuple(each.event for each in recorded))

        self.ctx.run(
            log.read_stream(message.item),
            then=then,
            failed=partial(ReopenFailed, message),
        )

    @handles
    def reopened(self, message: Reopened) -> None:
        """Redrive the item, unless that was done or it is no dead letter."""
        asked = message.take_back
        events = [event for event in message.events if isinstance(event, Event)]
        taken = any(isinstance(e, Redriven) and e.entry == asked.entry for e in events)
        item = FOLD.initial(asked.item)
        for event in events:
            item = FOLD.evolve(item, event)
        if taken or len(events) < len(message.events) or item.entry != asked.entry:
            self.settle(asked.entry, took=taken)
            return
        again = Redrive(asked, tuple(events))
        self.ctx.self.tell(again, origin=origin(item))

    @handles
    def reopen_failed(self, message: ReopenFailed) -> None:
        """Tell the queue that the item could not be read."""
        for later in self.returning.pop(message.take_back.entry, ()):
            later.fail(message.error)


def origin(item: Item) -> Origin:
    """Return the origin that all messages about an item have."""
    return Origin(corr=item.corr or item.id, owner=item.owner)
