"""What tests of actors stand on: a log that fails as told."""

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

__all__ = [
    "AnswerLost",
    "ConnectionLost",
    "Crash",
    "Dice",
    "DiskFull",
    "Fault",
    "Faults",
    "FaultyLog",
    "Odds",
    "Rejected",
    "Slow",
    "Torn",
    "planned",
]
