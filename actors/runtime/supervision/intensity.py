"""How often a supervisor restarts before it gives up."""

from bisect import bisect_left

import msgspec


class Intensity(msgspec.Struct, frozen=True):
    """At most `restarts_max` restarts in any `within_s` seconds, as in OTP.

    One more and the supervisor stops its children and fails itself, so that a
    fault which restarting does not cure reaches someone who knows more.
    """

    restarts_max: int = 3
    within_s: float = 5.0

    def __post_init__(self) -> None:
        """Refuse limits that mean nothing."""
        if self.restarts_max < 0 or self.within_s <= 0:
            message = (
                f"restarts_max={self.restarts_max} in within_s={self.within_s}: "
                "take 0 or more restarts in more than 0 seconds"
            )
            raise ValueError(message)

    def counted(self, restarts: tuple[float, ...], now_s: float) -> tuple[float, ...]:
        """Return the restarts that count once another happens at `now_s`.

        Those older than the window are left out, and never more are kept than
        tell that the limit is exceeded.
        """
        first = bisect_left(restarts, now_s - self.within_s)
        return (*restarts[first:], now_s)[-self.restarts_max - 1 :]

    def exceeded(self, restarts: tuple[float, ...]) -> bool:
        """Tell whether these counted restarts are too many."""
        return len(restarts) > self.restarts_max
