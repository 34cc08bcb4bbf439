import asyncio
from collections.abc import Callable

import pytest

from dramaturg.actors.breakers import (
    Breaker,
    BreakerConfig,
    BreakerOpenError,
    Outcomes,
    PermitUsedError,
    ReasonMissingError,
)
from dramaturg.actors.retries import Retrying, RetryPolicy, TransientError

from .clock import Hands, run

CLASSIC = BreakerConfig.preset("classic", failures_max=2, cooldown_s=10.0)


class Dependency:
    """Fails as long as it is told to."""

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.calls = 0

    async def fetch(self, value: int = 1) -> int:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return value


def breaker(
    hands: Hands,
    config: BreakerConfig = CLASSIC,
    outcomes: Outcomes | None = None,
    draw: Callable[[], float] = lambda: 0.0,
) -> Breaker:
    return Breaker(
        "db",
        config,
        outcomes=outcomes,
        clocks=hands.clocks,
        draw=draw,
    )


def phase(guard: Breaker) -> str:
    return guard.machine.state.phase


def open_it(guard: Breaker, dependency: Dependency, error: Exception) -> None:
    dependency.error = error
    fetch = guard(dependency.fetch)
    while phase(guard) != "open":
        with pytest.raises(type(error)):
            run(fetch())
    dependency.error = None


def test_a_closed_breaker_is_transparent() -> None:
    hands, dependency = Hands(), Dependency()
    fetch = breaker(hands)(dependency.fetch)

    assert run(fetch(7)) == 7
    assert fetch.__name__ == "fetch"


def test_an_open_breaker_refuses_at_once_and_says_until_when() -> None:
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands)
    open_it(guard, dependency, ConnectionError())
    hands.pass_s(4)

    with pytest.raises(BreakerOpenError, match=r"'db'.*open.*6.000 s") as caught:
        run(guard.call(dependency.fetch))

    assert caught.value.retry_after_s == pytest.approx(6)
    assert dependency.calls == 2
    assert guard.refusal() is not None


def test_every_form_of_call_opens_and_closes_it() -> None:
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands)

    async def in_context() -> int:
        async with guard.guard():
            return await dependency.fetch()

    async def with_permit() -> int:
        permit = await guard.acquire()
        try:
            value = await dependency.fetch()
        except ConnectionError as error:
            guard.failed(permit, error)
            raise
        guard.done(permit, value)
        return value

    async def called() -> int:
        return await guard.call(dependency.fetch)

    forms = (guard(dependency.fetch), called, in_context, with_permit)
    for call in forms:
        dependency.error = ConnectionError()
        for _ in range(2):
            with pytest.raises(ConnectionError):
                run(call())
        assert phase(guard) == "open"
        dependency.error = None
        hands.pass_s(10)
        assert run(call()) == 1
        assert phase(guard) == "half_open"
        assert run(call()) == 1
        assert phase(guard) == "closed"


@pytest.mark.asyncio
async def test_ten_callers_at_the_cooldowns_end_get_exactly_the_permitted_probes() -> (
    None
):
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands)
    open_it(guard, dependency, ConnectionError())
    hands.pass_s(10)
    gate = asyncio.Event()

    @guard
    async def probe() -> None:
        await gate.wait()

    callers = [asyncio.create_task(probe()) for _ in range(10)]
    await asyncio.sleep(0)
    refused = [task for task in callers if task.done()]
    gate.set()
    answers = await asyncio.gather(*callers, return_exceptions=True)

    assert len(refused) == 7
    assert answers.count(None) == 3
    assert all(isinstance(a, BreakerOpenError) for a in answers if a is not None)


@pytest.mark.asyncio
async def test_a_cancelled_probe_frees_its_place_and_proves_nothing() -> None:
    hands, dependency = Hands(), Dependency()
    config = BreakerConfig.preset("classic", failures_max=1, half_open_permitted=1)
    guard = breaker(hands, config)
    open_it(guard, dependency, ConnectionError())
    hands.pass_s(60)
    task = asyncio.create_task(guard.call(asyncio.Event().wait))
    await asyncio.sleep(0)
    with pytest.raises(BreakerOpenError):
        await guard.call(dependency.fetch)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert phase(guard) == "half_open"
    assert await guard.call(dependency.fetch) == 1


def test_a_late_result_of_an_earlier_generation_moves_nothing() -> None:
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands)
    late_good, late_bad = run(guard.acquire()), run(guard.acquire())
    open_it(guard, dependency, ConnectionError())
    before = guard.machine.state

    guard.done(late_good)
    guard.failed(late_bad, ConnectionError())

    assert guard.machine.state == before
    assert guard.statistics().late == 2


