"""Wall time, as the running event loop has it."""

import asyncio
import time
from abc import ABC, abstractmethod


class KeepsTime(ABC):
    """An event loop with a wall clock of its own, as the test kit's has."""

    @abstractmethod
    def wall_us(self) -> int:
        """Return wall time in microseconds since 1970."""


def wall_us() -> int:
    """Return wall time in microseconds since 1970: the running loop's, or the machine's.

    The loops of asyncio and uvloop have none of their own.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return time.time_ns() // 1000
    return loop.wall_us() if isinstance(loop, KeepsTime) else time.time_ns() // 1000
