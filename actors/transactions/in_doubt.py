"""What becomes of the steps whose outcome a crash swallowed."""

from ...events import Event
from ...events.transactions import (
    CompensationFailed,
    RolledBack,
    StepDone,
    StepDoubted,
    StepFailed,
    Stuck,
)
from .moves import Setting, again, lost, overdue, stuck, undo
from .news import Answered
from .transaction import StepState, Transaction

ERASED = "its owner's data was erased; what its steps did was not taken back"
"""Why the end is declared of a transaction of which an event was erased."""


def recovered(
    state: Transaction, running: frozenset[int], setting: Setting
) -> list[Event]:
    """Deal with the steps whose outcome nobody will report any more."""
    if state.erased:
        return [RolledBack(reason=ERASED, at_us=setting.now_us, forced=ERASED)]
    if state.phase == "back":
        return [
            _undo_in_doubt(number, step, setting)
            for number, step in enumerate(state.steps)
            if step.status == "undoing" and number not in running
        ]
    if state.phase != "forward" or overdue(state, setting.now_us):
        return []
    events = [
        _in_doubt(state, number, setting)
        for number, step in enumerate(state.steps)
        if step.status in {"started", "doubted"} and number not in running
    ]
    turning = [event for event in events if isinstance(event, StepFailed)]
    if turning and not state.pivoted:
        return list[Event](turning)
    manual = [event for event in events if isinstance(event, Stuck)]
    others = [event for event in events if not isinstance(event, Stuck)]
    return [*others] if turning else [*others, *manual[:1]]


def answered(state: Transaction, news: Answered, setting: Setting) -> list[Event]:
    """Go by what the resource says of a step in doubt."""
    step, now_us = state.steps[news.step], setting.now_us
    if news.found == "done":
        return [StepDone(step=news.step, result=news.result, at_us=now_us)]
    if news.found == "absent" and step.failures < setting.limits.attempts_max:
        if state.phase == "stuck" or overdue(state, now_us):
            return []  # what is in doubt is asked again when it goes on
        return [again(news.step, step, now_us)]
    return [lost(news.step, now_us)]


def _in_doubt(state: Transaction, number: int, setting: Setting) -> Event:
    """Do as the step declares, as often as the limit allows."""
    step, now_us = state.steps[number], setting.now_us
    if step.plan.in_doubt == "manual":
        reason = "a crash swallowed the outcome"
        return stuck(state, number, "InDoubt", reason, setting)
    if step.failures + 1 >= setting.limits.attempts_max:
        return lost(number, now_us)
    if step.plan.in_doubt == "redo":
        return again(number, step, now_us)
    if step.plan.in_doubt == "query":
        return StepDoubted(step=number, at_us=now_us)
    return lost(number, now_us)


def _undo_in_doubt(number: int, step: StepState, setting: Setting) -> Event:
    if step.failures + 1 < setting.limits.attempts_max:
        return undo(number, step, setting.now_us)
    return CompensationFailed(
        step=number,
        error="InDoubt",
        message="crashes swallowed the outcome too often",
        at_us=setting.now_us,
    )
