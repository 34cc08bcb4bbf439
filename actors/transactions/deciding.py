"""What a transaction does next: a pure function from state and news to events."""

from typing import assert_never

from ...events import Event
from ...events.transactions import (
    Began,
    Committed,
    CompensationDone,
    CompensationFailed,
    Retried,
    RollbackStarted,
    RolledBack,
    StepDone,
    StepFailed,
    StepSkipped,
    StepStarted,
)
from .errors import TransactionRefusedError
from .in_doubt import answered, recovered
from .limits import Limits
from .moves import Setting, again, may_prepare, overdue, ready, stuck, undo
from .news import (
    Answered,
    AnyNews,
    Failed,
    Prepared,
    Recovered,
    ResolutionWanted,
    RollbackWanted,
    Succeeded,
    Ticked,
    UndoFailed,
    Undone,
)
from .transaction import PASSED, Transaction, evolve


def begin(state: Transaction, began: Began, limits: Limits) -> tuple[Event, ...]:
    """Begin a transaction. Raises `TransactionRefusedError` for a wrong plan."""
    if state.phase != "new":
        raise TransactionRefusedError(
            f"{state.stream} has begun already: begin another one under its own id"
        )
    if not 1 <= len(began.steps) <= limits.steps_max:
        raise TransactionRefusedError(
            f"{len(began.steps)} steps were asked for, 1 to {limits.steps_max} are "
            "allowed: split the transaction or raise `steps_max`"
        )
    if began.deadline_us - began.at_us > limits.deadline_max_s * 1_000_000:
        raise TransactionRefusedError(
            f"the deadline is more than {limits.deadline_max_s:g} s away: choose an "
            "earlier one or raise `deadline_max_s`"
        )
    return (began,)


def decide(state: Transaction, news: AnyNews, setting: Setting) -> tuple[Event, ...]:
    """Return the events that `news` leads to.

    News that has been overtaken, such as the late success of a step that has been
    fenced off, leads to none. Raises `TransactionRefusedError` for what a person
    asks and the transaction's state does not allow.
    """
    events = _answer(state, news, setting)
    for event in events:
        state = evolve(state, event)
    while (following := _follow(state, setting)) is not None:
        events.append(following)
        state = evolve(state, following)
    return tuple(events)


def _answer(state: Transaction, news: AnyNews, setting: Setting) -> list[Event]:
    now_us = setting.now_us
    match news:
        case Prepared():
            return _prepared(state, news, setting)
        case Succeeded() | Failed() | Answered():
            return _reported(state, news, setting)
        case Undone() | UndoFailed():
            return _undone(state, news, setting)
        case Ticked():
            return _due(state, now_us)
        case Recovered():
            return recovered(state, news.running, setting)
        case RollbackWanted() | ResolutionWanted():
            return [_wished(state, news, now_us)]
        case _:
            assert_never(news)


def _prepared(state: Transaction, news: Prepared, setting: Setting) -> list[Event]:
    now_us = setting.now_us
    if news.step not in ready(state, now_us) or overdue(state, now_us):
        return []
    return [StepStarted(step=news.step, attempt=1, undo=news.undo, at_us=now_us)]


def _reported(
    state: Transaction, news: Succeeded | Failed | Answered, setting: Setting
) -> list[Event]:
    """Believe the running attempt only; while stuck, its siblings still count."""
    step, now_us = state.steps[news.step], setting.now_us
    if state.phase not in {"forward", "stuck"}:
        return []
    match news:
        case Succeeded(attempt=attempt) if (step.status, step.attempts) == (
            "started",
            attempt,
        ):
            return [StepDone(step=news.step, result=news.result, at_us=now_us)]
        case Failed(attempt=attempt) if step.attempts == attempt and (
            step.status == "started" or may_prepare(step, now_us)
        ):
            return [_failure(state, news, setting)]
        case Answered() if step.status == "doubted":
            return answered(state, news, setting)
        case _:
            return []


def _failure(state: Transaction, news: Failed, setting: Setting) -> Event:
    step, limits = state.steps[news.step], setting.limits
    tries = limits.attempts_max if state.pivoted else step.plan.attempts_max
    failures = step.failures + 1
    retry_at_us = None
    if failures < tries:
        retry_at_us = limits.retry_at_us(failures, setting.now_us, setting.draw)
    return StepFailed(
        step=news.step,
        error=news.error,
        message=news.message,
        at_us=setting.now_us,
        retry_at_us=retry_at_us,
    )


