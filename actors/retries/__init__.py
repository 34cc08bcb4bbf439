"""Retries: failed work is tried again when that makes sense, and not too soon."""

from .classify import (
    Classifier,
    ErrorClass,
    Failure,
    InvalidInputError,
    PermanentError,
    TransientError,
)
from .policy import GiveUp, PutOff, RetryIn, RetryPolicy, Strategy, Verdict

__all__ = [
    "Classifier",
    "ErrorClass",
    "Failure",
    "GiveUp",
    "InvalidInputError",
    "PermanentError",
    "PutOff",
    "RetryIn",
    "RetryPolicy",
    "Strategy",
    "TransientError",
    "Verdict",
]
