"""Limits on calls: how many at once, and how many in a stretch of time."""

from .bulkhead import Bulkhead, BulkheadConfig
from .errors import (
    BulkheadFullError,
    BulkheadTimeoutError,
    LimitReachedError,
    RateLimitedError,
)
from .rate_limit import RateLimit, RateLimitConfig

__all__ = [
    "Bulkhead",
    "BulkheadConfig",
    "BulkheadFullError",
    "BulkheadTimeoutError",
    "LimitReachedError",
    "RateLimit",
    "RateLimitConfig",
    "RateLimitedError",
]
