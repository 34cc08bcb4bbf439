"""The life of an item: its state, and how each event changes it."""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from ...events.event import Erased, Event
from ...events.fold import Fold
from ...events.pipelines import (
    NOTHING,
    AttemptAborted,
    Cancelled,
    CancelRequested,
    CompensationFailed,
    CompensationPutOff,
    CompensationStarted,
    Failure,
    GaveUp,
    ItemDiscarded,
    ItemDone,
    ItemEvicted,
    ItemExpired,
    ItemSubmitted,
    Paused,
    Progressed,
    PutOff,
    Redriven,
    Resumed,
    RetryScheduled,
    RollbackStarted,
    RolledBack,
    StageCompensated,
    StageDone,
    StageStarted,
    Stuck,
    StuckResolved,
)

Place = Literal[
    "waiting",
    "running",
    "waiting_to_retry",
    "paused",
    "dead_lettered",
    "stuck",
    "done",
    "rolled_back",
    "cancelled",
    "discarded",
    "expired",
    "evicted",
]
"""Where an item can be; it is in exactly one of these at every instant."""

ENDS: frozenset[Place] = frozenset(
    {"done", "rolled_back", "cancelled", "discarded", "expired", "evicted"},
)
"""The places that an item never leaves."""

replace = msgspec.structs.replace


class Item(msgspec.Struct, frozen=True, gc=False):
    """What is known of an item. Before its first event it has no pipeline yet."""

    stream: str
    pipeline: str = ""
    key: str = ""
    owner: str = ""
    payload: msgspec.Raw = NOTHING
    priority: int = 0
    due_us: int = 0
    """Wall time before which it is not started."""
    corr: str = ""
    phase: Place = "waiting"
    """Its place, but for the pause; see `place`."""
    paused: bool = False
    stage: str = ""
    """The stage that runs, is to be tried again, or is being undone."""
    attempt: int = 0
    """Attempts begun at `stage` (or at undoing it), the running one included."""
    undoing: bool = False
    """Whether the attempts at `stage` are attempts to undo it."""
    retry_at_us: int = 0
    delay_us: int = 0
    """The last delay between two attempts at `stage`; 0: there was none."""
    since_us: int = 0
    """When the first attempt at `stage` began; 0: none has failed yet."""
    put_offs: int = 0
    """How often the present stage was put off because its breaker was open."""
    results: dict[str, msgspec.Raw] = {}
    """The results of the stages that are done, in the order of their ends."""
    begun: tuple[str, ...] = ()
    """The stages whose effects may exist, in the order in which they began."""
    back: Literal["", "failed", "cancelled"] = ""
    """Why the item goes backward; empty: it goes forward."""
    failure: Failure | None = None
    """The last failure; while the item goes backward, the one that turned it."""
    failed_stage: str = ""
    failed_attempt: int = 0
    reason: str = ""
    """Why it was paused or cancelled."""
    percent: int = 0
    entry: str = ""
    """The stream of its dead letter entry, while it is one."""
    redrives: int = 0
    erased: bool = False
    """Whether the data of any of its events was erased: it cannot go on."""

    @property
    def place(self) -> Place:
        """The one place where the item is; a running attempt outlasts a pause."""
        if self.paused and self.phase in {"waiting", "waiting_to_retry"}:
            return "paused"
        return self.phase

    @property
    def id(self) -> str:
        """The last part of the stream's name."""
        return self.stream.rpartition("/")[2]


def evolve(item: Item, event: Event) -> Item:
    """Return the item after an event of its stream."""
    clause = CLAUSES.get(type(event))
    if clause is None:
        raise AssertionError(f"{type(event).__name__} is no event of an item")
    return clause(item, event)


def _idle(item: Item, place: Place = "waiting") -> Item:
    """Nothing runs, and nothing is to be tried again."""
    return replace(
        item,
        phase=place,
        stage="",
        attempt=0,
        undoing=False,
        put_offs=0,
        delay_us=0,
        since_us=0,
    )


def _last(item: Item, place: Place) -> Item:
    return replace(_idle(item, place), paused=False)


def _submitted(item: Item, event: ItemSubmitted) -> Item:
    new = replace(
        item,
        pipeline=event.pipeline,
        key=event.key,
        owner=event.owner,
        payload=event.payload,
        priority=event.priority,
        due_us=event.due_us,
        corr=event.corr,
    )
    return _started(new, event.starts, 1) if event.starts else new


def _started(item: Item, stage: str, attempt: int) -> Item:
    begun = item.begun
    return replace(
        item,
        phase="running",
        stage=stage,
        attempt=attempt,
        put_offs=item.put_offs if item.stage == stage else 0,
        begun=begun if stage in begun else (*begun, stage),
    )


def _done(item: Item, event: StageDone) -> Item:
    starts = event.starts
    begun = item.begun
    return replace(
        item,
        phase="running" if starts else "waiting",
        stage=starts,
        attempt=1 if starts else 0,
        put_offs=0,
        delay_us=0,
        since_us=0,
        results={**item.results, event.stage: event.result},
        begun=(*begun, starts) if starts and starts not in begun else begun,
        percent=event.percent,
    )


