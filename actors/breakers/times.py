"""Instants and deadlines that neither wall-clock steps nor restarts move."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec

from ...events.breaker import Deadline

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Now(msgspec.Struct, frozen=True, gc=False):
    """The present on both clocks, in microseconds."""

    wall_us: int
    clock_us: int
    """The monotonic clock, which counts from the machine's start."""
    boot: str = ""
    """What tells this boot from others."""


def boot_id(file: Path = BOOT_ID) -> str:
    """Return what tells this boot from others.

    Where the platform has nothing, each process counts as a boot of its own: its
    deadlines then go on by the wall clock, within their spans.
    """
    try:
        return file.read_text(encoding="ascii").strip()
    except OSError:
        return uuid4().hex


THIS_BOOT = boot_id()
"""Read once, while importing: event loops do not wait for files."""


def _system_wall_us() -> int:
    return time.time_ns() // 1000


def _later(after_s: float, call: Callable[[], object]) -> object:
    """Call it on the running loop. Raises `RuntimeError` when none of asyncio's runs."""
    return asyncio.get_running_loop().call_later(after_s, call)


class Clocks:
    """Where a breaker reads the time; one object serves any number of them.

    `clock` is monotonic, in seconds; `wall_us` in microseconds. `later` calls
    something after so many seconds, and drops it when the loop is closed; without
    it calls in a time window always look at the clock.
    """

    __slots__ = ("boot", "clock", "later", "wall_us")

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wall_us: Callable[[], int] = _system_wall_us,
        boot: str | None = None,
        later: Callable[[float, Callable[[], object]], Any] | None = None,
    ) -> None:
        self.clock = clock
        self.wall_us = wall_us
        self.boot = THIS_BOOT if boot is None else boot
        self.later = later

    def now(self, clock_s: float | None = None) -> Now:
        """Return the present, or the instant `clock_s` of it."""
        clock_s = self.clock() if clock_s is None else clock_s
        return Now(self.wall_us(), round(clock_s * 1e6), self.boot)


SYSTEM_CLOCKS = Clocks(later=_later)
"""The machine's own."""


def deadline(span_us: int, now: Now) -> Deadline:
    """Return the instant that lies `span_us` ahead."""
    return Deadline(now.wall_us + span_us, now.boot, now.clock_us + span_us, span_us)


def remaining_us(until: Deadline, now: Now) -> int:
    """Return how long it is still, 0 when it is over."""
    if now.boot == until.boot:
        return max(0, until.boot_us - now.clock_us)
    return min(max(0, until.until_us - now.wall_us), until.span_us)


def reanchored(until: Deadline, now: Now) -> Deadline:
    """Return the deadline on this boot's clock, its full span kept."""
    left_us = remaining_us(until, now)
    instant = deadline(left_us, now)
    return msgspec.structs.replace(instant, span_us=until.span_us)
