"""The test kit: time and chance in a test's hands, and a log that fails as told."""

from ..actors.runtime import ManualClock
from .clock import VirtualClock
from .errors import DeadlockError, ExpectationError, StepLimitError, UnseededError
from .faults import (
    AnswerLost,
    ConnectionLost,
    Crash,
    Dice,
    DiskFull,
    Fault,
    Faults,
    Odds,
    Rejected,
    Slow,
    Torn,
    planned,
)
from .faulty_log import FaultyLog
from .loop import SeededLoop
from .seeds import run_seeded, run_seeds

__all__ = [
    "AnswerLost",
    "ConnectionLost",
    "Crash",
    "DeadlockError",
    "Dice",
    "DiskFull",
    "ExpectationError",
    "Fault",
    "Faults",
    "FaultyLog",
    "ManualClock",
    "Odds",
    "Rejected",
    "SeededLoop",
    "Slow",
    "StepLimitError",
    "Torn",
    "UnseededError",
    "VirtualClock",
    "planned",
    "run_seeded",
    "run_seeds",
]
