"""Guards: all that protects the calls to one dependency, composed in a fixed order."""

from .asgi import BreakerMiddleware
from .client import guard_client
from .config import GuardConfig
from .guard import REFUSALS, Fallback, Guard
from .guards import Guards, NoSuchGuardError

__all__ = [
    "REFUSALS",
    "BreakerMiddleware",
    "Fallback",
    "Guard",
    "GuardConfig",
    "Guards",
    "NoSuchGuardError",
    "guard_client",
]
