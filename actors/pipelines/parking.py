"""How an item that has failed for good becomes a dead letter."""

from ...events.dead_letters import Parked
from ...events.pipelines import GaveUp
from ..dead_letters.parking import park
from .item import Item
from .pipeline import Pipeline, breaker_name


def parking(
    pipeline: Pipeline,
    item: Item,
    gave_up: GaveUp,
    item_version: int,
    now_us: int,
) -> Parked:
    """Return the first event of the entry; it is in one append with `gave_up`."""
    breakers = {stage.name: breaker_name(stage.breaker) for stage in pipeline.stages}
    return park(
        item=item.stream,
        item_version=item_version,
        pipeline=pipeline.name,
        stage=gave_up.stage,
        error=gave_up.failure.error,
        message=gave_up.failure.message,
        at_us=now_us,
        attempts=gave_up.attempt,
        category=gave_up.failure.kind,
        priority=item.priority,
        redrives=item.redrives,
        target=breakers.get(gave_up.stage, ""),
        key=item.key,
    )
