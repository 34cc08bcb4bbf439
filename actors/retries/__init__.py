"""Retries: failed work is tried again when that makes sense, and not too soon."""

from .budget import RetryBudget
from .classify import (
    Classifier,
    ErrorClass,
    Failure,
    InvalidInputError,
    PermanentError,
    TransientError,
    failure_of,
)
from .policy import GiveUp, PutOff, RetryIn, RetryPolicy, Strategy, Verdict
from .retrying import Retrying

__all__ = [
    "Classifier",
    "ErrorClass",
    "Failure",
    "GiveUp",
    "InvalidInputError",
    "PermanentError",
    "PutOff",
    "RetryBudget",
    "RetryIn",
    "RetryPolicy",
    "Retrying",
    "Strategy",
    "TransientError",
    "Verdict",
    "failure_of",
]
