"""A clock for breakers, and a way to drive coroutines that never wait."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from dramaturg.actors.breakers import Clocks, Now

T = TypeVar("T")
WALL_US = 1_700_000_000_000_000


class Hands:
    """Both clocks, moved by hand, in whole microseconds.

    With `alarms` it has a loop's timers too, which `pass_s` sets off.
    """

    def __init__(
        self, clock_us: int = 5_000_000, boot: str = "boot", *, alarms: bool = False
    ) -> None:
        self.us = clock_us
        self.wall_step_us = 0
        self.boot = boot
        self.looks = 0
        """How often the clock was read."""
        self.alarms: list[tuple[int, Callable[[], object]]] = []
        later = self.later if alarms else None
        self.clocks = Clocks(self.clock, self.wall_us, boot, later)

    def clock(self) -> float:
        self.looks += 1
        return self.us / 1e6

    def later(self, after_s: float, call: Callable[[], object]) -> None:
        self.alarms.append((self.us + round(after_s * 1e6), call))

    def wall_us(self) -> int:
        return WALL_US + self.us + self.wall_step_us

    def pass_s(self, seconds: float) -> None:
        until_us = self.us + round(seconds * 1e6)
        while due := [alarm for alarm in self.alarms if alarm[0] <= until_us]:
            first = min(due, key=lambda alarm: alarm[0])
            self.alarms.remove(first)
            self.us = max(self.us, first[0])
            first[1]()
        self.us = until_us

    @property
    def now(self) -> Now:
        return Now(self.wall_us(), self.us, self.boot)


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Drive a coroutine that must not suspend."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        coroutine.close()
    raise AssertionError("it waits")
