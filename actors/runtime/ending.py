"""How a system ends: in order, or cut off where it stands."""

import asyncio
from asyncio import CancelledError, Future
from collections import deque

import anyio

from . import lifecycle
from .cell import Cell
from .errand import Errand


async def in_order(
    root: Cell,
    error: BaseException | None,
    workforce: "Future[None]",
    *,
    patient: bool,
) -> None:
    """Stop all actors, the last started first.

    One cancellation that comes meanwhile waits for the end, if `patient`; the next
    one, or else the first, cuts the stop short. So does the end of `workforce`:
    whoever ends a loop cancels all its tasks at once, the workers among them.
    """
    ended: Future[None] = root.pump.loop.create_future()
    stop = lifecycle.stop(root, error)
    cancelled: CancelledError | None = None
    if not workforce.done():
        root.pump.steps.begin(stop, Errand(ended), None)
    while not (ended.done() or workforce.done()):
        try:
            with anyio.CancelScope(shield=True):
                await asyncio.wait(
                    [ended, workforce], return_when=asyncio.FIRST_COMPLETED
                )
        except CancelledError as cancellation:
            if not patient:
                raise
            patient, cancelled = False, cancellation
    if cancelled is not None:
        raise cancelled
    if not ended.done():
        stop.close()
    elif not ended.cancelled():
        ended.result()


def cut_off(root: Cell, error: BaseException | None) -> None:
    """End what is still there: nothing of the system happens after this.

    Whoever waits for anything gets an error, and no alarm is left on the clock.
    """
    pump = root.pump
    lifecycle.cut_off(root, error)
    pump.asks.close()
    pump.overdue.close()
    pump.ready = deque(maxlen=0)
