"""Circuit breakers: calls to a failing dependency are refused until it recovers."""

from .errors import BreakerOpenError

__all__ = ["BreakerOpenError"]
