"""The time of a seeded loop, as actor systems want it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..actors.runtime.clock import Alarm
    from .loop import SeededLoop


class VirtualClock:
    """A `Clock` that tells the time of its loop, and so jumps when all is quiet."""

    def __init__(self, loop: "SeededLoop", start_us: int) -> None:
        self._loop = loop
        self._start_us = start_us
        self.now_s = loop.time

    def now_us(self) -> int:
        """Return wall time in microseconds since 1970."""
        return self._start_us + round(self.now_s() * 1_000_000)

    def call_later(self, delay_s: float, call: Callable[[], object]) -> "Alarm":
        """Call `call` on the loop after `delay_s` seconds of its time."""
        return self._loop.call_later(max(0.0, delay_s), call)
