"""Transactions over several resources: all steps happen, or none, or it shows."""

from .actor import CoordinatorActor
from .coordinator import Coordinator, Transaction
from .errors import (
    ChangedMeanwhileError,
    FencedError,
    TransactionError,
    TransactionFailedError,
    TransactionNotFoundError,
    TransactionRefusedError,
    UnknownStepError,
)
from .limits import Limits
from .messages import Outcome
from .news import Answered
from .step import Call, Do, Nothing, Step, Steps

__all__ = [
    "Answered",
    "Call",
    "ChangedMeanwhileError",
    "Coordinator",
    "CoordinatorActor",
    "Do",
    "FencedError",
    "Limits",
    "Nothing",
    "Outcome",
    "Step",
    "Steps",
    "Transaction",
    "TransactionError",
    "TransactionFailedError",
    "TransactionNotFoundError",
    "TransactionRefusedError",
    "UnknownStepError",
]
