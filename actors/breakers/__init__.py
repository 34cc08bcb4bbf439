"""Circuit breakers: calls to a failing dependency are refused until it recovers."""

from .actions import (
    ConfigureBreaker,
    DisableBreaker,
    HoldOpen,
    OnlyMeasure,
    ReasonMissingError,
    ResetBreaker,
    TripBreaker,
    obey,
)
from .actor import BreakerActor
from .breaker import Breaker
from .config import BreakerConfig
from .errors import BreakerOpenError, PermitUsedError
from .generation import Permit, Rejection
from .machine import Machine
from .outcomes import Outcomes
from .registry import Breakers, NoSuchBreakerError
from .state import FOLD, BreakerState, evolve
from .statistics import Statistics
from .times import Clocks, Now

__all__ = [
    "FOLD",
    "Breaker",
    "BreakerActor",
    "BreakerConfig",
    "BreakerOpenError",
    "BreakerState",
    "Breakers",
    "Clocks",
    "ConfigureBreaker",
    "DisableBreaker",
    "HoldOpen",
    "Machine",
    "NoSuchBreakerError",
    "Now",
    "OnlyMeasure",
    "Outcomes",
    "Permit",
    "PermitUsedError",
    "ReasonMissingError",
    "Rejection",
    "ResetBreaker",
    "Statistics",
    "TripBreaker",
    "evolve",
    "obey",
]
