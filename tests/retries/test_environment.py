import pytest

from dramaturg.actors.breakers import BreakerConfig
from dramaturg.actors.environment import resilience_from
from dramaturg.actors.retries import RetryPolicy
from dramaturg.actors.settings import SettingsError


def test_without_variables_there_are_the_defaults() -> None:
    found = resilience_from({"HOME": "/"})

    assert found.retry == RetryPolicy()
    assert found.breaker == BreakerConfig(window="consecutive", failures_max=5)


def test_every_variable_sets_its_field() -> None:
    found = resilience_from(
        {
            "RESILIENCE_ENABLED": "true",
            "RESILIENCE_RETRY_ENABLED": "1",
            "RETRY_MAX_ATTEMPTS": "7",
            "RETRY_BASE_DELAY": "0.5",
            "RETRY_MAX_DELAY": "9",
            "RETRY_EXPONENTIAL_BASE": "3",
            "RETRY_JITTER": "false",
            "RESILIENCE_CIRCUIT_BREAKER_ENABLED": "true",
            "CIRCUIT_BREAKER_FAILURE_THRESHOLD": "4",
            "CIRCUIT_BREAKER_SUCCESS_THRESHOLD": "6",
            "CIRCUIT_BREAKER_TIMEOUT": "600",
            "CIRCUIT_BREAKER_HALF_OPEN_MAX_CALLS": "2",
        }
    )

    assert found.retry == RetryPolicy(
        attempts_max=7, base_s=0.5, cap_s=9, factor=3, jitter=False
    )
    assert found.breaker == BreakerConfig(
        window="consecutive",
        failures_max=4,
        half_open_successes=6,
        half_open_permitted=2,
        cooldown_s=600,
        cooldown_max_s=600,
    )


@pytest.mark.parametrize(
    ("name", "retry", "breaker"),
    [
        ("RESILIENCE_ENABLED", False, False),
        ("RESILIENCE_RETRY_ENABLED", False, True),
        ("RESILIENCE_CIRCUIT_BREAKER_ENABLED", True, False),
    ],
)
def test_each_half_can_be_switched_off(
    name: str,
    retry: bool,  # noqa: FBT001 - a parameter of the test
    breaker: bool,  # noqa: FBT001 - as above
) -> None:
    found = resilience_from({name: "false"})

    assert (found.retry.enabled, found.breaker.enabled) == (retry, breaker)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RESILIENCE_ENABLED", "perhaps"),
        ("RETRY_MAX_ATTEMPTS", "many"),
        ("RETRY_MAX_DELAY", "0.1"),
        ("CIRCUIT_BREAKER_TIMEOUT", "soon"),
        ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "0"),
    ],
)
def test_a_value_that_cannot_work_names_its_variable(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        resilience_from({name: value})
