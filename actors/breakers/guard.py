"""One guarded call as an asynchronous context."""

from types import TracebackType
from typing import Protocol

from .generation import Permit


class Permits(Protocol):
    """Where permits come from and go to."""

    async def acquire(self) -> Permit:
        """Return the permit for one call. Raises `BreakerOpenError`."""
        ...

    def done(self, permit: Permit, result: object = None) -> None:
        """End a permit whose call returned."""
        ...

    def failed(self, permit: Permit, error: BaseException) -> None:
        """End a permit whose call raised."""
        ...


class Guard:
    """One call as an asynchronous context; the exception tells how it went."""

    __slots__ = ("_breaker", "_permit")

    def __init__(self, breaker: Permits) -> None:
        self._breaker = breaker
        self._permit: Permit | None = None

    async def __aenter__(self) -> Permit:
        """Wait for the permit."""
        self._permit = await self._breaker.acquire()
        return self._permit

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the permit, unless the body has done so."""
        permit = self._permit
        if permit is None or permit.used:
            return
        if error is None:
            self._breaker.done(permit)
        else:
            self._breaker.failed(permit, error)
