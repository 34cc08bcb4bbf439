"""The limits of a coordinator, and the delays between its attempts."""

import msgspec

from ..retries import RetryPolicy


class Limits(msgspec.Struct, frozen=True):
    """How much a coordinator takes on, and how hard it tries."""

    active_max: int = 100
    """Transactions that have not ended, stuck ones included."""
    steps_max: int = 32
    deadline_max_s: float = 3600.0
    retry: RetryPolicy = RetryPolicy(attempts_max=5, base_s=0.5, cap_s=30.0)
    """For compensations, steps after the pivot, and the crashes of a step in doubt.

    Its delays hold for other steps as well; those say themselves how often.
    """

    @property
    def attempts_max(self) -> int:
        """How often a thing that has to happen is tried before it is stuck."""
        return self.retry.attempts_max

    def retry_at_us(self, failures: int, now_us: int, draw: float) -> int:
        """Return when to try again after `failures` in a row, `draw` being in [0, 1)."""
        delay_s = self.retry.backoff_s("exponential", failures, draw)
        return now_us + round(delay_s * 1_000_000)
