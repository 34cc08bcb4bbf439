"""The state of one transaction, folded from its events."""

from typing import Literal, assert_never

import msgspec

from ...events import Erased, Event, Fold
from ...events.pipelines import NOTHING
from ...events.transactions import (
    Began,
    Committed,
    CompensationDone,
    CompensationFailed,
    CompensationStarted,
    Direction,
    PlannedStep,
    Retried,
    RollbackStarted,
    RolledBack,
    StepDone,
    StepDoubted,
    StepFailed,
    StepSkipped,
    StepStarted,
    Stuck,
)

Status = Literal[
    "waiting",
    "started",
    "doubted",
    "done",
    "failed",
    "skipped",
    "undoing",
    "undo_failed",
    "undone",
    "abandoned",
]
"""`skipped` was waived on the way forward, `abandoned` on the way back."""

Phase = Literal["new", "forward", "back", "stuck", "committed", "rolled_back"]

PASSED: frozenset[Status] = frozenset({"done", "skipped"})
"""What a step must be for the next one to begin."""


class StepState(msgspec.Struct, frozen=True, gc=False):
    """One step: what was asked for and how far it is."""

    plan: PlannedStep
    status: Status = "waiting"
    attempts: int = 0
    """How often its effect was started; 0: there is nothing to take back."""
    undos: int = 0
    """How often its compensation was started."""
    failures: int = 0
    """Failures and crashes in a row, in the present direction."""
    undo: msgspec.Raw = NOTHING
    """The compensation's arguments."""
    result: msgspec.Raw = NOTHING
    error: str = ""
    message: str = ""
    retry_at_us: int | None = None
    """When it is tried again; None: it does not wait for that."""


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """A transaction as its stream tells it."""

    stream: str
    version: int = 0
    phase: Phase = "new"
    steps: tuple[StepState, ...] = ()
    name: str = ""
    key: str = ""
    began_us: int = 0
    deadline_us: int = 0
    reason: str = ""
    """Why it turned back, or why somebody declared its end."""
    stuck_step: int | None = None
    """The step that needs a person, while it is stuck."""
    stuck_direction: Direction = "forward"
    letter: str = ""
    """The stream of its dead letter, while it is stuck."""
    erased: bool = False
    """Whether the data of any of its events was erased: nobody can see it through."""

    @property
    def pivoted(self) -> bool:
        """Whether there is no way back any more."""
        return any(s.plan.pivot and s.status in PASSED for s in self.steps)


StepHappening = (
    StepStarted
    | StepDone
    | StepFailed
    | StepDoubted
    | CompensationStarted
    | CompensationDone
    | CompensationFailed
)
WholeHappening = (
    Began | RollbackStarted | Stuck | Retried | StepSkipped | Committed | RolledBack
)

_change = msgspec.structs.replace


def evolve(state: Transaction, event: Event) -> Transaction:
    """Fold one event into the state."""
    state = _change(state, version=state.version + 1)
    if isinstance(
        event, StepHappening | Retried | StepSkipped | Stuck
    ) and event.step >= len(state.steps):
        return state  # the event that named the steps was erased
    if isinstance(event, StepHappening):
        return with_step(state, event.step, _step(state.steps[event.step], event))
    if isinstance(event, WholeHappening):
        return _whole(state, event)
    raise TypeError(f"{event.tag} is no event of a transaction: {state.stream}")


def with_step(state: Transaction, number: int, step: StepState) -> Transaction:
    """Return the transaction with one of its steps exchanged."""
    steps = (*state.steps[:number], step, *state.steps[number + 1 :])
    return _change(state, steps=steps)


def _step(step: StepState, event: StepHappening) -> StepState:
    match event:
        case StepDone():
            step = _change(step, status="done", result=event.result, failures=0)
        case StepStarted():
            step = _change(
                step,
                status="started",
                attempts=event.attempt,
                failures=step.failures + (step.status == "started"),
                undo=event.undo,
                retry_at_us=None,
            )
        case StepDoubted():
            step = _change(step, status="doubted", failures=step.failures + 1)
        case CompensationStarted():
            step = _change(
                step,
                status="undoing",
                undos=event.attempt,
                failures=step.failures + (step.status == "undoing"),
                retry_at_us=None,
            )
        case CompensationDone():
            step = _change(step, status="undone", failures=0)
        case StepFailed() | CompensationFailed():
            step = _change(
                step,
                status="failed" if isinstance(event, StepFailed) else "undo_failed",
                failures=step.failures + 1,
                error=event.error,
                message=event.message,
                retry_at_us=event.retry_at_us,
            )
        case _:
            assert_never(event)
    return step


def _whole(state: Transaction, event: WholeHappening) -> Transaction:
    match event:
        case Began():
            state = _change(
                state,
                phase="forward",
                steps=tuple(StepState(plan) for plan in event.steps),
                name=event.name,
                key=event.key,
                began_us=event.at_us,
                deadline_us=event.deadline_us,
            )
        case RollbackStarted():
            fresh = (_change(s, failures=0, retry_at_us=None) for s in state.steps)
            state = _change(
                _freed(state, "back"), reason=event.reason, steps=tuple(fresh)
            )
        case Committed():
            state = _change(_freed(state, "committed"), reason=event.forced)
        case RolledBack():
            state = _change(_freed(state, "rolled_back"), reason=event.reason)
        case Stuck():
            state = _change(
                state,
                phase="stuck",
                stuck_step=event.step,
                stuck_direction=event.direction,
                letter=event.letter,
            )
        case Retried() | StepSkipped():
            step = _resolved(state, event)
            state = with_step(_freed(state, state.stuck_direction), event.step, step)
        case _:
            assert_never(event)
    return state


def _freed(state: Transaction, phase: Phase) -> Transaction:
    return _change(state, phase=phase, stuck_step=None, letter="")


def _resolved(state: Transaction, event: Retried | StepSkipped) -> StepState:
    """Waive the stuck step, or let it begin again with all attempts before it."""
    step = state.steps[event.step]
    back = state.stuck_direction == "back"
    status: Status
    if isinstance(event, StepSkipped):
        status = "abandoned" if back else "skipped"
        return _change(step, status=status, failures=0, retry_at_us=None)
    status = "undo_failed" if back else "failed"
    return _change(step, status=status, failures=0, retry_at_us=event.at_us)


def _erased(state: Transaction, event: Erased) -> Transaction:
    """Go by the tag, which is all that is left."""
    phase = _PHASES.get(event.tag, state.phase)
    return _change(state, version=state.version + 1, phase=phase, erased=True)


_PHASES: dict[str, Phase] = {
    Committed.tag: "committed",
    RolledBack.tag: "rolled_back",
}


def _initial(stream: str) -> Transaction:
    return Transaction(stream)


FOLD: Fold[Transaction] = Fold(
    kind="transaction",
    state=Transaction,
    initial=_initial,
    evolve=evolve,
    erased=_erased,
)
