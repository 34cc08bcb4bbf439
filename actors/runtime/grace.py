"""How long hooks and handlers may take to end once their actor goes down."""

from asyncio import Future
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from .errand import Errand
from .errors import HandlerCancelledError
from .inbox import BUSY

if TYPE_CHECKING:
    from .cell import Cell

T = TypeVar("T")

_log = structlog.get_logger(__name__)


async def limited(cell: "Cell", coro: Coroutine[Any, Any, T], limit_s: float) -> bool:
    """Await a hook for `limit_s`, then cancel it and go on; tell whether it ended.

    Raises what it raised. A hook that takes no notice of its cancellation for another
    `limit_s` is abandoned.
    """
    future: Future[T] = cell.pump.loop.create_future()
    errand = Errand(future)
    worker = cell.pump.steps.begin(coro, errand, None)
    if worker is None:
        if errand.error is not None:
            if not future.cancelled():
                future.exception()  # it is raised here
            raise errand.error
        return True
    for act in (worker.cancel, worker.abandon):
        if await _done_within(cell, future, limit_s):
            break
        act()
    if not future.done():
        _log.error("actor.abandoned", actor=cell.path, limit_s=limit_s)
        return False
    if future.cancelled():
        return False
    future.result()
    return True


async def _done_within(cell: "Cell", future: "Future[Any]", limit_s: float) -> bool:
    """Wait for `future` without looking at its outcome; tell whether it is done."""
    waiter: Future[None] = cell.pump.loop.create_future()

    def wake(_: object = None) -> None:
        if not waiter.done():
            waiter.set_result(None)

    future.add_done_callback(wake)
    alarm = cell.pump.clock.call_later(limit_s, wake)
    try:
        await waiter
    finally:
        alarm.cancel()
    return future.done()


async def end_handler(cell: "Cell") -> None:
    """Wait for a suspended handler, then cancel it, then abandon it.

    With a `shutdown_s` of 0 it is cancelled at once, as OTP's brutal_kill does.
    """
    limit_s = cell.spec.shutdown_s
    steps = ("cancel", "abandon")
    for step in steps:
        if not cell.gate & BUSY:
            return
        if limit_s or step == "abandon":
            alarm = cell.pump.clock.call_later(limit_s, cell.notify)
            try:
                await cell.queue().for_end()
            finally:
                alarm.cancel()
        worker = cell.job
        if worker is None:
            return
        if step == "cancel":
            worker.cancel()
        else:
            worker.abandon()
            _log.error(
                "actor.abandoned",
                actor=cell.path,
                message=type(cell.message).__name__,
            )
            cell.crashed(HandlerCancelledError(f"{cell.path} was abandoned"))
