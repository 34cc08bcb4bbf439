"""A busy time window is turned by an alarm, so that its calls need not read the clock."""

import asyncio
from contextlib import suppress

import pytest

from dramaturg.actors.breakers import Breaker, BreakerConfig
from dramaturg.actors.breakers.generation import BUSY_CALLS

from .clock import Hands, run

SECONDS = BreakerConfig(window_s=10.0, buckets=10)


async def answer() -> int:
    return 1


async def refuse() -> None:
    raise ConnectionError


class Busy:
    """A breaker that is called as often as you like."""

    def __init__(self, config: BreakerConfig = SECONDS, *, alarms: bool = True) -> None:
        self.hands = Hands(alarms=alarms)
        self.breaker = Breaker("db", config, clocks=self.hands.clocks)
        self.answer = self.breaker(answer)
        self.refuse = self.breaker(refuse)

    def good(self, calls: int = BUSY_CALLS) -> None:
        for _ in range(calls):
            run(self.answer())

    def looks(self, calls: int = BUSY_CALLS) -> int:
        """How often so many good calls read the clock."""
        before = self.hands.looks
        self.good(calls)
        return self.hands.looks - before

    def made_free(self) -> "Busy":
        """Have had one full bucket, and be in the next."""
        self.good()
        self.hands.pass_s(1)
        self.good(1)
        return self

    def window(self) -> tuple[int, int]:
        found = self.breaker.statistics()
        return found.window_calls, found.window_failures


def test_the_calls_of_a_busy_window_do_not_look_at_the_clock() -> None:
    busy = Busy()
    assert busy.looks() == 2 * BUSY_CALLS

    assert busy.made_free().looks(400) == 0


def test_without_timers_every_call_looks_at_the_clock() -> None:
    busy = Busy(alarms=False).made_free()

    assert busy.looks() == 2 * BUSY_CALLS


def test_without_a_loop_every_call_looks_at_the_clock() -> None:
    breaker = Breaker("db", SECONDS)
    fetch = breaker(answer)
    for _ in range(BUSY_CALLS):
        run(fetch())
    breaker.machine.generation.turn(round((breaker.now().clock_us) + 1e6))

    run(fetch())

    assert breaker.machine.clocked is breaker.machine.generation


def test_an_alarm_counts_each_call_in_its_bucket() -> None:
    busy = Busy().made_free()
    counts: list[tuple[int, int]] = []
    for _ in range(20):
        busy.hands.pass_s(1)
        busy.good(100)
        counts.append(busy.window())

    assert counts[:2] == [(133, 0), (233, 0)]
    assert counts[-1] == (1000, 0)
    assert busy.breaker.machine.free is not None


def test_calls_look_at_the_clock_again_when_there_is_less_to_do() -> None:
    busy = Busy().made_free()
    busy.hands.pass_s(1)

    assert busy.hands.alarms == []
    assert busy.looks() == 2 * BUSY_CALLS


def test_the_machine_is_told_of_one_good_call_in_500_even_if_the_loop_stands_still() -> (
    None
):
    busy = Busy().made_free()
    busy.hands.us += 1_500_000  # nothing goes off

    busy.good(500)

    assert busy.looks(100) == 0
    busy.hands.us += 9_000_000
    assert busy.window()[0] < 200


def test_a_bad_call_turns_the_window_before_the_alarm_does() -> None:
    busy = Busy().made_free()
    busy.good()
    busy.hands.us += 1_000_000

    with suppress(ConnectionError):
        run(busy.refuse())

    assert len(busy.hands.alarms) == 2
    busy.hands.pass_s(0)
    assert len(busy.hands.alarms) == 1
    assert busy.looks() == 0
    busy.hands.pass_s(9)
    assert busy.window() == (BUSY_CALLS + 1, 1)


def test_other_settings_make_an_alarm_void() -> None:
    busy = Busy().made_free()
    run(busy.breaker.configure(BreakerConfig(window_s=20.0, buckets=5), "drill"))
    assert busy.looks() == 2 * BUSY_CALLS

    busy.hands.pass_s(1)

    assert busy.hands.alarms == []
    assert busy.window() == (2 * BUSY_CALLS + 1, 0)


def test_timed_calls_look_at_the_clock_and_need_no_alarm() -> None:
    busy = Busy(BreakerConfig(window_s=10.0, buckets=10, slow_call_s=1.0))
    busy.made_free()

    assert busy.hands.alarms == []
    assert busy.looks() == 2 * BUSY_CALLS


def test_a_trip_makes_an_alarm_void() -> None:
    busy = Busy().made_free()
    run(busy.breaker.trip("drill"))

    busy.hands.pass_s(1)

    assert busy.breaker.statistics().phase == "open"
    assert busy.hands.alarms == []


def test_an_alarm_that_is_dropped_leaves_the_clock_to_the_calls() -> None:
    busy = Busy().made_free()
    busy.hands.alarms.clear()

    assert busy.looks() == 2 * BUSY_CALLS


def test_a_loop_that_is_closed_drops_its_alarm() -> None:
    hands = Hands()
    breaker = Breaker("db", SECONDS, clocks=hands.clocks)
    fetch = breaker(answer)

    async def work() -> None:
        loop = asyncio.get_running_loop()
        hands.clocks.later = loop.call_later
        for _ in range(BUSY_CALLS + 1):
            hands.us += 10_000
            await fetch()
        hands.us += 1_000_000
        await fetch()
        hands.us += 1_000_000
        for _ in range(BUSY_CALLS):
            await fetch()
        assert machine.free is machine.generation

    machine = breaker.machine
    asyncio.run(work())

    assert machine.free is None
    assert machine.clocked is machine.generation


@pytest.mark.parametrize("buckets", [1, 2, 10])
def test_what_was_long_ago_is_forgotten(buckets: int) -> None:
    busy = Busy(BreakerConfig(window_s=10.0, buckets=buckets, min_calls=1000))
    for _ in range(5):
        with suppress(ConnectionError):
            run(busy.refuse())
        busy.good(10)
        busy.hands.pass_s(10 / buckets)
    assert busy.window()[1] == min(5, buckets - 1)

    busy.hands.pass_s(25)
    assert busy.window() == (0, 0)
    busy.good(3)
    assert busy.window() == (3, 0)