def _undone(
    state: Transaction, news: Undone | UndoFailed, setting: Setting
) -> list[Event]:
    step, limits, now_us = state.steps[news.step], setting.limits, setting.now_us
    if (step.status, step.undos) != ("undoing", news.attempt):
        return []
    if isinstance(news, Undone):
        return [CompensationDone(step=news.step, at_us=now_us)]
    failures = step.failures + 1
    retry_at_us = None
    if failures < limits.attempts_max:
        retry_at_us = limits.retry_at_us(failures, now_us, setting.draw)
    return [
        CompensationFailed(
            step=news.step,
            error=news.error,
            message=news.message,
            at_us=now_us,
            retry_at_us=retry_at_us,
        )
    ]


def _due(state: Transaction, now_us: int) -> list[Event]:
    """Start what has waited for its retry."""
    if state.phase not in {"forward", "back"} or overdue(state, now_us):
        return []
    events: list[Event] = []
    for number, step in enumerate(state.steps):
        if step.retry_at_us is None or step.retry_at_us > now_us:
            continue
        if step.status == "undo_failed":
            events.append(undo(number, step, now_us))
        elif step.status == "failed" and step.attempts > 0:
            events.append(again(number, step, now_us))
    return events


def _wished(
    state: Transaction, news: RollbackWanted | ResolutionWanted, now_us: int
) -> Event:
    if isinstance(news, RollbackWanted):
        return _turned_back(state, news.reason, now_us)
    return _resolved(state, news, now_us)


def _turned_back(state: Transaction, reason: str, now_us: int) -> Event:
    forward = state.phase == "forward" or (
        state.phase == "stuck" and state.stuck_direction == "forward"
    )
    if not forward:
        raise TransactionRefusedError(
            f"{state.stream} cannot turn back, it is in the phase {state.phase!r}: "
            "only one on its way forward can"
        )
    if state.pivoted:
        raise TransactionRefusedError(
            f"{state.stream} is past its pivot and can only go forward: resolve it "
            "when it is stuck"
        )
    return RollbackStarted(reason=reason, at_us=now_us)


def _resolved(state: Transaction, news: ResolutionWanted, now_us: int) -> Event:
    number = state.stuck_step
    if number is None:
        raise TransactionRefusedError(
            f"{state.stream} is not stuck but in the phase {state.phase!r}: there is "
            "nothing to resolve"
        )
    match news.resolution:
        case "retry":
            return Retried(step=number, reason=news.reason, at_us=now_us)
        case "skip":
            return StepSkipped(step=number, reason=news.reason, at_us=now_us)
        case "commit":
            return Committed(at_us=now_us, forced=news.reason)
        case "roll_back":
            reason = state.reason or news.reason
            return RolledBack(reason=reason, at_us=now_us, forced=news.reason)
        case _:
            assert_never(news.resolution)


def _follow(state: Transaction, setting: Setting) -> Event | None:
    """Return the event that the state itself leads to, None if it has to wait."""
    if state.phase == "forward":
        return _follow_forward(state, setting)
    if state.phase == "back":
        return _follow_back(state, setting)
    return None


def _follow_forward(state: Transaction, setting: Setting) -> Event | None:
    for number, step in enumerate(state.steps):
        if step.status == "failed" and step.retry_at_us is None:
            if state.pivoted:
                return stuck(state, number, step.error, step.message, setting)
            reason = f"step {number} {step.plan.name}: {step.error}: {step.message}"
            return RollbackStarted(reason=reason, at_us=setting.now_us)
    if all(step.status in PASSED for step in state.steps):
        return Committed(at_us=setting.now_us)
    if overdue(state, setting.now_us):
        return RollbackStarted(reason="deadline exceeded", at_us=setting.now_us)
    return None


def _follow_back(state: Transaction, setting: Setting) -> Event | None:
    for number, step in reversed(list(enumerate(state.steps))):
        if step.status == "undoing":
            return None
        if step.status == "undo_failed":
            if step.retry_at_us is not None:
                return None
            return stuck(state, number, step.error, step.message, setting)
        if step.attempts > 0 and step.status not in {"undone", "abandoned"}:
            return undo(number, step, setting.now_us)
    return RolledBack(reason=state.reason, at_us=setting.now_us)
