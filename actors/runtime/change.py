"""One change at a time: what keeps two starts or stops of a cell apart."""

import asyncio
from asyncio import CancelledError, Future
from collections.abc import Callable, Coroutine
from math import inf
from typing import TYPE_CHECKING, Any

import structlog

from .errand import Errand
from .errors import ActorStoppedError, HandlerCancelledError, StartTimeoutError

if TYPE_CHECKING:
    from .cell import Cell
    from .clock import Alarm
    from .steps import Worker

_log = structlog.get_logger(__name__)


class Change:
    """A start, halt or stop that is under way; the next one waits for its end.

    Only a start can be interrupted, by a stop or a kill: user code that gets ready
    must not keep the tree from going down.
    """

    __slots__ = ("_alarm", "_cell", "_ended", "_error", "_start", "_worker")

    def __init__(self, cell: "Cell") -> None:
        self._cell = cell
        self._ended: list[Future[None]] = []
        self._start: Future[Any] | None = None
        self._worker: Worker | None = None
        self._error: BaseException | None = None
        self._alarm: Alarm | None = None

    async def carry(
        self,
        coro: Coroutine[Any, Any, object],
        limit_s: float = inf,
    ) -> None:
        """Await the start `coro` in such a way that `interrupt` can end it.

        After `limit_s` it is interrupted. Raises `StartTimeoutError` then.
        """
        pump = self._cell.pump
        future: Future[Any] = pump.loop.create_future()
        errand = Errand(future)
        worker = pump.steps.begin(coro, errand, None)
        if worker is not None:
            self._start, self._worker = future, worker
            if limit_s < inf:
                error = StartTimeoutError(self._cell.path, limit_s)
                self._call_later(limit_s, lambda: self.interrupt(error))
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
        finally:
            self._call_later(inf, None)

    def _call_later(self, delay_s: float, call: Callable[[], None] | None) -> None:
        """Replace the alarm of this start; None: there is none any more."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if call is not None:
            self._alarm = self._cell.pump.clock.call_later(delay_s, call)

    def interrupt(self, error: BaseException) -> None:
        """Have the start fail with `error`, if this is one that can still be ended."""
        if self._worker is not None and self._error is None and self._pending:
            self._error = error
            self._worker.cancel()
            self._call_later(self._cell.spec.shutdown_s, self._abandon)

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
