"""Where the items of each pipeline are, and how its stages do."""

import msgspec

from ..actors.pipelines.control import FOLD as PIPELINES
from ..actors.pipelines.control import Control
from ..actors.pipelines.item import ENDS, Item, Place
from ..actors.pipelines.item import FOLD as ITEMS
from ..events import Event
from ..events.pipelines import (
    NOTHING,
    CompensationFailed,
    CompensationPutOff,
    GaveUp,
    ItemSubmitted,
    PutOff,
    Redriven,
    RetryScheduled,
    RolledBack,
    StageDone,
)

replace = msgspec.structs.replace


class StageView(msgspec.Struct):
    """What happens at one stage now, and what has happened since the log began."""

    waiting: int = 0
    """Items that need this stage next and wait for a place, or are paused."""
    running: int = 0
    undoing: int = 0
    """Items whose work of this stage is being taken back."""
    retrying: int = 0
    """Items that wait until their next attempt is due."""
    stuck: int = 0
    done: int = 0
    retries: int = 0
    """Attempts that failed and were scheduled again."""
    put_off: int = 0
    """Attempts that were not made because the breaker was open."""
    failed: int = 0
    """Items that failed here for good."""
    took_us: int = 0
    """How long the successful attempts ran, together."""


class PipelineView(msgspec.Struct):
    """One pipeline: how many of its items are where, and its stages in order."""

    control: Control
    """Its declaration and what is paused."""
    submitted: int = 0
    redriven: int = 0
    places: dict[str, int] = {}
    """How many items are in each place; the ends count up for ever."""
    stages: dict[str, StageView] = {}

    @property
    def in_flight(self) -> int:
        """How many items are neither at an end nor dead letters."""
        resting = {*ENDS, "dead_lettered"}
        return sum(n for place, n in self.places.items() if place not in resting)

    def at(self, place: Place) -> int:
        """Return how many items are in a place."""
        return self.places.get(place, 0)


class OpenItem(msgspec.Struct, frozen=True, gc=False):
    """An item that is at no end yet, without its payload and results."""

    item: Item
    stage: str
    """The stage it was counted to, by the declaration of that moment."""


class PipelinesView(msgspec.Struct):
    """All pipelines, and the items that they still have to do with."""

    pipelines: dict[str, PipelineView] = {}
    items: dict[str, OpenItem] = {}
    """Items by stream, dead letters included."""

    def apply_item(self, stream: str, event: Event) -> None:
        """Count what happened to an item."""
        name = stream.split("/")[1]
        view = self._pipeline(name)
        before = self.items.get(stream)
        item = before.item if before else ITEMS.initial(stream)
        item = ITEMS.evolve(item, _slim(event))
        if before is not None:
            _count(view, before, -1)
        after = OpenItem(item, _stage(item, view.control))
        _count(view, after, 1)
        if item.place in ENDS:
            self.items.pop(stream, None)
        else:
            self.items[stream] = after
        _count_event(view, event)

    def apply_pipeline(self, stream: str, event: Event) -> None:
        """Take note of a declaration or a pause."""
        view = self._pipeline(stream.partition("/")[2])
        view.control = PIPELINES.evolve(view.control, event)
        declared = {stage.name for stage in view.control.stages}
        rest = [name for name in view.stages if name not in declared]
        order = [stage.name for stage in view.control.stages] + rest
        view.stages = {name: _stage_view(view, name) for name in order}

    def _pipeline(self, name: str) -> PipelineView:
        view = self.pipelines.get(name)
        if view is None:
            view = PipelineView(PIPELINES.initial(f"pipeline/{name}"))
            self.pipelines[name] = view
        return view


def _stage(item: Item, control: Control) -> str:
    """Return the stage that an item is at or needs next; empty: none."""
    if item.stage or item.place in ENDS or item.place == "dead_lettered":
        return item.stage
    if item.back:
        return item.begun[-1] if item.begun else ""
    following = (s.name for s in control.stages if s.name not in item.results)
    return next(following, "")


def _count(view: PipelineView, at: OpenItem, by: int) -> None:
    item = at.item
    view.places[item.place] = view.places.get(item.place, 0) + by
    if not at.stage:
        return
    stage = _stage_view(view, at.stage)
    match item.place:
        case "running" if item.undoing:
            stage.undoing += by
        case "running":
            stage.running += by
        case "waiting_to_retry":
            stage.retrying += by
        case "waiting" | "paused":
            stage.waiting += by
        case _:  # in no other place is an item at a stage
            stage.stuck += by


def _count_event(view: PipelineView, event: Event) -> None:
    match event:
        case StageDone():
            stage = _stage_view(view, event.stage)
            stage.done += 1
            stage.took_us += event.took_us
        case ItemSubmitted():
            view.submitted += 1
        case RetryScheduled() | CompensationFailed():
            _stage_view(view, event.stage).retries += 1
        case PutOff() | CompensationPutOff():
            _stage_view(view, event.stage).put_off += 1
        case GaveUp() | RolledBack():
            _stage_view(view, event.stage).failed += 1
        case Redriven():
            view.redriven += 1
        case _:
            return  # it moves the item, and has been counted by its place


def _stage_view(view: PipelineView, name: str) -> StageView:
    stage = view.stages.get(name)
    if stage is None:
        stage = view.stages[name] = StageView()
    return stage


def _slim(event: Event) -> Event:
    """Leave out what can be large: it is in the log, and counts need it not."""
    match event:
        case StageDone():
            return replace(event, result=NOTHING)
        case ItemSubmitted():
            return replace(event, payload=NOTHING)
        case Redriven() if event.payload is not msgspec.UNSET:
            return replace(event, payload=NOTHING)
        case _:
            return event
