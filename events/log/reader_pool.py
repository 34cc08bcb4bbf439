"""Keeps readers of a log open for the threads that read it for the loop."""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio
import anyio.to_thread

from .engine import EngineReader

T = TypeVar("T")
R = TypeVar("R", bound=EngineReader)

READERS_MAX = 4
"""So many threads read at once; more reads wait for their turn."""


class ReaderPool(Generic[R]):
    """Runs blocking reads in worker threads, each with a connection of its own."""

    def __init__(self, connect: Callable[[], R]) -> None:
        self._connect = connect
        self._limiter = anyio.CapacityLimiter(READERS_MAX)
        self._lock = threading.Lock()
        self._idle: list[R] = []
        self._generation = 0

    async def run(self, read: Callable[[R], T]) -> T:
        """Return what `read` returns, run beside the loop."""
        return await anyio.to_thread.run_sync(self._run, read, limiter=self._limiter)

    def _run(self, read: Callable[[R], T]) -> T:
        with self._lock:
            generation = self._generation
            reader = self._idle.pop() if self._idle else None
        if reader is None:
            reader = self._connect()
        try:
            return read(reader)
        finally:
            with self._lock:
                current = generation == self._generation
                if current:
                    self._idle.append(reader)
            if not current:
                reader.close()

    def close(self) -> None:
        """Close the connections: the idle ones now, the others after their read."""
        with self._lock:
            idle, self._idle = self._idle, []
            self._generation += 1
        for reader in idle:
            reader.close()
