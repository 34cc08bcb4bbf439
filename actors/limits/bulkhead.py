"""A limit on calls under way at once, so that one slow dependency takes not everything."""

import asyncio
from collections import deque
from types import TracebackType

import msgspec

from ..settings import require
from .errors import BulkheadFullError, BulkheadTimeoutError


class BulkheadConfig(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True
):
    """How many calls may be under way, and how many may wait for their turn.

    The defaults are resilience4j's: 25 at once, none waits. Raises `SettingsError`.
    """

    concurrent_max: int = 25
    waiting_max: int = 0
    wait_s: float | None = None
    """Nobody waits longer; None: as long as the call's own limits let it."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        for name, least in (("concurrent_max", 1), ("waiting_max", 0)):
            value = getattr(self, name)
            require(
                holds=value >= least, name=name, value=value, rule=f"at least {least}"
            )
        require(
            holds=self.wait_s is None or self.wait_s > 0,
            name="wait_s",
            value=self.wait_s,
            rule="more than 0",
        )


class Bulkhead:
    """Places for calls, given in the order in which they are asked for.

    Use it as an asynchronous context, from one event loop.
    """

    __slots__ = ("_config", "_under_way", "_waiting", "name", "refused")

    def __init__(self, name: str, config: BulkheadConfig | None = None) -> None:
        self.name = name
        self.refused = 0
        """Calls that found it full, or waited in vain."""
        self._config = config or BulkheadConfig()
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def under_way(self) -> int:
        """How many calls have a place."""
        return self._under_way

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return len(self._waiting)

    async def __aenter__(self) -> None:
        """Take a place. Raises `BulkheadFullError`."""
        if self._under_way < self._config.concurrent_max:
            self._under_way += 1
            return
        if len(self._waiting) >= self._config.waiting_max:
            self.refused += 1
            config = self._config
            raise BulkheadFullError(
                self.name, config.concurrent_max, config.waiting_max
            )
        await self._wait(asyncio.get_running_loop().create_future())

    async def _wait(self, turn: asyncio.Future[None]) -> None:
        """Wait for the place of a call that ends; it is handed over, never free between."""
        self._waiting.append(turn)
        wait_s = self._config.wait_s
        try:
            async with asyncio.timeout(wait_s):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._release()  # it was handed over while the wait was broken off
            elif turn in self._waiting:
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError) and wait_s is not None:
                self.refused += 1
                raise BulkheadTimeoutError(
                    self.name, self._config.concurrent_max, wait_s
                ) from None
            raise

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the place to who has waited longest."""
        self._release()

    def _release(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._under_way -= 1
