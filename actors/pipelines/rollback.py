"""What is decided while an item goes backward: its stages are undone in reverse."""

from ...events.pipelines import (
    Cancelled,
    CompensationFailed,
    CompensationPutOff,
    CompensationStarted,
    Failure,
    GaveUp,
    RollbackStarted,
    RolledBack,
    StageCompensated,
    Stuck,
)
from .item import Item
from .moment import Events, Moment, after

UNKNOWN = Failure(error="", message="no failure was recorded")


def turn(item: Item, failure: Failure, moment: Moment) -> Events:
    """Give the running attempt's stage up and start to undo what was done."""
    turned = RollbackStarted(stage=item.stage, attempt=item.attempt, failure=failure)
    return (turned, *go_on(after(item, turned), moment))


def go_on(item: Item, moment: Moment) -> Events:
    """Undo the next stage if there is room, or end when none is left."""
    if item.paused:
        return ()
    stage = moment.plan.undoes(item.begun)
    if not stage:
        return () if owes_question(item, moment) else end(item, moment)
    if not moment.free(stage):
        return ()
    return (CompensationStarted(stage=stage, attempt=1),)


def owes_question(item: Item, moment: Moment) -> bool:
    """Tell whether all is undone, but a queue that may be full must be asked."""
    return (
        item.back == "failed"
        and item.phase == "waiting"
        and not item.paused
        and moment.plan.asks_for_room
        and not moment.plan.undoes(item.begun)
    )


def end(item: Item, moment: Moment) -> Events:
    """Return the end of an item of which everything is undone."""
    if item.back == "cancelled":
        return (Cancelled(reason=item.reason),)
    stage, attempt = item.failed_stage, item.failed_attempt
    failure = item.failure or UNKNOWN
    entries = moment.plan.entries
    if not entries:
        return (RolledBack(stage=stage, attempt=attempt, failure=failure),)
    life = f".{item.redrives}" if item.redrives else ""
    entry = f"{entries}{item.id}{life}"
    return (GaveUp(stage=stage, attempt=attempt, failure=failure, entry=entry),)


def undone(item: Item, moment: Moment) -> Events:
    """Record that a stage is undone, and go on with the one before it."""
    left = item.begun[: item.begun.index(item.stage)]
    before = moment.plan.undoes(left)
    if before and not item.paused and moment.free(before):
        return (StageCompensated(stage=item.stage, starts=before),)
    event = StageCompensated(stage=item.stage)
    return (event, *go_on(after(item, event), moment))


def not_undone(
    item: Item,
    failure: Failure,
    retry_in_us: int | None,
    moment: Moment,
    took_us: int = 0,
) -> Events:
    """Try to undo the stage again, or stand still when there is no use in it."""
    stage = moment.plan.stages.get(item.stage)
    limit = stage.undo_attempts_max if stage is not None else 0
    if retry_in_us is None or item.attempt >= limit:
        return (Stuck(stage=item.stage, attempt=item.attempt, failure=failure),)
    return (
        CompensationFailed(
            stage=item.stage,
            attempt=item.attempt,
            retry_at_us=moment.now_us + retry_in_us,
            delay_us=retry_in_us,
            failure=failure,
            took_us=took_us,
        ),
    )


def put_off(item: Item, until_us: int, breaker: str, moment: Moment) -> Events:
    """Undo the stage once its breaker lets calls pass, within bounds."""
    if item.put_offs >= moment.plan.put_offs_max:
        failure = always_open(breaker, item.put_offs)
        return (Stuck(stage=item.stage, attempt=item.attempt, failure=failure),)
    return (
        CompensationPutOff(
            stage=item.stage,
            attempt=item.attempt,
            until_us=until_us,
            breaker=breaker,
        ),
    )


def always_open(breaker: str, times: int) -> Failure:
    """Return the failure of an item that was put off too often."""
    return Failure(
        error="PutOffTooOften",
        message=f"breaker {breaker!r} was open {times} times in a row",
        kind="breaker",
    )
