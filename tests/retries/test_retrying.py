import asyncio

import pytest
from structlog.testing import capture_logs

from dramaturg.actors.breakers import (
    Breaker,
    BreakerConfig,
    BreakerOpenError,
    Clocks,
)
from dramaturg.actors.retries import (
    PermanentError,
    RetryBudget,
    Retrying,
    RetryPolicy,
)
from dramaturg.actors.settings import SettingsError


class Time:
    """Passes only by sleeping."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


class Dependency:
    """Fails so many times, then answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    async def fetch(self, value: int = 1) -> int:
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return value


def retrying(time: Time, policy: RetryPolicy, **more: object) -> Retrying:
    return Retrying(
        policy,
        sleep=time.sleep,
        clock=time.clock,
        draw=lambda: 0.5,
        **more,  # type: ignore[arg-type] # the tests give what it takes
    )


STEADY = RetryPolicy(jitter=False)


@pytest.mark.asyncio
async def test_a_success_at_once_logs_nothing() -> None:
    time, dependency = Time(), Dependency()
    with capture_logs() as logs:
        assert await retrying(time, STEADY)(dependency.fetch)(7) == 7

    assert logs == []
    assert time.slept == []


@pytest.mark.asyncio
async def test_failed_work_is_tried_again_after_its_delays() -> None:
    time = Time()
    dependency = Dependency(ConnectionError(), TimeoutError())
    fetch = retrying(time, STEADY)(dependency.fetch)
    with capture_logs() as logs:
        assert await fetch() == 1

    assert fetch.__name__ == "fetch"
    assert time.slept == [1.0, 2.0]
    assert [log["event"] for log in logs] == ["retry.scheduled"] * 2


@pytest.mark.asyncio
async def test_the_last_error_is_raised_with_a_note() -> None:
    time = Time()
    dependency = Dependency(*[ConnectionError(str(n)) for n in range(5)])
    with capture_logs() as logs, pytest.raises(ConnectionError, match="2") as caught:
        await retrying(time, STEADY).call(dependency.fetch)

    assert caught.value.__notes__ == ["given up after 3 attempts: attempts"]
    assert logs[-1]["event"] == "retry.given_up"
    assert dependency.calls == 3


@pytest.mark.asyncio
async def test_what_cannot_be_cured_is_not_tried_again() -> None:
    time, dependency = Time(), Dependency(PermanentError("gone"))
    with pytest.raises(PermanentError):
        await retrying(time, STEADY).call(dependency.fetch)

    assert dependency.calls == 1


@pytest.mark.asyncio
async def test_an_attempt_that_takes_too_long_is_ended_and_counts_as_a_timeout() -> (
    None
):
    time, calls = Time(), 0

    async def hang() -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            await asyncio.Event().wait()
        return calls

    policy = RetryPolicy(jitter=False, attempt_timeout_s=0.001)

    assert await retrying(time, policy).call(hang) == 2
    assert time.slept == [1.0]


@pytest.mark.asyncio
async def test_attempts_that_the_breaker_refuses_are_put_off_and_not_used_up() -> None:
    time = Time()
    config = BreakerConfig.preset(
        "classic", failures_max=2, cooldown_s=30, half_open_successes=1
    )
    breaker = Breaker("db", config, clocks=Clocks(time.clock))
    dependency = Dependency(ConnectionError(), ConnectionError())
    fetch = retrying(time, STEADY)(breaker(dependency.fetch))
    with capture_logs() as logs:
        assert await fetch() == 1

    assert time.slept == [1.0, 2.0, 28.0]
    assert logs[-1]["event"] == "retry.put_off"
    assert dependency.calls == 3


@pytest.mark.asyncio
async def test_a_breaker_that_stays_open_is_not_waited_for_for_ever() -> None:
    time = Time()
    breaker = Breaker("db", clocks=Clocks(time.clock))
    await breaker.hold_open("maintenance")
    with pytest.raises(BreakerOpenError) as caught:
        await retrying(time, STEADY, put_offs_max=2).call(breaker(Dependency().fetch))

    assert time.slept == [300.0, 300.0]
    assert caught.value.__notes__ == ["given up after 1 attempts: breaker_open"]


@pytest.mark.asyncio
async def test_the_time_limit_inside_the_breaker_is_a_failure_of_the_dependency() -> (
    None
):
    time = Time()
    breaker = Breaker("db", BreakerConfig.preset("classic"), clocks=Clocks(time.clock))

    @breaker
    async def hang() -> None:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await hang()

    assert breaker.statistics().failures == 1


@pytest.mark.asyncio
async def test_a_cancelled_call_is_not_tried_again() -> None:
    time, dependency = Time(), Dependency()
    gate = asyncio.Event()

    async def wait() -> None:
        dependency.calls += 1
        await gate.wait()

    task = asyncio.create_task(retrying(time, STEADY).call(wait))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert dependency.calls == 1


@pytest.mark.asyncio
async def test_callers_of_one_dependency_share_a_budget() -> None:
    time, budget = Time(), RetryBudget(ratio=0.5, reserve=1.0)
    handler = retrying(time, STEADY, budget=budget)
    dependency = Dependency(*[ConnectionError() for _ in range(9)])
    with pytest.raises(ConnectionError) as caught:
        await handler.call(dependency.fetch)
    with pytest.raises(ConnectionError):
        await handler.call(dependency.fetch)

    assert caught.value.__notes__ == ["given up after 2 attempts: budget"]
    assert dependency.calls == 2 + 2
    assert budget.refused == 2
    assert budget.balance == 0.0


def test_a_budget_saves_no_more_than_its_limit() -> None:
    budget = RetryBudget(ratio=1.0, reserve=0.0, saved_max=2.0)
    for _ in range(5):
        budget.pay_in()

    assert [budget.take() for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"ratio": 2.0}, "ratio is 2.0"), ({"reserve": 200.0}, "reserve is 200.0")],
)
def test_a_budget_that_cannot_work_is_refused(
    settings: dict[str, float], named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        RetryBudget(**settings)


def test_a_negative_limit_of_waiting_is_refused() -> None:
    with pytest.raises(SettingsError, match="put_offs_max is -1"):
        Retrying(put_offs_max=-1)
