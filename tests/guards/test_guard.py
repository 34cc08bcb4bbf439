"""Everything that guards a call, in the order that makes sense."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dramaturg.actors.breakers import Breaker, BreakerConfig, BreakerOpenError
from dramaturg.actors.guards import Guard, GuardConfig, Guards, NoSuchGuardError
from dramaturg.actors.limits import (
    BulkheadConfig,
    BulkheadFullError,
    RateLimit,
    RateLimitConfig,
    RateLimitedError,
)
from dramaturg.actors.retries import Retrying, RetryPolicy
from dramaturg.actors.runtime import ActorSystem, ManualClock
from dramaturg.actors.settings import SettingsError
from dramaturg.events import vocabulary
from dramaturg.events.log import MemoryLog

FRAGILE = BreakerConfig.preset("classic", failures_max=2)
AT_ONCE = RetryPolicy(base_s=0.0)


class Dependency:
    """Fails so often, then answers; hangs if it is told to."""

    def __init__(self, failures: int = 0, *, hangs: bool = False) -> None:
        self.failures = failures
        self.hangs = hangs
        self.calls = 0

    async def fetch(self, value: int = 1) -> int:
        self.calls += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.failures:
            self.failures -= 1
            raise ConnectionError
        return value


@pytest.mark.asyncio
async def test_a_guard_without_parts_is_the_call_itself() -> None:
    guard, dependency = Guard("db"), Dependency(1)

    with pytest.raises(ConnectionError):
        await guard(dependency.fetch)(2)
    assert await guard(dependency.fetch)(2) == 2


@pytest.mark.asyncio
async def test_every_attempt_is_counted_by_the_breaker() -> None:
    guard = Guard("db", GuardConfig(retry=AT_ONCE, breaker=FRAGILE))
    dependency = Dependency(failures=9)
    slept: list[float] = []

    async def wake(seconds: float) -> None:
        slept.append(seconds)

    patient = Guard(
        "db",
        guard.config,
        breaker=guard.breaker,
        retrying=Retrying(AT_ONCE, sleep=wake, put_offs_max=3),
    )
    with pytest.raises(BreakerOpenError):
        await patient.call(dependency.fetch)

    assert dependency.calls == 2
    assert slept[:2] == [0.0, 0.0], "two were made, the third is put off three times"
    assert [wait_s > 59.0 for wait_s in slept[2:]] == [True, True, True]


@pytest.mark.asyncio
async def test_nobody_waits_for_a_turn_to_be_refused() -> None:
    rate = RateLimitConfig(calls=1, period_s=1000.0, wait_s=5000.0)
    guard = Guard("db", GuardConfig(breaker=FRAGILE, rate_limit=rate))
    assert guard.breaker is not None
    await guard.breaker.trip("drill")

    for _ in range(3):
        with pytest.raises(BreakerOpenError):
            await guard.call(Dependency().fetch)

    assert guard.breaker.statistics().rejected == 3
    assert await Guard("db", rate_limit=guard.rate_limit).call(Dependency().fetch) == 1


@pytest.mark.asyncio
async def test_a_call_that_the_limits_refuse_says_nothing_of_the_dependency() -> None:
    config = GuardConfig(
        breaker=FRAGILE,
        rate_limit=RateLimitConfig(calls=1, period_s=1000.0),
        bulkhead=BulkheadConfig(concurrent_max=1),
    )
    guard = Guard("db", config)
    await guard.call(Dependency().fetch)

    for _ in range(5):
        with pytest.raises(RateLimitedError):
            await guard.call(Dependency().fetch)

    assert guard.breaker is not None
    assert guard.breaker.statistics().phase == "closed"
    assert guard.breaker.statistics().failures == 0


@pytest.mark.asyncio
async def test_time_spent_waiting_for_a_place_does_not_make_a_call_slow() -> None:
    clock_s = 0.0
    breaker = Breaker("db", BreakerConfig(slow_call_s=0.5, slow_rate=0.5, min_calls=2))
    breaker._clocks = type(breaker._clocks)(clock=lambda: clock_s)  # pyright: ignore[reportPrivateUsage] # a clock of our own
    bulkhead = BulkheadConfig(concurrent_max=1, waiting_max=9)
    guard = Guard("db", GuardConfig(bulkhead=bulkhead), breaker=breaker)

    async def quick() -> None:
        nonlocal clock_s
        await asyncio.sleep(0)
        clock_s += 0.4

    await asyncio.gather(*(guard.call(quick) for _ in range(8)))

    assert breaker.statistics().slows == 0
    assert breaker.statistics().calls == 8


@pytest.mark.asyncio
async def test_a_call_that_takes_too_long_is_a_failure_of_the_dependency() -> None:
    guard = Guard("db", GuardConfig(breaker=FRAGILE, timeout_s=0.001))
    hanging = Dependency(hangs=True)

    for _ in range(2):
        with pytest.raises(TimeoutError):
            await guard.call(hanging.fetch)
    with pytest.raises(BreakerOpenError):
        await guard.call(hanging.fetch)


@pytest.mark.asyncio
async def test_the_deadline_ends_all_attempts_and_proves_nothing() -> None:
    config = GuardConfig(breaker=FRAGILE, retry=AT_ONCE, deadline_s=0.001)
    guard = Guard("db", config)
    hanging = Dependency(hangs=True)

    for _ in range(3):
        with pytest.raises(TimeoutError):
            await guard.call(hanging.fetch)

    assert hanging.calls == 3
    assert guard.breaker is not None
    assert guard.breaker.statistics().phase == "closed"


@pytest.mark.asyncio
async def test_a_full_bulkhead_is_tried_again_as_any_limit() -> None:
    bulkhead = BulkheadConfig(concurrent_max=1)
    guard = Guard("db", GuardConfig(bulkhead=bulkhead, retry=AT_ONCE))
    assert guard.bulkhead is not None
    async with guard.bulkhead:
        with pytest.raises(BulkheadFullError) as error:
            await guard.call(Dependency().fetch)

    assert error.value.__notes__ == ["given up after 3 attempts: attempts"]
    assert guard.bulkhead.refused == 3


@pytest.mark.asyncio
async def test_a_fallback_answers_what_was_refused_and_nothing_else() -> None:
    guard = Guard("db", GuardConfig(breaker=FRAGILE))
    dependency = Dependency(failures=2)

    async def cached(error: Exception) -> int:
        return -len(type(error).__name__)

    plain = guard.wrap(dependency.fetch, lambda _error: -1)
    fetch = guard.wrap(dependency.fetch, cached)
    for _ in range(2):
        with pytest.raises(ConnectionError):
            await fetch(3)

    assert await fetch(3) == -len("BreakerOpenError")
    assert await plain(3) == -1
    assert dependency.calls == 2


@pytest.mark.asyncio
async def test_a_fallback_may_stand_in_for_other_errors_too() -> None:
    guard = Guard("db", GuardConfig(retry=AT_ONCE))
    dependency = Dependency(failures=9)

    fetch = guard.wrap(
        dependency.fetch, lambda _error: -1, fallback_on=(ConnectionError, KeyError)
    )
    one = guard.wrap(dependency.fetch, lambda _: -2, fallback_on=ConnectionError)

    assert await fetch() == -1
    assert dependency.calls == 3, "after the last attempt only"
    assert await one() == -2


@pytest.mark.asyncio
async def test_a_body_is_guarded_as_one_attempt() -> None:
    config = GuardConfig(
        breaker=FRAGILE,
        rate_limit=RateLimitConfig(calls=10),
        bulkhead=BulkheadConfig(concurrent_max=1),
        timeout_s=1.0,
    )
    guard = Guard("db", config)

    async with guard.guard():
        assert guard.bulkhead is not None
        assert guard.bulkhead.under_way == 1
    for _ in range(2):
        with pytest.raises(ConnectionError):
            async with guard.guard():
                raise ConnectionError
    with pytest.raises(BreakerOpenError):
        async with guard.guard():
            pytest.fail("the body must not run")
    assert guard.bulkhead.under_way == 0
    async with Guard("plain").guard():
        pass


CONFIG: dict[str, Any] = {
    "deadline_s": 30,
    "timeout_s": "2.5",
    "retry": {"attempts_max": 4},
    "rate_limit": {"calls": 100, "period_s": 60},
    "bulkhead": {"concurrent_max": 5},
    "breaker": {"preset": "provider", "cooldown_s": 10.0},
}


def test_a_guard_is_built_from_plain_settings() -> None:
    config = GuardConfig.from_dict(CONFIG)

    assert config == GuardConfig(
        deadline_s=30.0,
        timeout_s=2.5,
        retry=RetryPolicy(attempts_max=4),
        rate_limit=RateLimitConfig(calls=100, period_s=60.0),
        bulkhead=BulkheadConfig(concurrent_max=5),
        breaker=BreakerConfig.preset("provider", cooldown_s=10.0),
    )
    assert GuardConfig.from_dict({}) == GuardConfig()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"timeout_s": 0}, "timeout_s is 0"),
        ({"timeout": 1}, "the guard: there is no setting 'timeout'"),
        ({"bulkhead": {"size": 1}}, "bulkhead: there is no setting 'size'"),
        ({"rate_limit": {}}, "rate_limit: .*missing required field `calls`"),
        ({"breaker": 5}, "breaker is 5, but must be a table"),
        ({"retry": {"attempt_timeout_s": 1.0}}, "set the guard's timeout_s instead"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(SettingsError, match=said):
        GuardConfig.from_dict(settings)


@pytest.mark.asyncio
async def test_a_registry_hands_out_one_guard_a_name() -> None:
    guards = Guards(configs={"db": CONFIG})

    db = await guards.open("db", GuardConfig(timeout_s=99.0))
    plain = await guards.open("plain")

    assert db is await guards.open("db")
    assert db.config.timeout_s == 2.5, "what is configured comes before the code"
    assert plain.breaker is None
    assert [*guards] == ["db", "plain"]
    assert len(guards) == 2
    with pytest.raises(NoSuchGuardError, match=r"no guard 'bd'.*open: db, plain"):
        guards["bd"]


@pytest.mark.asyncio
async def test_two_who_open_a_guard_at_once_get_the_same() -> None:
    async with MemoryLog(vocabulary()) as log, ActorSystem(log=log) as system:
        guards = Guards(system, {"db": {"breaker": {}}})
        one, two = await asyncio.gather(guards.open("db"), guards.open("db"))

    assert one is two


@pytest.mark.asyncio
async def test_in_a_system_the_breaker_is_logged_and_time_is_the_systems() -> None:
    clock = ManualClock()
    async with (
        MemoryLog(vocabulary()) as log,
        ActorSystem(log=log, clock=clock) as system,
    ):
        rate = {"calls": 1, "period_s": 60.0, "wait_s": 100.0}
        retry = {"jitter": False, "base_s": 30.0, "cap_s": 30.0}
        settings = {"breaker": {}, "rate_limit": rate, "retry": retry}
        guard = await Guards(system, {"db": settings}).open("db")
        dependency = Dependency(failures=1)

        call = asyncio.ensure_future(guard.call(dependency.fetch))
        await passed(clock, 30.0)
        assert dependency.calls == 1, "the second attempt waits for its turn"
        await passed(clock, 30.0)

        assert await call == 1
        assert await log.head("breaker/db") is not None


async def passed(clock: ManualClock, seconds: float) -> None:
    for _ in range(20):
        await asyncio.sleep(0)
    clock.advance(seconds)
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.asyncio
async def test_a_guard_outside_of_a_system_uses_the_limits_it_is_given() -> None:
    shared = RateLimit("api", RateLimitConfig(calls=1, period_s=100.0))
    one, two = Guard("one", rate_limit=shared), Guard("two", rate_limit=shared)

    await one.call(Dependency().fetch)
    with pytest.raises(RateLimitedError):
        await two.call(Dependency().fetch)


@pytest.mark.asyncio
async def test_a_decorated_function_keeps_its_name_and_signature() -> None:
    guard = Guard("db", GuardConfig(retry=AT_ONCE))

    @guard
    async def fetch(key: str, *, limit: int = 1) -> list[str]:
        """Fetch."""
        return [key] * limit

    typed: Callable[..., Awaitable[list[str]]] = fetch
    assert await typed("a", limit=2) == ["a", "a"]
    assert (fetch.__name__, fetch.__doc__) == ("fetch", "Fetch.")
