"""Time, as the system sees it: the machine's, or a test's."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol


class Alarm(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Take it back; harmless when it has happened."""
        ...


class Clock(Protocol):
    """Wall time, monotonic time and calls that are due later."""

    def now_s(self) -> float:
        """Return seconds on a clock that never goes back."""
        ...

    def now_us(self) -> int:
        """Return wall time in microseconds since 1970."""
        ...

    def call_later(self, delay_s: float, call: Callable[[], object]) -> Alarm:
        """Call `call` on the loop after `delay_s` seconds."""
        ...


class SystemClock:
    """The machine's clocks and the running loop's timers."""

    now_s = staticmethod(time.monotonic)

    def now_us(self) -> int:
        """Return wall time in microseconds since 1970."""
        return time.time_ns() // 1000

    def call_later(self, delay_s: float, call: Callable[[], object]) -> Alarm:
        """Call `call` on the running loop after `delay_s` seconds."""
        return asyncio.get_running_loop().call_later(delay_s, call)


async def sleep(clock: Clock, delay_s: float) -> None:
    """Wait for so many seconds of this clock."""
    due = asyncio.Event()
    alarm = clock.call_later(delay_s, due.set)
    try:
        await due.wait()
    finally:
        alarm.cancel()


class _Due:
    """An alarm of a manual clock."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], object] | None) -> None:
        self.call = call

    def cancel(self) -> None:
        self.call = None


class ManualClock:
    """A clock that stands still until it is advanced, for tests.

    `advance` fires what falls due in order, each at its own time. What it sets off
    in actors happens in the following turns of the loop: `await system.settled()`
    waits for that.
    """

    def __init__(self, now_us: int = 1_700_000_000_000_000) -> None:
        self._now_s = 0.0
        self._start_us = now_us
        self._order = itertools.count()
        self._due: list[tuple[float, int, _Due]] = []

    def now_s(self) -> float:
        """Return the seconds it was advanced so far."""
        return self._now_s

    def now_us(self) -> int:
        """Return wall time in microseconds since 1970."""
        return self._start_us + round(self._now_s * 1_000_000)

    def call_later(self, delay_s: float, call: Callable[[], object]) -> Alarm:
        """Call `call` when the clock is advanced past `delay_s` from now."""
        due = _Due(call)
        at_s = self._now_s + max(0.0, delay_s)
        heapq.heappush(self._due, (at_s, next(self._order), due))
        return due

    @property
    def next_s(self) -> float | None:
        """How long until the next alarm; None: there is none."""
        while self._due and self._due[0][2].call is None:
            heapq.heappop(self._due)
        return self._due[0][0] - self._now_s if self._due else None

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass."""
        until_s = self._now_s + seconds
        while self._due and self._due[0][0] <= until_s:
            at_s, _, due = heapq.heappop(self._due)
            self._now_s = max(self._now_s, at_s)
            if due.call is not None:
                due.call()
        self._now_s = until_s
