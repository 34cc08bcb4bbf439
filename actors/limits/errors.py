"""How limits on calls refuse: the call was never made, so it says nothing of its target."""

from ...events import DramaturgError


class LimitReachedError(DramaturgError):
    """The call was not made: there are too many."""


class BulkheadFullError(LimitReachedError):
    """As many calls are under way, and as many wait, as may be."""

    def __init__(self, name: str, concurrent_max: int, waiting_max: int) -> None:
        super().__init__(
            f"bulkhead {name!r} is full: {concurrent_max} calls are under way and "
            f"{waiting_max} wait; call less often, or raise concurrent_max or waiting_max",
        )
        self.bulkhead = name


class BulkheadTimeoutError(BulkheadFullError):
    """No place became free in time."""

    def __init__(self, name: str, concurrent_max: int, wait_s: float) -> None:
        LimitReachedError.__init__(
            self,
            f"bulkhead {name!r}: none of {concurrent_max} calls under way ended within "
            f"{wait_s:g} s; call less often, or raise concurrent_max or wait_s",
        )
        self.bulkhead = name


class RateLimitedError(LimitReachedError):
    """The next call would come too soon after the others."""

    def __init__(self, name: str, retry_after_s: float) -> None:
        super().__init__(
            f"rate limit {name!r} is used up: try again in {retry_after_s:.3f} s",
        )
        self.rate_limit = name
        self.retry_after_s = retry_after_s
        """The soonest that another try can pass."""
