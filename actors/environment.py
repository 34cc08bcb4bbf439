"""Retries and breakers as the environment sets them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from .breakers import BreakerConfig
from .retries import RetryPolicy
from .settings import SettingsError, from_plain

RETRY = {
    "RESILIENCE_RETRY_ENABLED": "enabled",
    "RETRY_MAX_ATTEMPTS": "attempts_max",
    "RETRY_BASE_DELAY": "base_s",
    "RETRY_MAX_DELAY": "cap_s",
    "RETRY_EXPONENTIAL_BASE": "factor",
    "RETRY_JITTER": "jitter",
}
BREAKER = {
    "RESILIENCE_CIRCUIT_BREAKER_ENABLED": "enabled",
    "CIRCUIT_BREAKER_FAILURE_THRESHOLD": "failures_max",
    "CIRCUIT_BREAKER_SUCCESS_THRESHOLD": "half_open_successes",
    "CIRCUIT_BREAKER_TIMEOUT": "cooldown_s",
    "CIRCUIT_BREAKER_HALF_OPEN_MAX_CALLS": "half_open_permitted",
}


class Resilience(msgspec.Struct, frozen=True):
    """What the environment asks for."""

    retry: RetryPolicy
    breaker: BreakerConfig
    """Failures in a row open it, as the names of the variables suggest."""


class _Switch(msgspec.Struct):
    enabled: bool = True


def resilience_from(environment: Mapping[str, str]) -> Resilience:
    """Read the variables; those that are not set have their defaults.

    `RESILIENCE_ENABLED=false` switches both off. Raises `SettingsError`, which
    names the variables.
    """
    switch = _plain(environment, {"RESILIENCE_ENABLED": "enabled"})
    on = from_plain(_Switch, switch, "RESILIENCE_ENABLED").enabled
    retry = _plain(environment, RETRY)
    breaker = {
        "window": "consecutive",
        "failures_max": 5,
        **_plain(environment, BREAKER),
    }
    if not on:
        retry["enabled"] = breaker["enabled"] = False
    return Resilience(
        _read(RetryPolicy, retry, RETRY),
        _read(BreakerConfig, _roomy(breaker), BREAKER),
    )


def _plain(environment: Mapping[str, str], names: Mapping[str, str]) -> dict[str, Any]:
    return {
        field: environment[name] for name, field in names.items() if name in environment
    }


def _roomy(breaker: dict[str, Any]) -> dict[str, Any]:
    """Let a cooldown that is longer than the default limit be the limit."""
    try:
        cooldown_s = float(breaker.get("cooldown_s", 0.0))
    except ValueError:
        return breaker  # it is refused by name later
    most_s = BreakerConfig().cooldown_max_s
    return {**breaker, "cooldown_max_s": max(cooldown_s, most_s)}


def _read(kind: Any, plain: dict[str, Any], names: Mapping[str, str]) -> Any:
    try:
        return from_plain(kind, plain, "the environment")
    except SettingsError as error:
        told = ", ".join(f"{name} sets {field}" for name, field in names.items())
        raise SettingsError(f"{error} ({told})") from error
