"""The actor that owns a pipeline's items: it decides what happens to each of them."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ...events.dead_letters import Returned
from ...events.log import IdempotencyKey
from ...events.pipelines import GaveUp, ItemDiscarded, ItemSubmitted, Redriven
from ..runtime import (
    Message,
    OwnerContext,
    OwnerDecision,
    Ref,
    StreamOwner,
    UnhandledMessageError,
    Write,
)
from ..runtime.stream_owner import SNAPSHOT_EVERY
from . import attempts, wishes
from .board import Board
from .crew import Crew
from .errors import ItemNotOpenError, PipelineFullError
from .figures import Tally
from .item import FOLD, Item
from .messages import (
    AttemptLost,
    AttemptUnknown,
    CancelItem,
    GetFigures,
    GetItem,
    ItemProgressed,
    Outcome,
    PauseItem,
    Redrive,
    ResolveItem,
    ResumeItem,
    RoomChecked,
    StageAborted,
    StageFailed,
    StageRejected,
    StageSucceeded,
    StartItem,
    Submit,
    Submitted,
)
from .moment import Events, Moment
from .parking import parking
from .pipeline import Pipeline

Items = Mapping[str, Item]
NOTHING = OwnerDecision()
ERASED = "its owner's data was erased; what its stages did was not undone"
"""Why an item is discarded of which an event was erased."""


class ItemDecisions(StreamOwner[Item]):
    """What the owner of a pipeline's items decides, command by command."""

    fold = FOLD
    snapshot_every = SNAPSHOT_EVERY

    def __init__(self, pipeline: Pipeline, crew: Crew, queue: Ref | None) -> None:
        self.prefix = pipeline.prefix
        self.pipeline = pipeline
        self.crew = crew
        self.queue = queue
        """The actor of the dead letter queue."""
        self.board = Board(pipeline)
        self.tally = Tally(pipeline)
        self.doomed: set[AttemptLost] = set()
        """Attempts about to be counted as lost: not to be made if they can be yet."""
        self.redriving: dict[str, Redrive] = {}
        """What dead letters are being taken back, by their items."""

    def decide(
        self,
        states: Items,
        command: Message,
        ctx: OwnerContext,
    ) -> OwnerDecision:
        """Decide by the class of the command."""
        decide = DECISIONS.get(command.__class__)
        if decide is None:
            raise UnhandledMessageError(ctx.self.path, command)
        return decide(self, states, command, ctx)

    def submit(
        self, states: Items, command: Submit, ctx: OwnerContext
    ) -> OwnerDecision:
        """Accept work, unless its key is known or too many items are open."""
        board, stream = self.board, self.prefix + command.item
        known = board.keys.get(command.key) if command.key else None
        if known is not None or stream in states:
            return OwnerDecision(reply=submitted(known or stream, is_new=False))
        if board.is_full:
            raise PipelineFullError(self.pipeline.name, self.pipeline.in_flight_max)
        first = board.plan.following(())
        starts = command.due_us <= ctx.at_us and board.free(first)
        event = ItemSubmitted(
            pipeline=self.pipeline.name,
            key=command.key,
            payload=command.payload,
            owner=command.owner,
            priority=command.priority,
            due_us=command.due_us,
            corr=command.corr,
            starts=first if starts else "",
        )
        keys: tuple[IdempotencyKey, ...] = ()
        if command.key:
            keys = (IdempotencyKey(self.pipeline.stream, command.key, stream),)
        return OwnerDecision((Write(stream, (event,)),), submitted(stream), keys)

    def judge(
        self, states: Items, outcome: Outcome, ctx: OwnerContext
    ) -> OwnerDecision:
        """Go by what a worker reports."""
        item = states.get(outcome.stream)
        if item is None:
            return NOTHING
        board = self.board
        moment = Moment(board.plan, ctx.at_us, board.free, item.stage)
        return self.decided(item, JUDGES[type(outcome)](item, outcome, moment), moment)

    def lost(
        self,
        states: Items,
        command: AttemptLost | AttemptUnknown,
        ctx: OwnerContext,
    ) -> OwnerDecision:
        """Count an attempt as used that a crash swallowed; the next one is spread."""
        if isinstance(command, AttemptLost):
            self.doomed.discard(command)
        item = states.get(command.stream)
        if item is None or not attempts.is_current(item, command):
            return NOTHING
        wait_us = round(ctx.random.random() * self.pipeline.spread_s * 1e6)
        moment = Moment(self.board.plan, ctx.at_us, self.board.free, item.stage)
        return self.decided(item, attempts.lost(item, wait_us, moment), moment)

    def start(
        self, states: Items, command: StartItem, ctx: OwnerContext
    ) -> OwnerDecision:
        """Start the next attempt, if there still is room for it.

        What was erased ends here: nobody knows what it was to be done with.
        """
        item = states.get(command.stream)
        if item is None:
            return NOTHING
        board = self.board
        if item.erased:
            end = ItemDiscarded(reason=ERASED)
            return OwnerDecision((Write(item.stream, (end,)),))
        stage = attempts.wanted(item, board.plan)
        if stage and not board.free(stage):
            return NOTHING
        moment = Moment(board.plan, ctx.at_us, board.free)
        return self.decided(item, attempts.start(item, moment), moment)

    def wish(
        self,
        states: Items,
        wish: PauseItem | ResumeItem | CancelItem | ResolveItem,
        ctx: OwnerContext,
    ) -> OwnerDecision:
        """Do to an item what somebody wants."""
        item = states.get(self.prefix + wish.item)
        if item is None or item.place == "dead_lettered":
            raise ItemNotOpenError(wish.item)
        moment = Moment(self.board.plan, ctx.at_us, self.board.free)
        return self.decided(item, WISHES[type(wish)](item, wish, moment), moment)

    def checked(
        self, states: Items, answer: RoomChecked, ctx: OwnerContext
    ) -> OwnerDecision:
        """Give an item up, or keep it paused because the queue is full."""
        item = states.get(answer.stream)
        if item is None:
            return NOTHING
        moment = Moment(self.board.plan, ctx.at_us, self.board.free)
        decide = wishes.give_room if answer.room else wishes.refuse_room
        return self.decided(item, decide(item, moment), moment)

    def redrive(
        self, states: Items, command: Redrive, ctx: OwnerContext
    ) -> OwnerDecision:
        """Let a dead letter go on, and end its entry in the same append.

        The queue may have asked twice, as when the log failed in between, and the
        first of two such commands may have waited in the mailbox meanwhile.
        """
        asked = command.take_back
        if asked.item in states:
            return NOTHING
        if self.redriving.setdefault(asked.item, command) is not command:
            return NOTHING
        edited = msgspec.UNSET if asked.payload is None else asked.payload
        event = Redriven(entry=asked.entry, payload=edited)
        returned = Returned(at_us=ctx.at_us)
        return OwnerDecision(
            (
                Write(asked.item, (event,), len(command.events)),
                Write(asked.entry, (returned,), asked.version),
            ),
        )

    def figures(self, _: Items, __: GetFigures, ___: OwnerContext) -> OwnerDecision:
        """Answer once all that was decided before is durable."""
        return OwnerDecision(reply=self.tally.figures(self.board))

    def item(self, states: Items, command: GetItem, _: OwnerContext) -> OwnerDecision:
        """Answer with an open item."""
        return OwnerDecision(reply=states.get(command.stream))

    def decided(self, item: Item, events: Events, moment: Moment) -> OwnerDecision:
        """Write an item's events; a dead letter's entry is opened with them."""
        if not events:
            return NOTHING
        write = Write(item.stream, events)
        last = events[-1]
        if not isinstance(last, GaveUp):
            return OwnerDecision((write,))
        version = self.version(item.stream) + len(events)
        parked = parking(self.pipeline, item, last, version, moment.now_us)
        return OwnerDecision((write, Write(last.entry, (parked,), 0)))


