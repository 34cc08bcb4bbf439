"""What happens to the items of a pipeline, and to the pipeline itself.

An item is one stream, `item/<pipeline>/<id>`. A durable attempt is logged before
it runs: `ItemSubmitted.starts`, `StageDone.starts` and `StageStarted` are the three
ways to say so. Times are wall time in microseconds.
"""

import msgspec

from .event import Event

NOTHING = msgspec.Raw(b"null")
"""The JSON document of a payload or result that holds nothing."""


class Failure(msgspec.Struct, frozen=True, gc=False):
    """Why an attempt failed, short enough to be kept for ever."""

    error: str
    """The class of the error, such as `builtins.ConnectionError`."""
    message: str = ""
    kind: str = ""
    """The class of failures it was counted to, by which the retry was chosen."""


# An item goes forward.


class ItemSubmitted(Event, tag="item.submitted", version=1):
    """A piece of work was accepted; with `starts`, its first attempt runs at once."""

    pipeline: str
    key: str = ""
    """The caller's idempotency key: a second submission with it finds this item."""
    payload: msgspec.Raw = NOTHING
    owner: str = ""
    """Whose item it is."""
    priority: int = 0
    """Higher goes first among items that wait for the same stage."""
    due_us: int = 0
    """Not to be started before; 0: at once."""
    corr: str = ""
    """The correlation id on all of the item's events; empty: the item's id."""
    starts: str = ""
    """The stage whose first attempt this event starts; empty: the item waits."""


class StageStarted(Event, tag="item.stage_started", version=1):
    """An attempt begins; without an outcome in the log it still counts as used."""

    stage: str
    attempt: int


class StageDone(Event, tag="item.stage_done", version=1):
    """A stage succeeded; with `starts`, attempt 1 of the next stage begins."""

    stage: str
    result: msgspec.Raw = NOTHING
    starts: str = ""
    """The stage whose first attempt this event starts; empty: the item waits."""
    percent: int = 0
    """How far the item has come."""
    took_us: int = 0
    """How long the successful attempt ran."""


class Progressed(Event, tag="item.progressed", version=1):
    """A running stage tells how far the item has come; at most once a second."""

    percent: int


class ItemDone(Event, tag="item.done", version=1, closes=True):
    """Every stage has succeeded."""


# An attempt did not succeed.


class RetryScheduled(Event, tag="item.retry_scheduled", version=1):
    """An attempt failed; the next one is due after a drawn delay."""

    stage: str
    attempt: int
    """The attempt that failed, counted from 1."""
    retry_at_us: int
    delay_us: int
    """The delay as drawn, so that replay needs no dice."""
    failure: Failure
    took_us: int = 0
    """How long the failed attempt ran."""


class PutOff(Event, tag="item.put_off", version=1):
    """The stage's breaker is open: the attempt did not run and is not used up."""

    stage: str
    attempt: int
    """The attempt that was not made; the next one has the same number."""
    until_us: int
    breaker: str


class Paused(Event, tag="item.paused", version=1):
    """No attempt starts until the item is resumed; a running one goes on to its end."""

    reason: str


class Resumed(Event, tag="item.resumed", version=1):
    """A paused item goes on."""

    reason: str = ""


# An item goes backward.


class RollbackStarted(Event, tag="item.rollback_started", version=1):
    """No further attempt is made: what the item's stages did is undone in reverse."""

    stage: str
    """The stage that failed for good."""
    attempt: int
    failure: Failure


class CancelRequested(Event, tag="item.cancel_requested", version=1):
    """Somebody wants the item gone: what it did is undone in reverse."""

    reason: str


class AttemptAborted(Event, tag="item.attempt_aborted", version=1):
    """The attempt that ran when the item was cancelled has come to its end."""

    stage: str
    attempt: int
    failure: Failure | None = None
    """How it failed; None: it was stopped."""


class CompensationStarted(Event, tag="item.compensation_started", version=1):
    """An attempt to undo a stage begins."""

    stage: str
    attempt: int


