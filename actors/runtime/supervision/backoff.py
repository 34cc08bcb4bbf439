"""How long a failed child stays down before it is started again."""

import msgspec


class Backoff(msgspec.Struct, frozen=True):
    """Exponential delays with jitter: `min_s`, twice that, ... up to `max_s`.

    While a child is down its mailbox is kept and its bound holds; it is only not
    scheduled. The default grows fast enough that a child which fails at every
    start never exceeds the default intensity; a shorter `min_s` may.
    """

    min_s: float = 1.0
    max_s: float = 60.0
    jitter: float = 0.2
    """The share of a delay, 0 to 1, that chance may take off."""
    reset_after_s: float = 60.0
    """A child that lived this long has recovered: its next failure is a first one."""

    def __post_init__(self) -> None:
        """Refuse delays that cannot be waited for."""
        if not 0 < self.min_s <= self.max_s:
            message = f"min_s={self.min_s}, max_s={self.max_s}: take 0 < min_s <= max_s"
            raise ValueError(message)
        if not 0 <= self.jitter <= 1:
            message = f"jitter={self.jitter}: take a share from 0 to 1"
            raise ValueError(message)
        if self.reset_after_s <= 0:
            message = f"reset_after_s={self.reset_after_s}: take more than 0 seconds"
            raise ValueError(message)

    def attempt(self, before: int, lived_s: float) -> int:
        """Return the number of this failure in a row, given how long it lived."""
        return 1 if lived_s >= self.reset_after_s else before + 1

    def delay_s(self, attempt: int, draw: float) -> float:
        """Return the delay before start number `attempt` (from 1); `draw` in [0, 1)."""
        doublings = min(attempt - 1, 64)  # 2.0**1024 would overflow
        return min(self.max_s, self.min_s * 2.0**doublings) * (1 - self.jitter * draw)
