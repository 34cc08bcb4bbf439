"""The effects of what is decided about items, once it is durable."""

from collections.abc import Callable
from typing import Any

from ...events.dead_letters import Parked
from ...events.event import Event
from ...events.pipelines import (
    AttemptAborted,
    Cancelled,
    CancelRequested,
    CompensationFailed,
    CompensationPutOff,
    CompensationStarted,
    GaveUp,
    ItemDiscarded,
    ItemDone,
    ItemSubmitted,
    PutOff,
    Redriven,
    Resumed,
    RetryScheduled,
    RollbackStarted,
    RolledBack,
    StageCompensated,
    StageDone,
    StageStarted,
    StuckResolved,
)
from ..dead_letters.messages import Adopt
from ..runtime import Later, OwnerContext, Ref
from . import rollback
from .crew import Crew
from .decisions import ItemDecisions
from .item import Item
from .messages import (
    AbortAttempt,
    AskForRoom,
    AttemptLost,
    Fill,
    RunAttempt,
    Unblock,
    Wake,
)
from .moment import Moment
from .pipeline import Pipeline


class ItemEffects(ItemDecisions):
    """What durable events bring about: attempts, timers, entries, answers."""

    def __init__(self, pipeline: Pipeline, crew: Crew, queue: Ref | None) -> None:
        super().__init__(pipeline, crew, queue)
        self.is_filling = False
        self.generations: dict[str, int] = {}
        self.returning: dict[str, list[Later]] = {}
        """Who waits to hear whether an entry's item was taken back."""

    def react(self, stream: str, event: Event, ctx: OwnerContext) -> None:
        """Do what an event brings about."""
        reaction = REACTIONS.get(type(event))
        if reaction is not None:
            reaction(self, stream, event)
        elif isinstance(event, Redriven):
            before = self.redriving.pop(stream).events
            ctx.adopt(stream, (*before, event))
            self.settle(event.entry, took=True)

    def on_submitted(self, stream: str, event: ItemSubmitted) -> None:
        """Run the first attempt, or wait until the item is due."""
        if event.starts:
            self.run(stream, event.starts, 1)
        elif event.due_us:
            self.wake_at(stream, event.due_us)

    def on_done(self, stream: str, event: StageDone) -> None:
        """Count, and run the attempt that was started with it."""
        tally, stage = self.tally, event.stage
        tally.done[stage] += 1
        tally.took_us[stage] += event.took_us
        if self.board.blocked:
            self._let_pass(stage)
        if event.starts:
            self.run(stream, event.starts, 1)

    def on_started(self, stream: str, event: StageStarted) -> None:
        """Run an attempt."""
        self.run(stream, event.stage, event.attempt)

    def on_undo_started(self, stream: str, event: CompensationStarted) -> None:
        """Run an attempt to undo a stage."""
        self.run(stream, event.stage, event.attempt, undoing=True)

    def on_undone(self, stream: str, event: StageCompensated) -> None:
        """Undo the stage before."""
        if self.board.blocked:
            self._let_pass(event.stage)
        if event.starts:
            self.run(stream, event.starts, 1, undoing=True)
        else:
            self._ask_if_owed(stream)

    def on_failed(
        self,
        stream: str,
        event: RetryScheduled | CompensationFailed,
    ) -> None:
        """Try again when the drawn delay is over."""
        self.tally.failed[event.stage] += 1
        self.wake_at(stream, event.retry_at_us)

    def on_put_off(self, stream: str, event: PutOff | CompensationPutOff) -> None:
        """Try again when the breaker may let it pass; start no others until then."""
        stage = event.stage
        self.tally.put_off[stage] += 1
        self.wake_at(stream, event.until_us)
        if stage not in self.board.blocked:
            self.board.blocked.add(stage)
            wait_s = max(0, event.until_us - self.ctx.now_us) / 1e6
            self.ctx.timers.once(("unblock", stage), wait_s, Unblock(stage))

    def on_turned(
        self,
        stream: str,
        event: RollbackStarted | AttemptAborted | StuckResolved,
    ) -> None:
        """Count a failure for good; ask for room if nothing is to be undone."""
        if isinstance(event, RollbackStarted):
            self.tally.failed[event.stage] += 1
        self._ask_if_owed(stream)

    def on_resumed(self, stream: str, _: Resumed) -> None:
        """Arm the timer again that came to nothing while the item was paused."""
        item = self.states.get(stream)
        if item is not None:
            self.wake_when_due(stream, item)
        self._ask_if_owed(stream)

    def on_cancel(self, stream: str, _: CancelRequested) -> None:
        """Stop the attempt that runs, unless it is one to undo something."""
        item = self.states.get(stream)
        if item is not None and item.phase == "running" and not item.undoing:
            worker = self.crew.workers.get(item.stage)
            if worker is not None:
                worker.tell(AbortAttempt(stream))

    def on_end(self, stream: str, _: Event) -> None:
        """Tell those who wait for the item."""
        item = self.states.get(stream)
        if item is not None:
            self.tally.ended[item.place] += 1
            self.crew.desk.has_ended(stream, item)

    def on_parked(self, stream: str, event: Parked) -> None:
        """Hand the entry over to the queue; its sweep would find it, but later."""
        if self.queue is not None:
            self.queue.tell(Adopt(stream, (event,)))

    # What effects are made of

    def run(
        self, stream: str, stage: str, attempt: int, *, undoing: bool = False
    ) -> None:
        """Tell the worker of a stage about an attempt, if it is still to be made."""
        item = self.states.get(stream)
        if (
            item is not None
            and item.phase == "running"
            and item.stage == stage
            and item.attempt == attempt
            and item.undoing == undoing
            and (
                not self.doomed
                or AttemptLost(stream, stage, attempt, undoing, item.redrives)
                not in self.doomed
            )
        ):
            generation = self.generations[stage]
            run = RunAttempt(item, stage, attempt, undoing, generation)
            self.crew.workers[stage].tell(run)

    def fill_soon(self) -> None:
        """Give free slots to those who wait, in a turn of its own."""
        if self.board.queued and not self.is_filling and self.board.hungry():
            self.is_filling = True
            self.ctx.self.tell(Fill())

    def wake_when_due(self, stream: str, item: Item, *, overdue: bool = False) -> None:
        """Arm the timer of an item that waits for a time, if it does."""
        if item.phase == "waiting_to_retry":
            self.wake_at(stream, item.retry_at_us, overdue=overdue)
        elif item.phase == "waiting" and item.due_us and not item.begun:
            self.wake_at(stream, item.due_us, overdue=overdue)

    def wake_at(self, stream: str, due_us: int, *, overdue: bool = False) -> None:
        """Arm a timer; after a restart what is overdue is spread."""
        ctx = self.ctx
        after_s = max(0, due_us - ctx.now_us) / 1e6
        if overdue and not after_s:
            after_s = ctx.random.random() * self.pipeline.spread_s
        ctx.timers.once(("wake", stream), after_s, Wake(stream))

    def _let_pass(self, stage: str) -> None:
        """The breaker of a stage has let an attempt pass: do not wait any longer."""
        if stage not in self.board.blocked:
            return
        self.ctx.timers.cancel(("unblock", stage))
        self.board.blocked.discard(stage)
        for stream, item in self.states.items():
            if item.put_offs and item.stage == stage:
                self.board.wake(stream, item)
        self.fill_soon()

    def _ask_if_owed(self, stream: str) -> None:
        item = self.states.get(stream)
        if item is not None and rollback.owes_question(item, self.moment()):
            self.ctx.self.tell(AskForRoom(stream))

    def settle(self, entry: str, *, took: bool) -> None:
        """Answer the queue."""
        for later in self.returning.pop(entry, ()):
            later.set(took)

    def moment(self) -> Moment:
        """Return what decisions know now."""
        return Moment(self.board.plan, self.ctx.now_us, self.board.free)


REACTIONS: dict[type[Event], Callable[[Any, str, Any], None]] = {
    StageDone: ItemEffects.on_done,
    ItemDone: ItemEffects.on_end,
    ItemSubmitted: ItemEffects.on_submitted,
    StageStarted: ItemEffects.on_started,
    RetryScheduled: ItemEffects.on_failed,
    PutOff: ItemEffects.on_put_off,
    Resumed: ItemEffects.on_resumed,
    RollbackStarted: ItemEffects.on_turned,
    CancelRequested: ItemEffects.on_cancel,
    AttemptAborted: ItemEffects.on_turned,
    CompensationStarted: ItemEffects.on_undo_started,
    StageCompensated: ItemEffects.on_undone,
    CompensationFailed: ItemEffects.on_failed,
    CompensationPutOff: ItemEffects.on_put_off,
    StuckResolved: ItemEffects.on_turned,
    GaveUp: ItemEffects.on_end,
    RolledBack: ItemEffects.on_end,
    Cancelled: ItemEffects.on_end,
    ItemDiscarded: ItemEffects.on_end,
    Parked: ItemEffects.on_parked,
}
"""What each durable event brings about; the others bring nothing about."""
