import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dramaturg.actors.breakers import BreakerOpenError
from dramaturg.actors.retries import (
    Failure,
    GiveUp,
    InvalidInputError,
    PutOff,
    RetryIn,
    RetryPolicy,
)
from dramaturg.actors.retries.policy import STRATEGIES
from dramaturg.actors.settings import SettingsError

CONNECTION = Failure("connection", "ConnectionError")
OPEN = Failure("breaker_open", "BreakerOpenError", retry_after_s=10.0)
DRAWS = st.floats(0, 1, exclude_max=True)
STEADY = RetryPolicy(jitter=False, attempts_max=10, cap_s=60)


def delays(policy: RetryPolicy, count: int) -> list[float | None]:
    return [policy.next_delay(n, 0.5, ConnectionError()) for n in range(1, count + 1)]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ("exponential", [1, 2, 4, 8, 16, 32, 60, 60]),
        ("linear", [1, 2, 3, 4, 5, 6, 7, 8]),
        ("fixed", [1, 1, 1, 1, 1, 1, 1, 1]),
        ("fibonacci", [1, 1, 2, 3, 5, 8, 13, 21]),
    ],
)
def test_each_strategy_has_its_delays(strategy: str, expected: list[float]) -> None:
    policy = RetryPolicy.from_dict(
        {"strategy": strategy, "jitter": False, "attempts_max": 10}
    )

    assert delays(policy, 8) == expected


def test_the_defaults_are_three_attempts_with_full_jitter() -> None:
    assert delays(RetryPolicy(), 3) == [0.5, 1.0, None]


def test_a_decorrelated_delay_grows_from_the_one_before() -> None:
    policy = RetryPolicy(strategy="decorrelated")

    assert policy.next(1, CONNECTION, 0.5) == RetryIn(2.0)
    assert policy.next(2, CONNECTION, 0.5, previous_s=4.0) == RetryIn(6.5)
    assert policy.next(2, CONNECTION, 0.99, previous_s=40.0) == RetryIn(60.0)


@given(
    st.sampled_from([s for s in STRATEGIES if s not in {"review", "no_retry"}]),
    st.integers(1, 5000),
    DRAWS,
    st.floats(0, 100),
)
def test_no_delay_is_negative_or_over_the_cap(
    strategy: str, attempt: int, draw: float, previous_s: float
) -> None:
    policy = RetryPolicy.from_dict({"strategy": strategy, "attempts_max": 10_000})

    verdict = policy.next(attempt, CONNECTION, draw, previous_s=previous_s)

    assert isinstance(verdict, RetryIn)
    assert 0 <= verdict.delay_s <= policy.cap_s


def test_a_power_too_large_for_a_float_is_the_cap() -> None:
    policy = RetryPolicy(factor=10.0, attempts_max=5000, jitter=False)

    assert policy.next(4000, CONNECTION, 0.0) == RetryIn(60.0)


def test_a_fibonacci_delay_without_a_base_is_nothing() -> None:
    policy = RetryPolicy(strategy="fibonacci", base_s=0, attempts_max=10**9)

    assert policy.next(10**8, CONNECTION, 0.9) == RetryIn(0.0)


def test_the_other_side_is_left_alone_as_long_as_it_asks() -> None:
    asked = Failure("throttled", "HTTPError", status=429, retry_after_s=90.0)

    assert RetryPolicy().next(1, asked, 0.5) == RetryIn(90.0)


def test_work_is_given_up_rather_than_left_waiting_for_a_day() -> None:
    asked = Failure("throttled", "HTTPError", retry_after_s=86_400.0)

    assert RetryPolicy().next(1, asked, 0.5) == GiveUp("retry_after")


def test_an_attempt_that_would_start_after_the_deadline_is_not_made() -> None:
    policy = RetryPolicy(deadline_s=10.0, jitter=False)

    assert policy.next(1, CONNECTION, 0.0, elapsed_s=9.0) == RetryIn(1.0)
    assert policy.next(1, CONNECTION, 0.0, elapsed_s=9.5) == GiveUp("deadline")


