"""Backtests: what other settings of a breaker would have done with recorded calls."""

from .backtest import (
    Assumption,
    BacktestError,
    BacktestResult,
    WouldTrip,
    backtest,
)
from .recorded import RecordedCall, RecordedTrip, Recording, recorded_calls
from .suggest import Suggestion, cost, suggest

__all__ = [
    "Assumption",
    "BacktestError",
    "BacktestResult",
    "RecordedCall",
    "RecordedTrip",
    "Recording",
    "Suggestion",
    "WouldTrip",
    "backtest",
    "cost",
    "recorded_calls",
    "suggest",
]