def submitted(stream: str, *, is_new: bool = True) -> Submitted:
    """Return where an item is."""
    return Submitted(stream.rpartition("/")[2], stream, is_new)


Decide = Callable[[Any, Items, Any, OwnerContext], OwnerDecision]

DECISIONS: dict[type[Message], Decide] = {
    StageSucceeded: ItemDecisions.judge,
    Submit: ItemDecisions.submit,
    StartItem: ItemDecisions.start,
    StageFailed: ItemDecisions.judge,
    StageRejected: ItemDecisions.judge,
    StageAborted: ItemDecisions.judge,
    ItemProgressed: ItemDecisions.judge,
    AttemptUnknown: ItemDecisions.lost,
    AttemptLost: ItemDecisions.lost,
    PauseItem: ItemDecisions.wish,
    ResumeItem: ItemDecisions.wish,
    CancelItem: ItemDecisions.wish,
    ResolveItem: ItemDecisions.wish,
    RoomChecked: ItemDecisions.checked,
    Redrive: ItemDecisions.redrive,
    GetFigures: ItemDecisions.figures,
    GetItem: ItemDecisions.item,
}

JUDGES: dict[type[Outcome], Callable[[Item, Any, Moment], Events]] = {
    StageSucceeded: attempts.succeeded,
    StageFailed: attempts.failed,
    StageRejected: attempts.rejected,
    StageAborted: attempts.aborted,
    ItemProgressed: attempts.progressed,
}

WISHES: dict[type[Message], Callable[[Item, Any, Moment], Events]] = {
    PauseItem: wishes.pause,
    ResumeItem: wishes.resume,
    CancelItem: wishes.cancel,
    ResolveItem: wishes.resolve,
}
