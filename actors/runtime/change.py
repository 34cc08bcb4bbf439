"""One change at a time: what keeps two starts or stops of a cell apart."""

import asyncio
from asyncio import CancelledError, Future
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

import structlog

from .errand import Errand
from .errors import ActorStoppedError, HandlerCancelledError

if TYPE_CHECKING:
    from .cell import Cell
    from .steps import Worker

_log = structlog.get_logger(__name__)


class Change:
    """A start, halt or stop that is under way; the next one waits for its end.

    Only a start can be interrupted, by a stop or a kill: user code that gets ready
    must not keep the tree from going down.
    """

    __slots__ = ("_cell", "_ended", "_error", "_start", "_worker")

    def __init__(self, cell: "Cell") -> None:
        self._cell = cell
        self._ended: list[Future[None]] = []
        self._start: Future[Any] | None = None
        self._worker: Worker | None = None
        self._error: BaseException | None = None

    async def carry(self, coro: Coroutine[Any, Any, object]) -> None:
        """Await the start `coro` in such a way that `interrupt` can end it."""
        pump = self._cell.pump
        future: Future[Any] = pump.loop.create_future()
        errand = Errand(future)
        worker = pump.steps.begin(coro, errand, None)
        if worker is not None:
            self._start, self._worker = future, worker
        try:
            await asyncio.shield(future)
        except CancelledError:
            if future.cancelled():
                path = self._cell.path
                raise self._error or HandlerCancelledError(
                    f"the start of {path} was cancelled",
                ) from None
            assert worker is not None  # a future that is done does not suspend
            worker.cancel()
            raise

    def interrupt(self, error: BaseException) -> None:
        """Have the start fail with `error`, if this is one that can still be ended."""
        if self._worker is not None and self._error is None and self._pending:
            self._error = error
            self._worker.cancel()
            self._cell.pump.clock.call_later(self._cell.spec.shutdown_s, self._abandon)

    @property
    def _pending(self) -> bool:
        return self._start is not None and not self._start.done()

    def _abandon(self) -> None:
        """Wait no longer for a start that takes no notice of its cancellation."""
        if self._pending:
            assert self._worker is not None
            assert self._start is not None
            self._worker.abandon()
            _log.error("actor.abandoned", actor=self._cell.path, hook="starting")
            self._start.cancel()

    async def ended(self) -> None:
        """Wait for the end of this change."""
        waiter: Future[None] = self._cell.pump.loop.create_future()
        self._ended.append(waiter)
        await waiter

    def end(self) -> None:
        """Let the next change begin."""
        self._cell.change = None
        for waiter in self._ended:
            if not waiter.done():
                waiter.set_result(None)


async def begin(cell: "Cell", *, interrupting: bool = False) -> Change:
    """Wait until `cell` is not being changed, and change it; `end` it afterwards."""
    while cell.change is not None:
        if interrupting:
            cell.change.interrupt(ActorStoppedError(cell.path))
        await cell.change.ended()
    cell.change = change = Change(cell)
    return change
