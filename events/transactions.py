"""What happens in a transaction: steps, their outcomes, and the way back.

A transaction is a stream `transaction/<coordinator>/<id>`. Every intent stands in it
before the effect it announces, so that after a crash the last event of a step says
what is known of it. Arguments and results are kept as the JSON they are, for only the
step that is registered under the name can read them. Times are wall time in microseconds.
"""

from typing import Literal

import msgspec

from .event import Event

InDoubt = Literal["redo", "query", "compensate", "manual"]
"""What to do with a step that was started and whose outcome a crash swallowed."""

Direction = Literal["forward", "back"]

End = Literal["committed", "rolled_back"]


class PlannedStep(msgspec.Struct, frozen=True, gc=False):
    """A step as it was asked for: the name it is registered under and its arguments."""

    name: str
    args: msgspec.Raw
    group: int = 0
    """Neighbours of one group above 0 run side by side; 0: on its own."""
    pivot: bool = False
    """Once it is done there is no way back, only forward."""
    in_doubt: InDoubt = "compensate"
    timeout_s: float = 30.0
    """How long one attempt of it, or of its compensation, may take."""
    attempts_max: int = 1
    """How often it is tried before the pivot; after it, the coordinator's limit holds."""


class Began(Event, tag="transaction.began"):
    """All of these steps shall happen, or none."""

    steps: tuple[PlannedStep, ...]
    deadline_us: int
    """Before the pivot, the transaction turns back when this has passed."""
    at_us: int
    name: str = ""
    key: str = ""
    """The caller's idempotency key; empty: none."""


class StepStarted(Event, tag="transaction.step_started"):
    """The step's effect may exist from here on; `undo` is what takes it back."""

    step: int
    attempt: int
    undo: msgspec.Raw
    at_us: int


class StepDone(Event, tag="transaction.step_done"):
    """The step's effect is there."""

    step: int
    result: msgspec.Raw
    at_us: int


class StepFailed(Event, tag="transaction.step_failed"):
    """The step did not succeed; whether its effect exists is not known."""

    step: int
    error: str
    message: str
    at_us: int
    retry_at_us: int | None = None
    """When it is tried again, with the drawn delay; None: it is not tried again."""


class StepDoubted(Event, tag="transaction.step_doubted"):
    """A crash swallowed the outcome; the resource is asked for it."""

    step: int
    at_us: int


class RollbackStarted(Event, tag="transaction.rollback_started"):
    """The transaction turns back."""

    reason: str
    at_us: int


class CompensationStarted(Event, tag="transaction.compensation_started"):
    """The fence: from here on a late effect of the step is refused."""

    step: int
    attempt: int
    at_us: int


class CompensationDone(Event, tag="transaction.compensation_done"):
    """The step's effect is gone, or was never there."""

    step: int
    at_us: int


class CompensationFailed(Event, tag="transaction.compensation_failed"):
    """The effect could not be taken back; it is tried again, bounded."""

    step: int
    error: str
    message: str
    at_us: int
    retry_at_us: int | None = None


class Stuck(Event, tag="transaction.stuck"):
    """Neither forward nor back by itself: a person has to decide. It stays open."""

    step: int
    direction: Direction
    error: str
    message: str
    at_us: int
    letter: str = ""
    """The stream of its dead letter, opened in the same append; empty: none."""


class Retried(Event, tag="transaction.retried"):
    """Somebody had the stuck step tried again."""

    step: int
    reason: str
    at_us: int


class StepSkipped(Event, tag="transaction.step_skipped"):
    """Somebody took it upon them that this step or compensation is not needed."""

    step: int
    reason: str
    at_us: int


class Committed(Event, tag="transaction.committed", closes=True):
    """All steps are done."""

    at_us: int
    forced: str = ""
    """The reason, where somebody declared the end by hand."""


class RolledBack(Event, tag="transaction.rolled_back", closes=True):
    """No step's effect is left."""

    reason: str
    at_us: int
    forced: str = ""


EVENTS: tuple[type[Event], ...] = (
    Began,
    StepStarted,
    StepDone,
    StepFailed,
    StepDoubted,
    RollbackStarted,
    CompensationStarted,
    CompensationDone,
    CompensationFailed,
    Stuck,
    Retried,
    StepSkipped,
    Committed,
    RolledBack,
)