def test_a_late_probe_frees_its_place_but_is_not_judged() -> None:
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands)
    open_it(guard, dependency, ConnectionError())
    hands.pass_s(10)
    slow, bad = run(guard.acquire()), run(guard.acquire())
    guard.failed(bad, ConnectionError())
    assert phase(guard) == "open"

    guard.failed(slow, ConnectionError())

    assert guard.machine.state.leases == ()
    assert guard.machine.state.attempt == 2


def test_a_lost_probe_does_not_jam_it() -> None:
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands)
    open_it(guard, dependency, ConnectionError())
    hands.pass_s(10)
    lost = [run(guard.acquire()) for _ in range(3)]
    with pytest.raises(BreakerOpenError) as caught:
        run(guard.acquire())
    assert caught.value.retry_after_s == 1.0

    hands.pass_s(60)
    run(guard.call(dependency.fetch))
    guard.done(lost[0])

    assert guard.machine.state.probes.good == 1
    assert guard.machine.state.totals.expired == 3


def test_a_probe_that_cannot_be_judged_frees_its_place() -> None:
    hands, dependency = Hands(), Dependency()

    def judge(error: BaseException) -> bool:
        raise LookupError(error)

    guard = breaker(hands, outcomes=Outcomes(failure_if=judge))
    run(guard.trip("drill"))
    hands.pass_s(10)
    dependency.error = ConnectionError()

    with pytest.raises(LookupError):
        run(guard.call(dependency.fetch))

    found = guard.statistics()
    assert (found.phase, found.probes_in_flight) == ("half_open", 0)


def test_a_permit_stands_for_one_call() -> None:
    guard = breaker(Hands())
    permit = run(guard.acquire())
    guard.done(permit)

    with pytest.raises(PermitUsedError, match="'db' was settled"):
        guard.cancel(permit)


@pytest.mark.parametrize(
    ("outcomes", "error", "counted"),
    [
        (Outcomes(), ValueError(), 1),
        (Outcomes(ConnectionError), ValueError(), 0),
        (Outcomes(ignored=ValueError), ValueError(), 0),
        (Outcomes(failure_if=lambda e: "5" in str(e)), ValueError("503"), 1),
        (Outcomes(failure_if=lambda e: "5" in str(e)), ValueError("404"), 0),
        (Outcomes(), BreakerOpenError("inner", 1.0), 0),
        (Outcomes(), asyncio.CancelledError(), 0),
    ],
)
def test_what_counts_as_a_failure_is_a_matter_of_settings(
    outcomes: Outcomes, error: BaseException, counted: int
) -> None:
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands, outcomes=outcomes)
    dependency.error = error

    with pytest.raises(type(error)):
        run(guard.call(dependency.fetch))

    found = guard.statistics()
    assert (found.failures, found.neutral) == (counted, 1 - counted)


def test_a_result_can_be_a_failure() -> None:
    hands, dependency = Hands(), Dependency()
    judge = Outcomes(result_failure_if=lambda value: value >= 500)
    guard = breaker(hands, outcomes=judge)

    assert run(guard.call(dependency.fetch, 503)) == 503
    permit = run(guard.acquire())
    guard.done(permit, 503)

    assert phase(guard) == "open"


def test_the_failing_side_can_name_the_cooldown() -> None:
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands)

    open_it(guard, dependency, TransientError("busy", retry_after_s=33.0))

    assert guard.statistics().retry_after_s == 33.0


@pytest.mark.parametrize("wait_s", [float("nan"), -5.0])
def test_a_cooldown_that_is_no_time_is_not_taken(wait_s: float) -> None:
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands, outcomes=Outcomes(wait_for=lambda _: wait_s))

    open_it(guard, dependency, ConnectionError())

    assert guard.statistics().retry_after_s == CLASSIC.cooldown_s


def test_cooldowns_grow_to_their_limit_and_start_anew_after_closing() -> None:
    hands, dependency = Hands(), Dependency()
    config = BreakerConfig.preset(
        "classic", failures_max=1, cooldown_s=60, half_open_successes=1
    )
    guard = breaker(hands, config)
    fetch = guard(dependency.fetch)
    dependency.error = ConnectionError()
    cooldowns: list[float] = []
    for _ in range(4):
        with pytest.raises(ConnectionError):
            run(fetch())
        cooldowns.append(guard.statistics().retry_after_s)
        hands.pass_s(cooldowns[-1])
    dependency.error = None
    run(fetch())
    open_it(guard, dependency, ConnectionError())

    assert cooldowns == [60, 120, 240, 300]
    assert guard.statistics().retry_after_s == 60


