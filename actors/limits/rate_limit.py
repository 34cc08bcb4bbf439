"""A limit on calls in a stretch of time, such as a provider grants them."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec

from ..settings import require
from .errors import RateLimitedError


class RateLimitConfig(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True
):
    """How many calls may be made in how long. Raises `SettingsError`."""

    calls: int
    period_s: float = 1.0
    """`calls` are made in so many seconds, evenly in the long run."""
    burst: int | None = None
    """So many may be made at once after a rest; None: all `calls` of a period."""
    wait_s: float = 0.0
    """A call waits so long for its turn at the most; 0: it is refused at once."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        for name in ("calls", "burst"):
            value = getattr(self, name)
            holds = value is None or value >= 1
            require(holds=holds, name=name, value=value, rule="at least 1")
        require(
            holds=self.period_s > 0,
            name="period_s",
            value=self.period_s,
            rule="more than 0",
        )
        require(
            holds=self.wait_s >= 0, name="wait_s", value=self.wait_s, rule="0 or more"
        )

    @property
    def interval_s(self) -> float:
        """How far apart calls are in the long run."""
        return self.period_s / self.calls

    @property
    def slack_s(self) -> float:
        """How far ahead of an even pace a burst may be."""
        burst = self.calls if self.burst is None else self.burst
        return (burst - 1) * self.interval_s


class RateLimit:
    """A token bucket, kept as the instant at which it will be full again (GCRA).

    Calls that wait have their turns in the order in which they came. A turn that
    is given up stays unused, so the limit holds whatever happens. `clock` gives
    monotonic seconds; it and `sleep` are replaced in tests.
    """

    __slots__ = ("_clock", "_config", "_due_s", "_sleep", "name", "refused", "waiting")

    def __init__(
        self,
        name: str,
        config: RateLimitConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self.refused = 0
        """Calls that would have had to wait too long."""
        self.waiting = 0
        """Calls that wait for their turn."""
        self._config = config
        self._clock = clock
        self._sleep = sleep
        self._due_s = float("-inf")
        """When the next call is due at an even pace."""

    async def acquire(self) -> None:
        """Wait for the turn of one call. Raises `RateLimitedError`."""
        config, now_s = self._config, self._clock()
        due_s = max(self._due_s, now_s)
        wait_s = due_s - config.slack_s - now_s
        if wait_s > config.wait_s:
            self.refused += 1
            raise RateLimitedError(self.name, wait_s - config.wait_s)
        self._due_s = due_s + config.interval_s
        if wait_s > 0:
            self.waiting += 1
            try:
                await self._sleep(wait_s)
            finally:
                self.waiting -= 1