class StageCompensated(Event, tag="item.stage_compensated", version=1):
    """What a stage did is undone; with `starts`, undoing an earlier stage begins."""

    stage: str
    starts: str = ""
    """The stage whose first compensation attempt this event starts."""


class CompensationFailed(Event, tag="item.compensation_failed", version=1):
    """Undoing a stage failed; it is tried again after a drawn delay."""

    stage: str
    attempt: int
    retry_at_us: int
    delay_us: int
    failure: Failure
    took_us: int = 0


class CompensationPutOff(Event, tag="item.compensation_put_off", version=1):
    """The stage's breaker is open: undoing it waits, and no attempt is used up."""

    stage: str
    attempt: int
    until_us: int
    breaker: str


class Stuck(Event, tag="item.stuck", version=1):
    """A compensation has failed for good: the item stands still for all to see."""

    stage: str
    attempt: int
    failure: Failure


class StuckResolved(Event, tag="item.stuck_resolved", version=1):
    """A person decided how a stuck item goes on."""

    choice: str
    """`retry`: compensate again; `skip`: count the stage as compensated."""
    reason: str


# Ends, and the way back from one.


class GaveUp(Event, tag="item.gave_up", version=1, closes=True):
    """The item is a dead letter; the same append opens its entry with `Parked`."""

    stage: str
    attempt: int
    failure: Failure
    entry: str
    """The stream of the dead letter entry."""


class RolledBack(Event, tag="item.rolled_back", version=1, closes=True):
    """The item failed and was undone, in a pipeline without a dead letter queue."""

    stage: str
    attempt: int
    failure: Failure


class Cancelled(Event, tag="item.cancelled", version=1, closes=True):
    """The item was cancelled, and what it did is undone."""

    reason: str


class ItemDiscarded(Event, tag="item.discarded", version=1, closes=True):
    """A person threw the dead letter away; written with the end of its entry."""

    reason: str = ""


class ItemExpired(Event, tag="item.expired", version=1, closes=True):
    """The dead letter outlived its time; written with the end of its entry."""


class ItemEvicted(Event, tag="item.evicted", version=1, closes=True):
    """The dead letter made room for another; written with the end of its entry."""


class Redriven(Event, tag="item.redriven", version=1):
    """A dead letter goes on at its first unfinished stage, with fresh attempts."""

    entry: str
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """A corrected payload, with which every stage is done anew; unset: as it was."""


# The pipeline as a whole.


class StageDeclared(msgspec.Struct, frozen=True, gc=False):
    """A stage as the pipeline was started with it."""

    name: str
    concurrency: int
    timeout_us: int
    attempts_max: int
    percent: int = 0
    breaker: str = ""
    compensates: bool = False


class PipelineDeclared(Event, tag="pipeline.declared", version=1):
    """The pipeline runs with these stages from now on."""

    stages: tuple[StageDeclared, ...]
    in_flight_max: int
    dead_letters: str = ""


class PipelinePaused(Event, tag="pipeline.paused", version=1):
    """No attempt starts until the pipeline is resumed."""

    reason: str


class PipelineResumed(Event, tag="pipeline.resumed", version=1):
    """The pipeline goes on."""

    reason: str = ""


class StagePaused(Event, tag="pipeline.stage_paused", version=1):
    """No attempt of one stage starts until it is resumed."""

    stage: str
    reason: str


class StageResumed(Event, tag="pipeline.stage_resumed", version=1):
    """The stage goes on."""

    stage: str
    reason: str = ""


EVENTS: tuple[type[Event], ...] = (
    ItemSubmitted,
    StageStarted,
    StageDone,
    Progressed,
    ItemDone,
    RetryScheduled,
    PutOff,
    Paused,
    Resumed,
    RollbackStarted,
    CancelRequested,
    AttemptAborted,
    CompensationStarted,
    StageCompensated,
    CompensationFailed,
    CompensationPutOff,
    Stuck,
    StuckResolved,
    GaveUp,
    RolledBack,
    Cancelled,
    ItemDiscarded,
    ItemExpired,
    ItemEvicted,
    Redriven,
    PipelineDeclared,
    PipelinePaused,
    PipelineResumed,
    StagePaused,
    StageResumed,
)
