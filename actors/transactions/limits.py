"""The limits of a coordinator, and the delays between its attempts."""

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """How much a coordinator takes on, and how hard it tries."""

    active_max: int = 100
    """Transactions that have not ended, stuck ones included."""
    steps_max: int = 32
    deadline_max_s: float = 3600.0
    attempts_max: int = 5
    """Tries of a compensation, of a step after the pivot and of a step in doubt."""
    backoff_base_s: float = 0.5
    backoff_cap_s: float = 30.0

    def retry_at_us(self, failures: int, now_us: int, draw: float) -> int:
        """Return when to try again after `failures` in a row, `draw` being in [0, 1).

        Exponential with equal jitter: half of the delay is fixed, so that a
        resource in trouble is never hammered, and half is drawn.
        """
        factor: float = 2.0 ** min(failures - 1, 30)
        delay_s = min(self.backoff_cap_s, self.backoff_base_s * factor)
        return now_us + round(delay_s * (0.5 + draw / 2) * 1_000_000)
