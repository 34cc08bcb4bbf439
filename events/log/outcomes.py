"""Carries the outcomes of appends to those who wait for them, on the loop."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from .api import Appended, Context, Done, EventLog, IdempotencyKey, StreamAppend
from .errors import LogError

Outcome = tuple[Done, Appended | LogError]


def deliver(
    loop: asyncio.AbstractEventLoop,
    outcomes: Iterable[Outcome],
    then: Callable[[], None] | None = None,
) -> None:
    """Call each `done` with its outcome, then `then`.

    One that raises does not stop the others: its error goes to the loop's exception
    handler, and the rest are called next.
    """
    rest: Iterator[Outcome] = iter(outcomes)
    try:
        for done, outcome in rest:
            done(outcome)
    except BaseException:
        loop.call_soon(deliver, loop, rest, then)
        raise
    if then is not None:
        then()


async def appended(
    log: EventLog,
    streams: Sequence[StreamAppend],
    context: Context,
    keys: Sequence[IdempotencyKey],
) -> Appended:
    """Submit an append and wait for its outcome. Raises the `LogError` it ended with.

    It waits for room first while the log is congested. A cancelled waiter's append
    may still be committed.
    """
    while log.congested:
        await _change(log.on_congestion)
    future: asyncio.Future[Appended] = asyncio.get_running_loop().create_future()
    log.submit(streams, context, partial(_wake, future), keys=keys)
    return await future


def _wake(future: asyncio.Future[Appended], outcome: Appended | LogError) -> None:
    """Give a waiter its outcome, unless it has been cancelled."""
    if future.done():
        return
    if isinstance(outcome, Appended):
        future.set_result(outcome)
    else:
        future.set_exception(outcome)


async def _change(
    subscribe: Callable[[Callable[[bool], None]], Callable[[], None]],
) -> None:
    changed = asyncio.Event()
    remove = subscribe(lambda _: changed.set())
    try:
        await changed.wait()
    finally:
        remove()