def test_an_open_breaker_puts_the_attempt_off_without_using_it_up() -> None:
    policy = RetryPolicy(attempts_max=1, jitter=False)

    assert policy.next(1, OPEN, 0.9) == PutOff(10.0)
    assert policy.next_delay(1, 0.9, BreakerOpenError("db", 10.0)) == 10.0


def test_those_who_wait_for_a_breaker_do_not_return_all_at_once() -> None:
    assert RetryPolicy().next(1, OPEN, 0.5) == PutOff(10.5)


def test_a_breaker_that_names_no_time_is_not_asked_at_once() -> None:
    verdict = RetryPolicy(jitter=False).next(1, Failure("breaker_open", "E"), 0.0)

    assert verdict == PutOff(0.05)


def test_a_breaker_open_beyond_the_deadline_ends_the_work() -> None:
    policy = RetryPolicy(deadline_s=5.0)

    assert policy.next(1, OPEN, 0.0) == GiveUp("deadline")


@pytest.mark.parametrize(
    ("error_class", "reason"),
    [
        ("validation", "review"),
        ("rejected", "no_retry"),
        ("permanent", "no_retry"),
        ("unknown", "no_retry"),
    ],
)
def test_what_trying_again_cannot_cure_is_given_up(
    error_class: str, reason: str
) -> None:
    failure = Failure(error_class, "Error")  # type: ignore[arg-type] # from the table

    assert RetryPolicy().next(1, failure, 0.0) == GiveUp(reason)  # type: ignore[arg-type] # from the table


def test_the_strategy_goes_by_the_class_of_the_error() -> None:
    policy = RetryPolicy(
        by_class={"unknown": "fixed", "connection": "no_retry"}, jitter=False
    )

    assert policy.strategy_for("timeout") == "linear"
    assert policy.strategy_for("server") == "exponential"
    assert policy.next(1, Failure("unknown", "Error"), 0.0) == RetryIn(1.0)
    assert policy.next(1, CONNECTION, 0.0) == GiveUp("no_retry")
    assert policy.next_delay(1, 0.0, InvalidInputError("bad")) is None


def test_a_disabled_policy_gives_up_at_once() -> None:
    assert RetryPolicy(enabled=False).next(1, CONNECTION, 0.0) == GiveUp("disabled")


@given(st.integers(0, 10**12), st.integers(0, 10**12), DRAWS)
def test_what_is_overdue_after_a_restart_is_spread(
    due_us: int, now_us: int, draw: float
) -> None:
    delay_s = RetryPolicy().resumed_delay_s(due_us, now_us, draw)

    if due_us > now_us:
        assert math.isclose(delay_s, (due_us - now_us) / 1e6)
    else:
        assert 0 <= delay_s < 5.0


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"attempts_max": 0}, "attempts_max is 0, but must be at least 1"),
        ({"base_s": -1}, "base_s is -1"),
        ({"factor": 0.5}, "factor is 0.5"),
        ({"base_s": 5, "cap_s": 2}, "cap_s is 2.0, but must be at least base_s, 5.0"),
        ({"deadline_s": 0}, "deadline_s is 0"),
        ({"attempt_timeout_s": 0}, "attempt_timeout_s is 0"),
        ({"retry_after_max_s": 0}, "retry_after_max_s is 0"),
        ({"strategy": "hope"}, "strategy"),
        ({"by_class": {"timeout": "hope"}}, "by_class"),
        ({"by_class": {"weather": "fixed"}}, "by_class"),
        ({"attempts": 5}, "no setting 'attempts'; there are strategy"),
    ],
)
def test_a_setting_that_cannot_work_is_named(
    settings: dict[str, object], named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        RetryPolicy.from_dict(settings)


def test_names_given_in_code_are_checked_as_well() -> None:
    with pytest.raises(SettingsError, match="strategy is 'hope'"):
        RetryPolicy(strategy="hope")  # type: ignore[arg-type] # the mistake under test
    with pytest.raises(SettingsError, match="by_class is 'weather'"):
        RetryPolicy(by_class={"weather": "fixed"})  # type: ignore[dict-item] # as above


def test_numbers_may_come_as_text() -> None:
    assert RetryPolicy.from_dict({"attempts_max": "5"}).attempts_max == 5
