"""The faulty log keeps the contract of every log, and fails as it is told."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dramaturg.actors.runtime import ManualClock
from dramaturg.actors.runtime.clock import Alarm
from dramaturg.events.log import (
    Appended,
    AppendRejectedError,
    EventLog,
    Incarnation,
    LogError,
    LogUnavailableError,
    OutcomeUnknownError,
    StaleWriterError,
)
from dramaturg.testing import (
    AnswerLost,
    ConnectionLost,
    Crash,
    Dice,
    DiskFull,
    Fault,
    FaultyLog,
    Odds,
    Rejected,
    Slow,
    Torn,
    planned,
)

from ..log.contract import AT, LogContract, Outcomes, append, on
from ..log.vocabulary import REGISTRY, Counted, Started


class Turns:
    """A clock on which whatever is due later is due after a turn of the loop."""

    def __init__(self, engine: "FaultyEngine") -> None:
        self._engine = engine

    def now_s(self) -> float:
        return 0.0

    def now_us(self) -> int:
        return self._engine.now_us

    def call_later(self, delay_s: float, call: Callable[[], object]) -> Alarm:
        del delay_s
        loop = asyncio.get_running_loop()
        return loop.call_soon(loop.call_soon, call)


def slowly(_number: int, _appends: int) -> Fault:
    return Slow(after_s=1)


class FaultyEngine:
    def __init__(self, *, slow: bool) -> None:
        self.now_us = 1_000
        self._slow = slow
        self._last: FaultyLog | None = None

    def open(
        self, *, unwritten_max: int = 1000
    ) -> AbstractAsyncContextManager[EventLog]:
        if self._last is None:
            self._last = FaultyLog(
                REGISTRY,
                slowly if self._slow else planned({}),
                clock=Turns(self),
                node="n1",
                unwritten_max=unwritten_max,
                reads=(lambda: 1.0) if self._slow else None,
            )
        else:
            self._last = self._last.reopened()
        return self._last


class TestFaultyLog(LogContract):
    @pytest.fixture
    def engine(self) -> FaultyEngine:
        return FaultyEngine(slow=False)


class TestSlowLog(LogContract):
    @pytest.fixture
    def engine(self) -> FaultyEngine:
        return FaultyEngine(slow=True)


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Bench:
    """A log on a clock, with three appends of one write."""

    def __init__(self, fault: Fault) -> None:
        self.clock = ManualClock()
        self.log = FaultyLog(REGISTRY, planned({1: fault}), clock=self.clock)
        self.outcomes = Outcomes()
        self.heard: list[bool] = []
        self.log.on_availability(self.heard.append)

    async def write(self, *names: str) -> None:
        for name in names:
            self.log.submit([on(f"{name}/1", 0, Started())], AT, self.outcomes(name))
        await turns()

    async def there(self) -> list[str]:
        return [row.stream[0] for row in await self.log.read()]

    async def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await turns()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("fault", "there", "error"),
    [
        (ConnectionLost(2.0), "", LogUnavailableError),
        (Torn(written=2, for_s=2.0), "ab", OutcomeUnknownError),
        (Torn(written=9, for_s=2.0), "abc", OutcomeUnknownError),
        (AnswerLost(written=True, for_s=2.0), "abc", OutcomeUnknownError),
        (AnswerLost(written=False, for_s=2.0), "", OutcomeUnknownError),
    ],
    ids=repr,
)
async def test_a_log_that_fails_for_a_while_refuses_all_and_comes_back(
    fault: Fault, there: str, error: type[LogError]
) -> None:
    bench = Bench(fault)
    moved: list[int] = []
    bench.log.on_commit(moved.append)
    await bench.write("a", "b", "c")
    assert bench.outcomes.kinds() == [(name, error) for name in "abc"]
    with pytest.raises(LogUnavailableError):
        await append(bench.log, "d/1", 0, Started())
    await bench.advance(1.9)
    assert not bench.log.available
    await bench.advance(0.1)
    await append(bench.log, "e/1", 0, Started())

    assert bench.heard == [False, True]
    assert bench.log.epoch == 2
    assert await bench.there() == [*there, "e"]
    assert moved == [len(there), len(there) + 1][not there :]


@pytest.mark.asyncio
async def test_a_lost_connection_cannot_be_read_either() -> None:
    bench = Bench(ConnectionLost(2.0))
    await bench.write("a")
    with pytest.raises(LogUnavailableError, match="read later"):
        await bench.log.read()
    with pytest.raises(LogUnavailableError):
        await bench.log.head("a/1")
    await bench.advance(2)

    assert await bench.log.open_streams() == []
    assert await bench.log.key_stream("s", "k") is None
    assert await bench.log.snapshot("a/1", 1) is None
    assert await bench.log.read_stream("a/1") == []


@pytest.mark.asyncio
async def test_a_full_disk_stays_full_until_it_is_freed() -> None:
    bench = Bench(DiskFull())
    bench.log.free()
    await bench.write("a")
    await bench.advance(1e6)
    assert bench.log.is_full
    assert await bench.there() == []
    bench.log.free()
    await bench.write("b")

    assert not bench.log.is_full
    assert bench.outcomes.kinds() == [("a", LogUnavailableError), ("b", Appended)]
    assert bench.heard == [False, True]


@pytest.mark.asyncio
async def test_an_append_may_be_refused_for_good_and_the_others_are_written() -> None:
    bench = Bench(Rejected())
    one = Incarnation()
    for name in "abc":
        bench.log.submit(
            [on(f"{name}/1", 0, Started())],
            AT,
            bench.outcomes(name),
            incarnation=None if name == "c" else one,
        )
    await turns()

    assert bench.outcomes.kinds() == [
        ("a", AppendRejectedError),
        ("b", StaleWriterError),
        ("c", Appended),
    ]
    assert one.revoked
    assert bench.log.available


@pytest.mark.asyncio
async def test_what_comes_during_a_slow_write_is_the_next_one() -> None:
    bench = Bench(Slow(after_s=1.0))
    await bench.write("a", "b")
    await bench.write("c")
    assert bench.outcomes.names == []
    assert bench.log.writes == 1
    await bench.advance(1)

    assert bench.outcomes.names == ["a", "b", "c"]
    assert bench.log.writes == 2


@pytest.mark.asyncio
async def test_what_a_crash_leaves_is_what_was_acknowledged_and_some_of_the_rest() -> (
    None
):
    clock = ManualClock()
    faults = {1: Slow(after_s=1.0), 2: Crash(written=1, after_s=1.0)}
    log = FaultyLog(REGISTRY, planned(faults), clock=clock)
    outcomes = Outcomes()

    def submit(name: str) -> None:
        log.submit([on(f"{name}/1", 0, Started())], AT, outcomes(name))

    submit("a")
    await turns()
    clock.advance(1)
    for name in "bc":
        submit(name)
    await turns()
    submit("d")
    clock.advance(0.5)
    before = log.crashed.is_set()
    clock.advance(0.5)
    await turns()
    again = log.reopened()
    submit("e")
    await turns()

    assert (before, log.crashed.is_set(), again.crashed.is_set()) == (0, 1, 0)
    assert outcomes.kinds() == [
        ("a", Appended),
        ("b", OutcomeUnknownError),
        ("c", OutcomeUnknownError),
        ("d", LogUnavailableError),
        ("e", LogUnavailableError),
    ]
    assert [row.stream for row in await again.read()] == ["a/1", "b/1"]
    assert (await append(again, "a/1", 1, Counted())).position == 3
    assert again.epoch == 2
    assert again.writes == 3


@pytest.mark.asyncio
async def test_a_test_can_have_the_process_die_in_the_middle_of_a_write() -> None:
    bench = Bench(Slow(after_s=1.0))
    await bench.write("a", "b")
    await bench.write("c")
    bench.log.crash(written=1)
    await bench.advance(1)
    again = bench.log.moved(bench.clock, planned({3: DiskFull()}))

    assert bench.outcomes.kinds() == [
        ("a", OutcomeUnknownError),
        ("b", OutcomeUnknownError),
        ("c", LogUnavailableError),
    ]
    assert bench.log.crashed.is_set()
    assert [row.stream for row in await again.read()] == ["a/1"]
    await append(again, "d/1", 0, Started())
    with pytest.raises(LogUnavailableError):
        await append(again, "e/1", 0, Started())


@pytest.mark.asyncio
async def test_a_log_that_was_made_to_fail_forgets_the_write_under_way() -> None:
    bench = Bench(Slow(after_s=1.0))
    await bench.write("a")
    bench.log.fail()
    bench.log.recover()
    await bench.write("b")
    await bench.advance(1)

    assert await bench.there() == ["b"]


@pytest.mark.asyncio
async def test_a_test_can_end_an_outage_itself() -> None:
    bench = Bench(ConnectionLost(2.0))
    await bench.write("a")
    bench.log.recover()
    bench.log.fail()
    await bench.advance(3)

    assert not bench.log.available


@pytest.mark.asyncio
async def test_a_released_write_is_not_written_again() -> None:
    bench = Bench(Slow(after_s=1.0))
    await bench.write("a")
    bench.log.release()
    await bench.advance(1)

    assert await bench.there() == ["a"]


ODDS = Odds(
    rejected=0.1,
    connection_lost=0.1,
    disk_full=0.1,
    torn=0.1,
    answer_lost=0.1,
    crash=0.1,
    slow=0.5,
)


@given(st.integers(0, 2**32))
def test_the_same_seed_draws_the_same_faults(seed: int) -> None:
    def drawn() -> list[Fault | None]:
        dice = Dice(random.Random(seed), ODDS)
        return [dice(number, 3) for number in range(20)]

    assert drawn() == drawn()


def test_every_fault_is_drawn_and_none_when_the_odds_are_none() -> None:
    dice = Dice(random.Random(1), ODDS)
    kinds = {type(dice(number, 3)) for number in range(500)}
    dice.odds = Odds()

    assert kinds == {
        type(None),
        *(Rejected, ConnectionLost, DiskFull, Torn, AnswerLost, Crash, Slow),
    }
    assert {dice(number, 3) for number in range(100)} == {None}


@pytest.mark.parametrize(
    "odds", [{"torn": -0.1}, {"torn": 0.6, "crash": 0.6}, {"slow": 1.1}], ids=repr
)
def test_odds_are_probabilities(odds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="odds are from 0 to 1"):
        Odds(**odds)


@given(st.integers(0, 2**32), st.integers(1, 30))
def test_nothing_acknowledged_is_ever_lost_whatever_happens(
    seed: int, appends: int
) -> None:
    """And nothing is there twice, or in another order than it was submitted in."""
    asyncio.run(_survives(random.Random(seed), appends))


async def _survives(chance: random.Random, appends: int) -> None:
    clock = ManualClock()
    log = FaultyLog(REGISTRY, Dice(chance, ODDS), clock=clock)
    acknowledged: set[int] = set()
    refused: set[int] = set()
    version = 0

    def submit(number: int) -> None:
        def done(outcome: Appended | LogError) -> None:
            if isinstance(outcome, Appended):
                acknowledged.add(number)
            elif not isinstance(outcome, OutcomeUnknownError):
                refused.add(number)

        log.submit([on("a/1", version, Counted(number))], AT, done)

    for number in range(appends):
        head = await log.head("a/1") if log.available else None
        version = head.version if head is not None else 0
        submit(number)
        if chance.random() < 0.5:
            submit(number + 1000)  # a second writer: it conflicts, or the first does
        await turns()
        clock.advance(chance.random() * 4)
        await turns()
        log.free()
        if log.crashed.is_set():
            log = log.reopened()
    if not log.available:
        log = log.reopened()
    rows = await log.read()
    there = [row.event.by for row in rows if isinstance(row.event, Counted)]

    assert acknowledged <= set(there)
    assert not refused & set(there)
    assert len(there) == len(set(there))
    assert [row.version for row in rows] == list(range(1, len(rows) + 1))
