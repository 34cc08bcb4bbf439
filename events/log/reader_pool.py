"""Keeps readers of a file open for the threads that read it for the loop."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from ..registry import Registry
from .reader import LogReader

T = TypeVar("T")

READERS_MAX = 4
"""So many threads read at once; more reads wait for their turn."""


class ReaderPool:
    """Runs blocking reads in worker threads, each with a connection of its own."""

    def __init__(self, path: Path, registry: Registry) -> None:
        self._path = path
        self._registry = registry
        self._limiter = anyio.CapacityLimiter(READERS_MAX)
        self._lock = threading.Lock()
        self._idle: list[LogReader] = []
        self._generation = 0

    async def run(self, read: Callable[[LogReader], T]) -> T:
        """Return what `read` returns, run beside the loop."""
        return await anyio.to_thread.run_sync(self._run, read, limiter=self._limiter)

    def _run(self, read: Callable[[LogReader], T]) -> T:
        with self._lock:
            generation = self._generation
            reader = self._idle.pop() if self._idle else None
        if reader is None:
            reader = LogReader(self._path, self._registry)
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
