"""How an actor is made to end: by itself, in order, after its work, or at once."""

import asyncio
from asyncio import CancelledError, Future
from collections.abc import Coroutine
from typing import Any

from . import lifecycle
from .cell import Cell
from .errand import Errand, go
from .errors import SystemClosedError
from .messages import Last


async def assured(cell: Cell, coro: Coroutine[Any, Any, object]) -> None:
    """Await a change that goes on to its end even if whoever waits is cancelled."""
    future: Future[object] = cell.pump.loop.create_future()
    cell.pump.steps.begin(coro, Errand(future), None)
    try:
        await asyncio.shield(future)
    except CancelledError:
        if future.cancelled():
            raise SystemClosedError(
                f"the system of {cell.path} was cut short"
            ) from None
        raise


def leave(cell: Cell) -> None:
    """Stop `cell` for good at its own wish.

    Its supervisor hears of it unless it would start it again; it may be what the
    supervisor itself waited for to end.
    """
    if cell.spec.restart == "permanent":
        go(cell, lifecycle.stop(cell, None))
    else:
        cell.supervision.exited(cell)


def drain(cell: Cell) -> Future[None]:
    """Have `cell` stop once it has worked off all that waits now.

    What comes later becomes dead messages. The future is done when it is down.
    """
    ended: Future[None] = cell.pump.loop.create_future()

    def down(_: BaseException | None) -> None:
        if not ended.done():
            ended.set_result(None)

    if cell.stopped:
        down(None)
        return ended
    cell.own_extras().own_watchers()[ended] = down
    cell.deliver(Last())
    return ended


def fell(cell: Cell, error: Exception) -> None:
    """Have `cell` fail at once with `error`, whatever it is doing."""
    if cell.change is not None:
        cell.change.interrupt(error)
    if cell.state in {"running", "suspended"}:
        worker = cell.job
        cell.state = "running"
        cell.fail(error)
        if worker is not None:
            worker.cancel()
    elif cell.job is not None:  # a stop need not wait for it
        cell.job.cancel()