def test_jitter_shortens_a_cooldown_by_at_most_its_share() -> None:
    hands, dependency = Hands(), Dependency()
    config = BreakerConfig.preset("classic", cooldown_jitter=0.5)
    guard = breaker(hands, config, draw=lambda: 0.5)
    open_it(guard, dependency, ConnectionError())

    assert guard.statistics().retry_after_s == 45


def test_a_good_call_that_completes_the_minimum_can_open_it() -> None:
    hands, dependency = Hands(), Dependency()
    for window in ("count", "time"):
        config = BreakerConfig.from_dict({"window": window, "min_calls": 5})
        guard = breaker(hands, config)
        dependency.error = ConnectionError()
        fetch = guard(dependency.fetch)
        for _ in range(3):
            with pytest.raises(ConnectionError):
                run(fetch())
        dependency.error = None
        run(fetch())
        assert phase(guard) == "closed"
        run(fetch())

        assert phase(guard) == "open"
        evidence = guard.machine.state.evidence
        assert evidence is not None
        assert (evidence.calls, evidence.failures) == (5, 3)


def test_slow_calls_open_it_too() -> None:
    hands = Hands()
    config = BreakerConfig(
        slow_call_s=1.0, slow_rate=0.5, min_calls=4, failure_rate=None
    )
    guard = breaker(hands, config)

    @guard
    async def drag(seconds: float) -> None:
        hands.pass_s(seconds)

    for seconds in (0.5, 0.5, 2.0, 2.0):
        run(drag(seconds))

    assert "2 slow of 4 calls reached slow_rate 0.5" in guard.statistics().explain()


def test_a_trip_names_its_evidence() -> None:
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands)
    open_it(guard, dependency, ConnectionResetError())

    evidence = guard.machine.state.evidence

    assert evidence is not None
    assert evidence.errors == ("ConnectionResetError", "ConnectionResetError")
    assert (evidence.rule, evidence.limit, evidence.failure_rate) == ("failures", 2, 1)
    assert evidence.slow_rate == 0
    assert guard.statistics().explain() == (
        "db is open: 2 failed and 0 slow of 2 calls reached failures 2 of "
        "configuration 1, last ConnectionResetError, ConnectionResetError"
    )


def test_a_memory_breaker_counts_on_without_keeping_every_failure() -> None:
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands)
    run(guard.only_measure("drill"))
    dependency.error = ConnectionError()
    for _ in range(1200):
        with pytest.raises(ConnectionError):
            run(guard.call(dependency.fetch))

    assert guard.statistics().failures == 1200
    assert len(guard.machine.generation.failures) < 500


def test_who_asks_beforehand_is_told_only_what_is_certain() -> None:
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands)
    assert guard.refusal() is None
    open_it(guard, dependency, ConnectionError())
    refusal = guard.refusal()
    hands.pass_s(10)

    assert refusal is not None
    assert (refusal.retry_after_s, refusal.reason) == (10, "open")
    assert guard.refusal() is None


def test_the_body_of_a_guard_may_end_its_permit_itself() -> None:
    guard = breaker(Hands())

    async def judge() -> None:
        async with guard.guard() as permit:
            guard.failed(permit, ConnectionError())

    run(judge())

    assert guard.statistics().failures == 1


def test_a_fallback_stands_in_for_refused_calls_only() -> None:
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands)

    async def later(error: BreakerOpenError) -> int:
        return round(error.retry_after_s)

    fetch = guard.wrap(dependency.fetch, fallback=lambda _: -1)
    slow_fetch = guard.wrap(dependency.fetch, fallback=later)
    assert run(fetch()) == 1
    open_it(guard, dependency, ConnectionError())

    assert run(fetch()) == -1
    assert run(slow_fetch()) == 10


def test_a_fallback_does_not_hide_another_breaker() -> None:
    hands, dependency = Hands(), Dependency()
    dependency.error = BreakerOpenError("other", 1.0)
    fetch = breaker(hands).wrap(dependency.fetch, fallback=lambda _: -1)

    with pytest.raises(BreakerOpenError, match="'other'"):
        run(fetch())


