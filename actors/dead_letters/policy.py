"""How a dead letter queue is run: its limits, times and delays."""

import msgspec

from ..retries import RetryPolicy
from .messages import Limit

DAY_S = 86_400.0


class QueuePolicy(msgspec.Struct, frozen=True):
    """The settings of one dead letter queue."""

    entries_max: int = 10_000
    limit: Limit = "evict_oldest"
    ttl_s: float = 7 * DAY_S
    """How long an entry is kept that does not say itself when it expires."""
    sweep_s: float = 3600.0
    """How often expired entries are let go, and unannounced ones found."""
    retry_s: float = 300.0
    """How often entries that are due are redriven in the background."""
    pace_s: float = 1.0
    """How often a bulk redrive goes on."""
    redrives_at_once_max: int = 100
    """Entries of one target that are being handed back at a time."""
    reservation_s: float = 60.0
    """How long a promised place is kept for somebody about to park."""
    take_back_s: float = 30.0
    """How long the owner has to take work back before it is asked again."""
    retry: RetryPolicy = RetryPolicy(base_s=300.0, cap_s=6 * 3600.0)
    """The delays between redrives; each entry says itself how many it gets."""

    def expires_us(self, parked_us: int, own_us: int | None) -> int:
        """Return when an entry expires."""
        return parked_us + round(self.ttl_s * 1_000_000) if own_us is None else own_us
