"""How a breaker refuses."""

from typing import TYPE_CHECKING

from ...events import DramaturgError


class BreakerOpenError(DramaturgError):
    """The call was not made: its dependency is given time to recover.

    Made as often as calls are refused, so it is nothing but its `args`, and its
    message is put together when somebody reads it.
    """

    if TYPE_CHECKING:

        def __init__(
            self, breaker: str, retry_after_s: float, reason: str = ""
        ) -> None: ...

    @property
    def breaker(self) -> str:
        """The name of the breaker that refused."""
        name: str = self.args[0]
        return name

    @property
    def retry_after_s(self) -> float:
        """The soonest that another try can pass, in seconds from the refusal."""
        wait_s: float = self.args[1]
        return wait_s

    @property
    def reason(self) -> str:
        """The phase it was in, or what else forbade the call."""
        reason: str = self.args[2] if len(self.args) > 2 else ""
        return reason

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
