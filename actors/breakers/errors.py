"""How a breaker refuses."""

from ...events import DramaturgError


class BreakerOpenError(DramaturgError):
    """The call was not made: its dependency is given time to recover."""

    def __init__(self, breaker: str, retry_after_s: float, reason: str = "") -> None:
        super().__init__(breaker, retry_after_s, reason)
        self.breaker = breaker
        self.retry_after_s = retry_after_s
        """The soonest that another try can pass, in seconds."""
        self.reason = reason

    def __str__(self) -> str:
        """Say so when asked, since most refusals are caught and never read."""
        why = f" ({self.reason})" if self.reason else ""
        return (
            f"breaker {self.breaker!r} refused the call{why}: "
            f"try again in {self.retry_after_s:.3f} s"
        )


class PermitUsedError(DramaturgError):
    """A permit was settled twice; one permit stands for one call."""

    def __init__(self, breaker: str) -> None:
        super().__init__(
            f"this permit of breaker {breaker!r} was settled or cancelled before: "
            "acquire one for each call",
        )
