"""One thread for one resource: calls reach it in turn and never block the loop."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

import anyio

from ...actors.retries import TransientError
from .errors import DocumentError

P = ParamSpec("P")
R = TypeVar("R")


class ThreadBusyError(DocumentError, TransientError):
    """Too many calls wait for the thread; trying again later may help."""

    def __init__(self, message: str) -> None:
        TransientError.__init__(self, message)


class DedicatedThread:
    """Runs functions one after another in a thread of its own.

    A caller that is cancelled before its turn leaves no trace; one that is cancelled
    later leaves a call that goes on to its end.
    """

    def __init__(self, name: str, *, waiting_max: int = 1000) -> None:
        self._name = name
        self._waiting_max = waiting_max
        self._waiting = 0
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    async def run(
        self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call `function` in the thread. Raises `ThreadBusyError` at the limit."""
        if self._waiting >= self._waiting_max:
            raise ThreadBusyError(
                f"{self._waiting:,} calls wait for {self._name}: start fewer at a time"
            )
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            call = partial(function, *args, **kwargs)
            return await loop.run_in_executor(self._executor, call)
        finally:
            self._waiting -= 1

    async def finish(self, function: Callable[[], object]) -> None:
        """Call `function` after all that waits, even while the caller is cancelled."""
        with anyio.CancelScope(shield=True):
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._executor, function)

    async def close(self) -> None:
        """Finish the running call, drop the waiting ones and end the thread."""
        with anyio.CancelScope(shield=True):
            shutdown = partial(self._executor.shutdown, cancel_futures=True)
            await anyio.to_thread.run_sync(shutdown)
