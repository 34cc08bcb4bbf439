"""Carries the outcomes of appends to those who wait for them, on the loop."""

import asyncio
from asyncio import Future
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Protocol

from .api import Appended, Context, Done, IdempotencyKey, StreamAppend
from .errors import LogError

Waiter = Done | Future[Appended]
"""Who is to be told what became of an append."""

Outcome = tuple[Waiter, Appended | LogError]


def deliver(
    loop: asyncio.AbstractEventLoop,
    outcomes: Iterable[Outcome],
    then: Callable[[], None] | None = None,
) -> None:
    """Tell each waiter its outcome, unless it was cancelled; then call `then`.

    One that raises does not stop the others: its error goes to the loop's exception
    handler, and the rest are told next.
    """
    rest: Iterator[Outcome] = iter(outcomes)
    try:
        for waiter, outcome in rest:
            if not isinstance(waiter, Future):
                waiter(outcome)
            elif waiter.done():
                continue
            elif isinstance(outcome, Appended):
                # A future of something else that can be called cannot be ruled out.
                waiter.set_result(outcome)  # pyright: ignore[reportUnknownMemberType]
            else:
                waiter.set_exception(outcome)
    except BaseException:
        loop.call_soon(deliver, loop, rest, then)
        raise
    if then is not None:
        then()


class Submits(Protocol):
    """What a log's `append` is made of."""

    congested: bool

    def submit(
        self,
        streams: Sequence[StreamAppend],
        context: Context,
        done: Waiter,
        *,
        keys: Sequence[IdempotencyKey] = (),
    ) -> object:
        """Queue an append; see `EventLog.submit`."""
        ...

    def on_congestion(self, listener: Callable[[bool], None]) -> Callable[[], None]:
        """Be told of the limit of unwritten events; see `EventLog.on_congestion`."""
        ...


def appended(
    log: Submits,
    streams: Sequence[StreamAppend],
    context: Context,
    keys: Sequence[IdempotencyKey],
) -> Awaitable[Appended]:
    """Submit an append and return its outcome, or the `LogError` it ends with.

    While the log is congested it is submitted when there is room again. A cancelled
    waiter's append may still be committed.
    """
    if log.congested:
        return _appended_later(log, streams, context, keys)
    future: Future[Appended] = asyncio.get_running_loop().create_future()
    log.submit(streams, context, future, keys=keys)
    return future


async def _appended_later(
    log: Submits,
    streams: Sequence[StreamAppend],
    context: Context,
    keys: Sequence[IdempotencyKey],
) -> Appended:
    while log.congested:
        await _change(log.on_congestion)
    return await appended(log, streams, context, keys)


async def _change(
    subscribe: Callable[[Callable[[bool], None]], Callable[[], None]],
) -> None:
    changed = asyncio.Event()
    remove = subscribe(lambda _: changed.set())
    try:
        await changed.wait()
    finally:
        remove()