def _turned(item: Item, event: RollbackStarted) -> Item:
    return replace(
        _idle(item),
        back="failed",
        failure=event.failure,
        failed_stage=event.stage,
        failed_attempt=event.attempt,
    )


def _undoing(item: Item, event: CompensationStarted) -> Item:
    return replace(
        item,
        phase="running",
        stage=event.stage,
        attempt=event.attempt,
        undoing=True,
        put_offs=item.put_offs if item.undoing else 0,
    )


def _failed(item: Item, event: RetryScheduled | CompensationFailed) -> Item:
    began_us = event.retry_at_us - event.delay_us - event.took_us
    return replace(
        item,
        phase="waiting_to_retry",
        attempt=event.attempt,
        retry_at_us=event.retry_at_us,
        delay_us=event.delay_us,
        since_us=item.since_us or began_us,
        failure=event.failure,
    )


def _put_off(item: Item, event: PutOff | CompensationPutOff) -> Item:
    first = event.attempt == 1 and isinstance(event, PutOff)
    return replace(
        item,
        phase="waiting_to_retry",
        attempt=event.attempt - 1,
        retry_at_us=event.until_us,
        put_offs=item.put_offs + 1,
        begun=tuple(s for s in item.begun if s != event.stage) if first else item.begun,
    )


def _cancel_requested(item: Item, event: CancelRequested) -> Item:
    """A running attempt comes to its end before the item turns around."""
    asked = replace(item, back="cancelled", reason=event.reason, paused=False)
    return asked if item.phase == "running" or item.undoing else _idle(asked)


def _compensated(item: Item, event: StageCompensated) -> Item:
    cut = item.begun.index(event.stage)
    kept = frozenset(item.begun[:cut])
    return replace(
        item,
        phase="running" if event.starts else "waiting",
        stage=event.starts,
        attempt=1 if event.starts else 0,
        undoing=bool(event.starts),
        put_offs=0,
        delay_us=0,
        since_us=0,
        begun=item.begun[:cut],
        results={s: result for s, result in item.results.items() if s in kept},
    )


def _resolved(item: Item, event: StuckResolved) -> Item:
    if event.choice == "skip":
        return _compensated(item, StageCompensated(stage=item.stage))
    return _idle(item)


def _redriven(item: Item, event: Redriven) -> Item:
    kept = not isinstance(event.payload, msgspec.Raw)
    return replace(
        _idle(item),
        back="",
        payload=event.payload
        if isinstance(event.payload, msgspec.Raw)
        else item.payload,
        results=item.results if kept else {},
        begun=item.begun if kept else (),
        due_us=0,
        entry="",
        failure=None,
        failed_stage="",
        failed_attempt=0,
        percent=0,
        redrives=item.redrives + 1,
    )


CLAUSES: dict[type[Event], Callable[[Item, Any], Item]] = {
    ItemSubmitted: _submitted,
    StageStarted: lambda item, event: _started(item, event.stage, event.attempt),
    StageDone: _done,
    Progressed: lambda item, event: replace(item, percent=event.percent),
    ItemDone: lambda item, _: replace(item, phase="done", stage="", percent=100),
    RetryScheduled: _failed,
    PutOff: _put_off,
    Paused: lambda item, event: replace(item, paused=True, reason=event.reason),
    Resumed: lambda item, _: replace(item, paused=False, reason=""),
    RollbackStarted: _turned,
    CancelRequested: _cancel_requested,
    AttemptAborted: lambda item, _: _idle(item),
    CompensationStarted: _undoing,
    StageCompensated: _compensated,
    CompensationFailed: lambda item, event: replace(
        _failed(item, event),
        failure=item.failure,
    ),
    CompensationPutOff: _put_off,
    Stuck: lambda item, event: replace(item, phase="stuck", attempt=event.attempt),
    StuckResolved: _resolved,
    GaveUp: lambda item, event: replace(
        _last(item, "dead_lettered"), entry=event.entry
    ),
    RolledBack: lambda item, _: _last(item, "rolled_back"),
    Cancelled: lambda item, _: _last(item, "cancelled"),
    ItemDiscarded: lambda item, _: replace(_last(item, "discarded"), entry=""),
    ItemExpired: lambda item, _: replace(_last(item, "expired"), entry=""),
    ItemEvicted: lambda item, _: replace(_last(item, "evicted"), entry=""),
    Redriven: _redriven,
}
"""How each event changes an item."""

PLACES: dict[str, Place] = {
    ItemDone.tag: "done",
    GaveUp.tag: "dead_lettered",
    RolledBack.tag: "rolled_back",
    Cancelled.tag: "cancelled",
    ItemDiscarded.tag: "discarded",
    ItemExpired.tag: "expired",
    ItemEvicted.tag: "evicted",
}
"""Where an item is after an event of which nothing but the tag is left."""


def erased(item: Item, event: Erased) -> Item:
    """Return the item after an event whose data was erased."""
    return replace(_idle(item, PLACES.get(event.tag, "waiting")), erased=True)


FOLD: Fold[Item] = Fold(
    kind="item", state=Item, initial=Item, evolve=evolve, erased=erased
)
