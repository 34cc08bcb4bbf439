"""How many calls at once, and how many in a stretch of time."""

import asyncio
from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dramaturg.actors.limits import (
    Bulkhead,
    BulkheadConfig,
    BulkheadFullError,
    BulkheadTimeoutError,
    RateLimit,
    RateLimitConfig,
    RateLimitedError,
)
from dramaturg.actors.settings import SettingsError


class Calls:
    """Calls through a bulkhead that end when they are told to."""

    def __init__(self, bulkhead: Bulkhead) -> None:
        self.bulkhead = bulkhead
        self.begun: list[int] = []
        self.ends: dict[int, asyncio.Event] = {}

    async def make(self, number: int) -> None:
        self.ends[number] = asyncio.Event()
        async with self.bulkhead:
            self.begun.append(number)
            await self.ends[number].wait()

    async def end(self, number: int) -> None:
        self.ends[number].set()
        await settled()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_places_go_to_those_who_waited_longest() -> None:
    calls = Calls(Bulkhead("db", BulkheadConfig(concurrent_max=1, waiting_max=2)))

    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(calls.make(number))
        await settled()
        assert calls.begun == [0]
        assert (calls.bulkhead.under_way, calls.bulkhead.waiting) == (1, 2)
        with pytest.raises(BulkheadFullError, match="1 calls are under way and 2 wait"):
            await calls.make(3)
        for number in range(3):
            await calls.end(number)

    assert calls.begun == [0, 1, 2]
    assert (calls.bulkhead.under_way, calls.bulkhead.refused) == (0, 1)


@pytest.mark.asyncio
async def test_a_call_that_fails_gives_its_place_back() -> None:
    bulkhead = Bulkhead("db", BulkheadConfig(concurrent_max=1))

    for _ in range(3):
        with pytest.raises(ConnectionError):
            async with bulkhead:
                raise ConnectionError
    assert bulkhead.under_way == 0


@pytest.mark.asyncio
async def test_nobody_waits_longer_than_allowed() -> None:
    config = BulkheadConfig(concurrent_max=1, waiting_max=1, wait_s=0.001)
    calls = Calls(Bulkhead("db", config))

    async with asyncio.TaskGroup() as group:
        group.create_task(calls.make(0))
        await settled()
        with pytest.raises(BulkheadTimeoutError, match=r"ended within 0\.001 s"):
            await calls.make(1)
        assert calls.bulkhead.waiting == 0
        await calls.end(0)
    assert calls.bulkhead.refused == 1


@pytest.mark.asyncio
async def test_a_place_handed_to_someone_who_gave_up_goes_to_the_next() -> None:
    calls = Calls(Bulkhead("db", BulkheadConfig(concurrent_max=1, waiting_max=3)))
    tasks = [asyncio.create_task(calls.make(number)) for number in range(4)]
    await settled()

    calls.ends[0].set()
    await asyncio.sleep(0)  # the place is handed over to 1, which is not yet awake
    tasks[1].cancel()
    tasks[2].cancel()
    await settled()

    assert calls.begun == [0, 3]
    await calls.end(3)
    assert (calls.bulkhead.under_way, calls.bulkhead.waiting) == (0, 0)
    assert [task.cancelled() for task in tasks] == [False, True, True, False]


@given(st.lists(st.sampled_from("bec"), max_size=40), st.integers(1, 3))
def test_never_more_under_way_than_may_be_and_none_lost(
    steps: list[str], most: int
) -> None:
    async def play() -> None:
        bulkhead = Bulkhead("db", BulkheadConfig(concurrent_max=most, waiting_max=3))
        calls, tasks = Calls(bulkhead), deque[asyncio.Task[None]]()
        for number, step in enumerate(steps):
            if step == "b":
                tasks.append(asyncio.create_task(calls.make(number)))
            elif step == "c" and tasks:
                tasks[len(tasks) // 2].cancel()
            elif calls.begun:
                calls.ends[calls.begun[number % len(calls.begun)]].set()
            if number % 3:
                await asyncio.sleep(0)
            assert bulkhead.under_way <= most
            assert bulkhead.waiting <= 3
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (bulkhead.under_way, bulkhead.waiting) == (0, 0)

    asyncio.run(play())


class Time:
    """Passes only by sleeping; sleepers are noted."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        await asyncio.sleep(0)


def limit(time: Time, config: RateLimitConfig) -> RateLimit:
    return RateLimit("api", config, clock=time.clock, sleep=time.sleep)


@pytest.mark.asyncio
async def test_a_burst_passes_and_then_calls_are_refused_until_the_next_is_due() -> (
    None
):
    time = Time()
    api = limit(time, RateLimitConfig(calls=4, period_s=2.0))

    for _ in range(4):
        await api.acquire()
    with pytest.raises(RateLimitedError) as refusal:
        await api.acquire()

    assert refusal.value.retry_after_s == pytest.approx(0.5)
    assert "try again in 0.500 s" in str(refusal.value)
    time.now_s += 0.5
    await api.acquire()
    assert api.refused == 1
    assert time.slept == []


@pytest.mark.asyncio
async def test_calls_wait_for_their_turn_in_order() -> None:
    time = Time()
    api = limit(time, RateLimitConfig(calls=10, burst=1, wait_s=0.25))

    await asyncio.gather(*(api.acquire() for _ in range(3)))
    with pytest.raises(RateLimitedError):
        await api.acquire()

    assert time.slept == [0.1, 0.2]
    assert api.waiting == 0


@given(
    st.integers(1, 5),
    st.integers(1, 5),
    st.lists(st.floats(0.0, 2.0), max_size=60),
)
def test_no_window_holds_more_than_the_burst_and_the_pace(
    calls: int, burst: int, pauses_s: list[float]
) -> None:
    async def play() -> list[float]:
        time, passed_s = Time(), list[float]()
        api = limit(time, RateLimitConfig(calls=calls, period_s=1.0, burst=burst))
        for pause_s in pauses_s:
            time.now_s += pause_s
            try:
                await api.acquire()
            except RateLimitedError:
                continue
            passed_s.append(time.now_s)
        return passed_s

    passed_s = asyncio.run(play())
    for first, begin_s in enumerate(passed_s):
        for last, end_s in enumerate(passed_s[first:], first):
            allowed = burst + (end_s - begin_s) * calls
            assert last - first + 1 <= allowed + 1e-6


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: BulkheadConfig(concurrent_max=0), "concurrent_max is 0"),
        (lambda: BulkheadConfig(waiting_max=-1), "waiting_max is -1"),
        (lambda: BulkheadConfig(wait_s=0), "wait_s is 0"),
        (lambda: RateLimitConfig(calls=0), "calls is 0"),
        (lambda: RateLimitConfig(calls=1, burst=0), "burst is 0"),
        (lambda: RateLimitConfig(calls=1, period_s=0), "period_s is 0"),
        (lambda: RateLimitConfig(calls=1, wait_s=-1), "wait_s is -1"),
    ],
)
def test_settings_that_cannot_work_are_refused(make: object, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        make()  # type: ignore[operator] # each makes a configuration
