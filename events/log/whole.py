"""Blocking work in a thread, from which nobody walks away while it runs."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar, TypeVarTuple

import anyio
from anyio.to_thread import run_sync

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


async def run_whole(work: Callable[[*Ts], T], *values: *Ts) -> T:
    """Return what `work` returns; if cancelled meanwhile, raise when it has ended.

    A thread cannot be cancelled. anyio waits for it when one of its own scopes is
    cancelled, but not after `Task.cancel`, which is how asyncio ends a task, and
    everything at Ctrl-C. Who then closes what the thread still uses, such as a
    connection of SQLite, brings the process down.
    """
    task = asyncio.ensure_future(run_sync(partial(work, *values)))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True):
            while not task.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # nobody is left to hear of it
        raise
