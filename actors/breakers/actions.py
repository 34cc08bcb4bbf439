"""What a person can have a breaker do; each action needs a reason."""

from typing import assert_never

from ...events.breaker import Override
from ..runtime import Ask, CommandRejectedError
from . import decide
from .config import BreakerConfig
from .decide import Events, Why
from .machine import Machine
from .times import Now


class ReasonMissingError(CommandRejectedError):
    """An action came without a reason."""

    def __init__(self, action: str) -> None:
        super().__init__(
            f"{action} needs a reason: say why, for those who read the log"
        )


class ResetBreaker(Ask[None]):
    """Close it with an empty window."""

    reason: str
    by: str = ""


class TripBreaker(Ask[None]):
    """Open it for a cooldown."""

    reason: str
    by: str = ""


class HoldOpen(Ask[None]):
    """Refuse every call for a time, or until it is reset."""

    reason: str
    by: str = ""
    for_s: float | None = None


class DisableBreaker(Ask[None]):
    """Let every call pass uncounted, for a time or until it is reset."""

    reason: str
    by: str = ""
    for_s: float | None = None


class OnlyMeasure(Ask[None]):
    """Count, but never open, for a time or until it is reset."""

    reason: str
    by: str = ""
    for_s: float | None = None


class ConfigureBreaker(Ask[None]):
    """Judge by other settings."""

    reason: str
    by: str
    config: BreakerConfig


Action = (
    ResetBreaker
    | TripBreaker
    | HoldOpen
    | DisableBreaker
    | OnlyMeasure
    | ConfigureBreaker
)


def obey(machine: Machine, action: Action, now: Now) -> Events:
    """Decide an action; with a journal it is in force once it is durable.

    Raises `ReasonMissingError`.
    """
    if not action.reason.strip():
        raise ReasonMissingError(type(action).__name__)
    why = Why(action.reason, action.by)
    match action:
        case ResetBreaker():
            return machine.propose(lambda state: decide.reset(state, now, why), now)
        case TripBreaker():
            return machine.trip(now, why)
        case HoldOpen():
            return _override(machine, "forced_open", action.for_s, now, why)
        case DisableBreaker():
            return _override(machine, "disabled", action.for_s, now, why)
        case OnlyMeasure():
            return _override(machine, "metrics_only", action.for_s, now, why)
        case ConfigureBreaker(config=config):
            return machine.propose(
                lambda state: decide.configured(state, config, now, why), now
            )
        case _:
            assert_never(action)


def _override(
    machine: Machine, phase: Override, for_s: float | None, now: Now, why: Why
) -> Events:
    span_us = None if for_s is None else round(for_s * 1e6)
    return machine.propose(
        lambda state: decide.overridden(state, phase, now, span_us, why), now
    )
