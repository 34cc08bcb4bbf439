"""Coroutines of the runtime itself, which suspend only if they must."""

from asyncio import CancelledError, Future
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import structlog

from .faults import described

if TYPE_CHECKING:
    from .cell import Cell
    from .origin import Origin

_log = structlog.get_logger(__name__)


class Errand:
    """A coroutine of the runtime; its outcome is a future for those who wait."""

    __slots__ = ("_future", "error", "origin", "result")

    def __init__(self, future: "Future[Any] | None" = None) -> None:
        self._future = future
        self.origin: Origin | None = None
        self.result: object = None
        self.error: BaseException | None = None

    def settled(self, result: object) -> None:
        """Take the result."""
        self.result = result
        if self._future is not None and not self._future.done():
            self._future.set_result(result)

    def crashed(self, error: BaseException) -> None:
        """Take the error."""
        self.error = error
        if self._future is not None and not self._future.done():
            if isinstance(error, CancelledError):
                self._future.cancel()
            else:
                self._future.set_exception(error)
                self._future.exception()  # who waited may have been cancelled


class _Unattended(Errand):
    """An errand nobody waits for: its error is a fault of the runtime, and logged."""

    __slots__ = ()

    def crashed(self, error: BaseException) -> None:
        """Report the error."""
        if isinstance(error, Exception):
            _log.error("runtime.failed", **described(error))


def go(cell: "Cell", coro: Coroutine[Any, Any, object]) -> None:
    """Run a change of the tree that nobody waits for."""
    cell.pump.steps.begin(coro, _Unattended(), None)


async def together(cell: "Cell", changes: list[Coroutine[Any, Any, None]]) -> None:
    """Carry out changes of several cells beside one another."""
    futures: list[Future[None]] = []
    for change in changes:
        future: Future[None] = cell.pump.loop.create_future()
        futures.append(future)
        cell.pump.steps.begin(change, Errand(future), None)
    for future in futures:
        await future
