"""What is decided when an attempt may start, and when it has come to its end."""

from ...events.pipelines import (
    AttemptAborted,
    CompensationStarted,
    Failure,
    ItemDone,
    Progressed,
    PutOff,
    RetryScheduled,
    StageDone,
    StageStarted,
)
from . import rollback
from .item import Item
from .messages import (
    ItemProgressed,
    Outcome,
    StageFailed,
    StageRejected,
    StageSucceeded,
)
from .moment import Events, Moment, after
from .plan import Plan

LOST = Failure(
    error="AttemptLost",
    message="the worker or the process ended before the attempt did",
    kind="crash",
)


def is_current(item: Item, outcome: Outcome) -> bool:
    """Tell whether a report is about the attempt that runs."""
    return (
        item.phase == "running"
        and item.stage == outcome.stage
        and item.attempt == outcome.attempt
        and item.undoing is outcome.undoing
        and item.redrives == outcome.redrives
    )


def wanted(item: Item, plan: Plan) -> str:
    """Return the stage of which the item needs an attempt next; empty: of none."""
    if item.stage and item.stage in plan.stages:
        return item.stage
    return plan.undoes(item.begun) if item.back else plan.following(item.results)


def start(item: Item, moment: Moment) -> Events:
    """Let an item go on that waits or whose retry is due; its stage has room."""
    if item.place not in {"waiting", "waiting_to_retry"}:
        return ()
    plan = moment.plan.stages.get(item.stage)
    if item.back and (plan is None or not item.undoing):
        return rollback.go_on(item, moment)
    stage = wanted(item, moment.plan)
    if not stage:
        return (ItemDone(),)
    attempt = item.attempt + 1 if stage == item.stage else 1
    if item.undoing:
        return (CompensationStarted(stage=stage, attempt=attempt),)
    if plan is not None and attempt > plan.attempts_max:
        return rollback.turn(item, item.failure or rollback.UNKNOWN, moment)
    return (StageStarted(stage=stage, attempt=attempt),)


def succeeded(item: Item, outcome: StageSucceeded, moment: Moment) -> Events:
    """Record a stage's result and start the next stage in the same append."""
    if not is_current(item, outcome):
        return ()
    if item.undoing:
        return rollback.undone(item, moment)
    plan, stage = moment.plan, item.stage
    following = "" if item.back else plan.after(stage, item.results)
    goes_on = following and not item.paused and moment.room(following, stage)
    declared = plan.stages.get(stage)
    percent = item.percent
    if declared is not None and declared.percent > percent:
        percent = declared.percent
    starts = following if goes_on else ""
    done = StageDone(stage, outcome.result, starts, percent, outcome.took_us)
    if item.back:
        return (done, *rollback.go_on(after(item, done), moment))
    return (done,) if following else (done, ItemDone())


def failed(item: Item, outcome: StageFailed, moment: Moment) -> Events:
    """Schedule the next attempt, or give the stage up."""
    if not is_current(item, outcome):
        return ()
    failure, retry_in_us = outcome.failure, outcome.retry_in_us
    took_us = outcome.took_us
    if item.undoing:
        return rollback.not_undone(item, failure, retry_in_us, moment, took_us)
    if item.back:
        return _aborted(item, failure, moment)
    stage = moment.plan.stages.get(item.stage)
    limit = stage.attempts_max if stage is not None else 0
    if retry_in_us is None or item.attempt >= limit:
        return rollback.turn(item, failure, moment)
    return (_retry(item, failure, retry_in_us, moment, took_us),)


def rejected(item: Item, outcome: StageRejected, moment: Moment) -> Events:
    """Put the attempt off until the breaker may let it pass; it is not used up."""
    if not is_current(item, outcome):
        return ()
    until_us, breaker = moment.now_us + outcome.wait_us, outcome.breaker
    if item.undoing:
        return rollback.put_off(item, until_us, breaker, moment)
    if item.back:
        return _aborted(item, None, moment)
    if item.put_offs >= moment.plan.put_offs_max:
        failure = rollback.always_open(breaker, item.put_offs)
        return rollback.turn(item, failure, moment)
    return (
        PutOff(
            stage=item.stage,
            attempt=item.attempt,
            until_us=until_us,
            breaker=breaker,
        ),
    )


def aborted(item: Item, outcome: Outcome, moment: Moment) -> Events:
    """Turn a cancelled item around once its attempt has stopped."""
    if not is_current(item, outcome) or item.undoing or not item.back:
        return ()
    return _aborted(item, None, moment)


def lost(item: Item, retry_in_us: int, moment: Moment) -> Events:
    """Count an attempt as used whose outcome a crash swallowed."""
    if item.phase != "running":
        return ()
    if item.undoing:
        return rollback.not_undone(item, LOST, retry_in_us, moment)
    if item.back:
        return _aborted(item, LOST, moment)
    stage = moment.plan.stages.get(item.stage)
    if stage is None or (
        stage.after_crash == "retry" and item.attempt < stage.attempts_max
    ):
        return (_retry(item, LOST, retry_in_us, moment),)
    return rollback.turn(item, LOST, moment)


def progressed(item: Item, report: ItemProgressed, moment: Moment) -> Events:
    """Record how far a running item has come; it never goes back."""
    del moment
    percent = report.percent
    if not is_current(item, report) or not item.percent < percent <= 100:
        return ()
    return (Progressed(percent=percent),)


def _retry(
    item: Item,
    failure: Failure,
    retry_in_us: int,
    moment: Moment,
    took_us: int = 0,
) -> RetryScheduled:
    return RetryScheduled(
        stage=item.stage,
        attempt=item.attempt,
        retry_at_us=moment.now_us + retry_in_us,
        delay_us=retry_in_us,
        failure=failure,
        took_us=took_us,
    )


def _aborted(item: Item, failure: Failure | None, moment: Moment) -> Events:
    ended = AttemptAborted(stage=item.stage, attempt=item.attempt, failure=failure)
    return (ended, *rollback.go_on(after(item, ended), moment))
