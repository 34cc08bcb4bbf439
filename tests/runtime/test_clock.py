"""Clocks tell the time and call back in order."""

import asyncio
import time

import pytest

from dramaturg.actors.runtime import ManualClock, SystemClock


def test_a_manual_clock_calls_in_order_each_at_its_time() -> None:
    clock = ManualClock(now_us=1_000_000)
    seen: list[tuple[str, float]] = []
    clock.call_later(2, lambda: seen.append(("b", clock.now_s())))
    clock.call_later(1, lambda: seen.append(("a", clock.now_s())))
    clock.call_later(2, lambda: seen.append(("c", clock.now_s())))
    clock.call_later(4, lambda: seen.append(("d", clock.now_s())))

    clock.advance(3)

    assert seen == [("a", 1), ("b", 2), ("c", 2)]
    assert clock.now_s() == 3
    assert clock.now_us() == 4_000_000
    assert clock.next_s == 1


def test_a_call_taken_back_is_not_made() -> None:
    clock = ManualClock()
    seen: list[int] = []
    alarm = clock.call_later(1, lambda: seen.append(1))
    alarm.cancel()

    assert clock.next_s is None
    clock.advance(2)
    assert not seen


def test_a_cancelled_call_in_the_way_is_passed_over() -> None:
    clock = ManualClock()
    seen: list[int] = []
    alarm = clock.call_later(1, lambda: seen.append(1))
    clock.call_later(1, lambda: seen.append(2))
    alarm.cancel()
    clock.advance(1)

    assert seen == [2]


def test_what_a_call_arms_within_the_time_is_called_as_well() -> None:
    clock = ManualClock()
    seen: list[float] = []
    clock.call_later(
        1,
        lambda: clock.call_later(1, lambda: seen.append(clock.now_s())),
    )
    clock.advance(5)

    assert seen == [2]


@pytest.mark.asyncio
async def test_the_system_clock_is_the_machine_s() -> None:
    clock = SystemClock()
    called = asyncio.Event()
    clock.call_later(0, called.set)
    await called.wait()

    assert abs(clock.now_us() - time.time_ns() // 1000) < 60_000_000
    assert clock.now_s() <= time.monotonic()
