"""One thread for one resource: calls reach it in turn and never block the loop."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
import structlog

from ...actors.retries import TransientError
from .errors import DocumentError

P = ParamSpec("P")
R = TypeVar("R")

HUNG_S = 60.0
"""A call that has gone on for so long is taken not to come back."""

_log = structlog.get_logger(__name__)


class ThreadBusyError(DocumentError, TransientError):
    """The thread takes no more calls now; trying again later may help."""

    def __init__(self, message: str) -> None:
        TransientError.__init__(self, message)


class ThreadHungError(DocumentError):
    """A call does not come back, and its thread cannot be ended but with the process."""


class DedicatedThread:
    """Runs functions one after another in a thread of its own.

    A caller that is cancelled before its turn leaves no trace; one that is cancelled
    later leaves a call that goes on to its end. One that has no end, as when a
    library waits for something that will not happen, is left behind at closing.
    """

    def __init__(self, name: str, *, waiting_max: int = 1000) -> None:
        self._name = name
        self._waiting_max = waiting_max
        self._waiting = 0
        self._began_s: float | None = None
        """When the call began that is running."""
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)

    @property
    def call_s(self) -> float:
        """For how long the running call has gone on; 0: there is none."""
        began_s = self._began_s
        return 0.0 if began_s is None else time.monotonic() - began_s

    def require_alive(self) -> None:
        """Raise `ThreadHungError` if a call does not come back."""
        call_s = self.call_s
        if call_s >= HUNG_S:
            raise ThreadHungError(
                f"{self._name} has not come back for {call_s:.0f} s, and nothing but a "
                "new process opens it again: run the same command again to go on",
            )

    async def run(
        self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call `function` in the thread.

        Raises `ThreadBusyError` at the limit, and while a call does not come back.
        """
        if self._waiting >= self._waiting_max or self.call_s >= HUNG_S:
            raise ThreadBusyError(
                f"{self._waiting:,} calls wait for {self._name}, one for "
                f"{self.call_s:.0f} s: start fewer at a time"
            )
        self._waiting += 1
        try:
            return await self._called(partial(function, *args, **kwargs))
        finally:
            self._waiting -= 1

    async def _called(self, call: Callable[[], R]) -> R:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._timed, call)

    def _timed(self, call: Callable[[], R]) -> R:
        self._began_s = time.monotonic()
        try:
            return call()
        finally:
            self._began_s = None

    async def finish(self, function: Callable[[], object]) -> None:
        """Call `function` after all that waits, even while the caller is cancelled.

        It is not called if a call before it does not come back.
        """
        with anyio.move_on_after(self._left_s(), shield=True):
            await self._called(function)

    async def close(self) -> None:
        """Finish the running call, drop the waiting ones and end the thread."""
        shutdown = partial(self._executor.shutdown, cancel_futures=True)
        with anyio.move_on_after(self._left_s(), shield=True) as patience:
            await anyio.to_thread.run_sync(shutdown, abandon_on_cancel=True)
        if patience.cancelled_caught:
            _log.warning("thread.left", thread=self._name, call_s=self.call_s)

    def _left_s(self) -> float:
        """Return for how long the running call may still take."""
        return max(0.0, HUNG_S - self.call_s)
