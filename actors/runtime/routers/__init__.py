"""References that stand for several actors and choose among them."""

from .broadcast import Broadcast
from .consistent_hash import ConsistentHash
from .least_loaded import LeastLoaded
from .ring import Ring
from .round_robin import RoundRobin
from .router import OneOf, Router

__all__ = [
    "Broadcast",
    "ConsistentHash",
    "LeastLoaded",
    "OneOf",
    "Ring",
    "RoundRobin",
    "Router",
]
