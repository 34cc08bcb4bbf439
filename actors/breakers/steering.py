"""What a person can do to a breaker, by hand and with a reason."""

from abc import ABC, abstractmethod

from .actions import (
    Action,
    ConfigureBreaker,
    DisableBreaker,
    HoldOpen,
    OnlyMeasure,
    ResetBreaker,
    TripBreaker,
)
from .config import BreakerConfig


class Steering(ABC):
    """The actions on a breaker. Each is in force, and durable, when it returns.

    All raise `ReasonMissingError` without a reason, and `LogUnavailableError` when
    they cannot be logged; then they are not in force.
    """

    __slots__ = ()

    @abstractmethod
    async def _act(self, action: Action) -> None:
        """Have the action done."""

    async def reset(self, reason: str, by: str = "") -> None:
        """Close it with an empty window, and end every override."""
        await self._act(ResetBreaker(reason, by))

    async def trip(self, reason: str, by: str = "") -> None:
        """Open it for a cooldown."""
        await self._act(TripBreaker(reason, by))

    async def hold_open(
        self, reason: str, by: str = "", *, for_s: float | None = None
    ) -> None:
        """Refuse every call, for a time (then it probes) or until it is reset."""
        await self._act(HoldOpen(reason, by, for_s))

    async def disable(
        self, reason: str, by: str = "", *, for_s: float | None = None
    ) -> None:
        """Let every call pass uncounted, for a time or until it is reset."""
        await self._act(DisableBreaker(reason, by, for_s))

    async def only_measure(
        self, reason: str, by: str = "", *, for_s: float | None = None
    ) -> None:
        """Count, but never open, for a time or until it is reset."""
        await self._act(OnlyMeasure(reason, by, for_s))

    async def configure(self, config: BreakerConfig, reason: str, by: str = "") -> None:
        """Judge by other settings from now on; the window is kept."""
        await self._act(ConfigureBreaker(reason, by, config))
