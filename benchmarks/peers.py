"""Other breakers and retries, each as its own documentation uses it around a coroutine function.

They are in the dependency group `bench`; what is not installed is left out and named.
"""

from collections.abc import Awaitable, Callable, Coroutine
from functools import cache
from importlib import import_module
from itertools import count
from typing import Any

Function = Callable[[], Coroutine[Any, Any, object]]
Call = Callable[[], Awaitable[object]]
Guard = Callable[[Function], Call]
_numbers = count()


@cache
def _factory() -> Any:
    return import_module("purgatory").AsyncCircuitBreakerFactory()


def _purgatory() -> Guard:
    guard: Guard = _factory()(f"breaker {next(_numbers)}")
    return guard


def _circuitbreaker() -> Guard:
    guard: Guard = import_module("circuitbreaker").CircuitBreaker()
    return guard


def _hyx() -> Guard:
    guard: Guard = import_module("hyx.circuitbreaker").consecutive_breaker()
    return guard


def _aiobreaker() -> Guard:
    guard: Guard = import_module("aiobreaker").CircuitBreaker()
    return guard


def _pybreaker() -> Guard:
    """Use it as a context, since its form for coroutines needs tornado."""
    breaker = import_module("pybreaker").CircuitBreaker()

    def guard(function: Function) -> Call:
        async def guarded() -> object:
            with breaker.calling():
                return await function()

        return guarded

    return guard


def _interlock() -> Guard:
    name = f"breaker {next(_numbers)}"
    guard: Guard = import_module("interlock").CircuitBreaker(name=name)
    return guard


def _tenacity() -> Guard:
    tenacity = import_module("tenacity")
    guard: Guard = tenacity.retry(stop=tenacity.stop_after_attempt(3))
    return guard


def _stamina() -> Guard:
    guard: Guard = import_module("stamina").retry(on=ConnectionError, attempts=3)
    return guard


def _hyx_retry() -> Guard:
    guard: Guard = import_module("hyx.retry").retry(on=ConnectionError, attempts=3)
    return guard


BREAKERS: dict[str, Callable[[], Guard]] = {
    "purgatory": _purgatory,
    "circuitbreaker": _circuitbreaker,
    "hyx": _hyx,
    "aiobreaker": _aiobreaker,
    "pybreaker": _pybreaker,
    "interlock-cb": _interlock,
}
RETRIES: dict[str, Callable[[], Guard]] = {
    "tenacity": _tenacity,
    "stamina": _stamina,
    "hyx retry": _hyx_retry,
}


def installed(
    makers: dict[str, Callable[[], Guard]],
) -> dict[str, Callable[[], Guard]]:
    """Return those whose packages are there."""
    found: dict[str, Callable[[], Guard]] = {}
    for name, make in makers.items():
        try:
            make()
        except ImportError:
            continue
        found[name] = make
    return found
