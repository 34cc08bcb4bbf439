"""The test kit: time and chance in a test's hands, probes, faults, given-when-then."""

from ..actors.runtime import ManualClock
from .clock import VirtualClock
from .errors import (
    DeadlockError,
    ExpectationError,
    ImpureError,
    StepLimitError,
    UnseededError,
)
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
from .given import Decided, Given, given
from .given_streams import DecidedStreams, GivenStreams
from .loop import SeededLoop
from .probe import Probe
from .seeds import run_seeded, run_seeds

__all__ = [
    "AnswerLost",
    "ConnectionLost",
    "Crash",
    "DeadlockError",
    "Decided",
    "DecidedStreams",
    "Dice",
    "DiskFull",
    "ExpectationError",
    "Fault",
    "Faults",
    "FaultyLog",
    "Given",
    "GivenStreams",
    "ImpureError",
    "ManualClock",
    "Odds",
    "Probe",
    "Rejected",
    "SeededLoop",
    "Slow",
    "StepLimitError",
    "Torn",
    "UnseededError",
    "VirtualClock",
    "given",
    "planned",
    "run_seeded",
    "run_seeds",
]
