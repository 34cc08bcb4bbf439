"""What a state allows next, and the events that several decisions share."""

import msgspec

from ...events import Event
from ...events.transactions import (
    CompensationStarted,
    Direction,
    StepFailed,
    StepStarted,
    Stuck,
)
from .limits import Limits
from .transaction import PASSED, StepState, Transaction


class Setting(msgspec.Struct, frozen=True):
    """What is handed in with a decision: time, chance and configuration."""

    now_us: int
    draw: float = 0.5
    limits: Limits = Limits()
    queue: str = ""
    """The dead letter queue for the stuck; empty: none."""


def ready(state: Transaction, now_us: int) -> tuple[int, ...]:
    """Return the steps that are to be prepared now: the next one or its group."""
    if state.phase != "forward":
        return ()
    rest = [n for n, step in enumerate(state.steps) if step.status not in PASSED]
    group = state.steps[rest[0]].plan.group if rest else 0
    numbers: list[int] = []
    for number in rest:
        if number > rest[0] and (
            group == 0
            or any(s.plan.group != group for s in state.steps[rest[0] : number + 1])
        ):
            break
        if may_prepare(state.steps[number], now_us):
            numbers.append(number)
    return tuple(numbers)


def may_prepare(step: StepState, now_us: int) -> bool:
    """Tell whether a step whose turn has come is to be prepared, or prepared again."""
    if step.status == "waiting":
        return True
    due = step.retry_at_us is not None and step.retry_at_us <= now_us
    return step.status == "failed" and step.attempts == 0 and due


def overdue(state: Transaction, now_us: int) -> bool:
    """Tell whether the deadline has passed while there still is a way back."""
    forward = state.phase == "forward" and not state.pivoted
    return forward and now_us >= state.deadline_us


def again(number: int, step: StepState, now_us: int) -> Event:
    """Start the next attempt of a step that was started before."""
    attempt = step.attempts + 1
    return StepStarted(step=number, attempt=attempt, undo=step.undo, at_us=now_us)


def undo(number: int, step: StepState, now_us: int) -> Event:
    """Start the next attempt of a compensation."""
    return CompensationStarted(step=number, attempt=step.undos + 1, at_us=now_us)


def lost(number: int, now_us: int) -> Event:
    """Count a step in doubt as failed for good: whether it happened is not known."""
    return StepFailed(
        step=number,
        error="InDoubt",
        message="a crash swallowed the outcome",
        at_us=now_us,
    )


def stuck(
    state: Transaction, number: int, error: str, message: str, setting: Setting
) -> Stuck:
    """Say that a person is needed, and where the dead letter will be."""
    direction: Direction = "back" if state.phase == "back" else "forward"
    letter = ""
    if setting.queue:
        own = state.stream.rpartition("/")[2]
        letter = f"dead-letter/{setting.queue}/{own}.{state.version}"
    return Stuck(
        step=number,
        direction=direction,
        error=error,
        message=message,
        at_us=setting.now_us,
        letter=letter,
    )