def test_only_coroutine_functions_can_be_guarded() -> None:
    def plain() -> None: ...

    with pytest.raises(TypeError, match="declare it with async def"):
        breaker(Hands())(plain)  # type: ignore[arg-type] # the mistake under test


def test_an_action_needs_a_reason() -> None:
    guard = breaker(Hands())

    with pytest.raises(ReasonMissingError, match="TripBreaker needs a reason"):
        run(guard.trip(" "))


def test_a_breaker_held_open_refuses_until_reset_and_says_who_did_it() -> None:
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands)
    run(guard.hold_open("maintenance", "ann"))
    hands.pass_s(10_000)

    with pytest.raises(BreakerOpenError) as caught:
        run(guard.call(dependency.fetch))
    assert caught.value.retry_after_s == CLASSIC.cooldown_max_s
    assert guard.statistics().explain() == "db is forced_open by ann: maintenance"

    run(guard.reset("done", "ann"))
    assert run(guard.call(dependency.fetch)) == 1
    assert guard.statistics().number == 0


def test_a_breaker_held_open_for_a_time_probes_afterwards() -> None:
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands)
    run(guard.hold_open("maintenance", for_s=30))
    hands.pass_s(30)

    run(guard.call(dependency.fetch))

    assert guard.statistics().number == 2


def test_a_disabled_breaker_lets_everything_pass_uncounted() -> None:
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands)
    run(guard.disable("drill", for_s=30))
    dependency.error = ConnectionError()
    for _ in range(5):
        with pytest.raises(ConnectionError):
            run(guard.call(dependency.fetch))

    assert guard.statistics().failures == 0
    hands.pass_s(30)
    guard.machine.tick(guard.now())
    assert guard.statistics().phase == "closed"


def test_measuring_only_counts_and_never_opens() -> None:
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands)
    run(guard.only_measure("drill"))
    dependency.error = ConnectionError()
    for _ in range(5):
        with pytest.raises(ConnectionError):
            run(guard.call(dependency.fetch))

    found = guard.statistics()
    assert (found.phase, found.window_failures) == ("metrics_only", 5)
    assert found.error_rate == 1.0


def test_a_breaker_that_is_not_enabled_lets_everything_pass() -> None:
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands)
    open_it(guard, dependency, ConnectionError())

    run(guard.configure(BreakerConfig(enabled=False), "drill"))

    assert run(guard.call(dependency.fetch)) == 1
    assert guard.refusal() is None


def test_other_settings_keep_the_window_and_the_calls_under_way() -> None:
    hands, dependency = Hands(), Dependency()
    config = BreakerConfig(window="count", min_calls=4)
    guard = breaker(hands, config)
    dependency.error = ConnectionError()
    for _ in range(3):
        with pytest.raises(ConnectionError):
            run(guard.call(dependency.fetch))
    under_way = run(guard.acquire())

    run(guard.configure(BreakerConfig(window="time", min_calls=4), "finer", "ann"))
    assert phase(guard) == "closed"
    guard.failed(under_way, ConnectionError())

    assert phase(guard) == "open"
    assert guard.statistics().config_version == 2


def test_settings_under_which_the_window_is_over_a_limit_open_it_at_the_next_call() -> (
    None
):
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands, BreakerConfig(window="count"))
    dependency.error = ConnectionError()
    for _ in range(5):
        with pytest.raises(ConnectionError):
            run(guard.call(dependency.fetch))
    dependency.error = None

    run(guard.configure(BreakerConfig(window="count", min_calls=5), "stricter"))
    run(guard.call(dependency.fetch))

    assert phase(guard) == "open"


@pytest.mark.asyncio
async def test_a_limit_of_time_outside_the_breaker_says_nothing_about_it() -> None:
    guard = breaker(Hands())

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await guard.call(asyncio.Event().wait)

    found = guard.statistics()
    assert (found.failures, found.neutral) == (0, 1)


@pytest.mark.asyncio
async def test_retries_inside_a_fallback_wait_for_the_breaker_before_it_answers() -> (
    None
):
    hands, dependency = Hands(), Dependency()
    guard = breaker(hands)
    await guard.hold_open("maintenance", for_s=5)

    async def sleep(seconds: float) -> None:
        hands.pass_s(seconds)

    policy = RetryPolicy(jitter=False)
    fetch = Retrying(policy, sleep=sleep, clock=hands.clock)(guard(dependency.fetch))
    answering_at_once = guard.wrap(dependency.fetch, fallback=lambda _: -1)

    assert await answering_at_once() == -1
    assert await fetch() == 1
