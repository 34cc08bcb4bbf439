"""A clock for breakers, and a way to drive coroutines that never wait."""

from collections.abc import Coroutine
from typing import Any, TypeVar

from dramaturg.actors.breakers.times import Now

T = TypeVar("T")
WALL_US = 1_700_000_000_000_000


class Hands:
    """Both clocks, moved by hand, in whole microseconds."""

    def __init__(self, clock_us: int = 5_000_000, boot: str = "boot") -> None:
        self.us = clock_us
        self.wall_step_us = 0
        self.boot = boot

    def clock(self) -> float:
        return self.us / 1e6

    def wall_us(self) -> int:
        return WALL_US + self.us + self.wall_step_us

    def pass_s(self, seconds: float) -> None:
        self.us += round(seconds * 1e6)

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
