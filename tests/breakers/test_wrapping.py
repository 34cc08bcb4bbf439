"""A guard is written for the parameters of the function that it guards."""

import inspect
import itertools
import pickle
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from dramaturg.actors.breakers import Breaker, BreakerConfig, BreakerOpenError, Outcomes

from .clock import Hands, run


class Client:
    async def fetch(self, key: str, *, depth: int = 2) -> tuple[Any, ...]:
        return key, depth

    async def loose(*args: Any) -> tuple[Any, ...]:
        return args[1:]


async def none() -> tuple[Any, ...]:
    return ()


async def plain(a: int, b: int) -> tuple[Any, ...]:
    return a, b


async def defaults(a: int, b: int = 2, c: int = 3) -> tuple[Any, ...]:
    return a, b, c


async def positional(a: int, b: int = 2, /, c: int = 3) -> tuple[Any, ...]:
    return a, b, c


async def named(a: int, *, b: int, c: int = 3) -> tuple[Any, ...]:
    return a, b, c


async def rest(a: int, *more: int, b: int = 0, **others: int) -> tuple[Any, ...]:
    return a, more, b, others


async def underscored(_machine: int, _function: int = 1) -> tuple[Any, ...]:
    return _machine, _function


async def borrowed(function: int, machine: int, result: int = 0) -> tuple[Any, ...]:
    return function, machine, result


Function = Callable[..., Coroutine[Any, Any, tuple[Any, ...]]]
FUNCTIONS: tuple[Function, ...] = (
    none,
    plain,
    defaults,
    positional,
    named,
    rest,
    underscored,
    borrowed,
    Client().fetch,
    Client.fetch,
    Client().loose,
)
ARGUMENTS: tuple[tuple[tuple[Any, ...], dict[str, Any]], ...] = (
    ((), {}),
    ((1,), {}),
    ((1, 2), {}),
    ((1, 2, 3), {}),
    ((1, 2, 3, 4), {}),
    ((1,), {"b": 5}),
    ((), {"a": 1, "b": 5}),
    ((1, 2), {"c": 7}),
    ((1,), {"b": 5, "c": 7}),
    ((1,), {"key": "k"}),
    ((1, "k"), {"depth": 9}),
    ((), {"function": 1, "machine": 2}),
    ((), {"_machine": 1}),
    ((1,), {"x": 5}),
)


def outcome(function: Function, args: Any, kwargs: Any) -> object:
    try:
        return run(function(*args, **kwargs))
    except TypeError:
        return TypeError


def test_a_guarded_function_takes_what_it_took_before() -> None:
    counting, timing = BreakerConfig(window="count"), BreakerConfig(slow_call_s=1.0)
    breakers = (
        Breaker("db", counting, clocks=Hands().clocks),
        Breaker("db", timing, clocks=Hands().clocks),
        Breaker("db", counting, outcomes=Outcomes(result_failure_if=bool)),
    )
    for function, breaker in itertools.product(FUNCTIONS, breakers):
        guard = breaker(function)
        assert inspect.iscoroutinefunction(guard)
        assert inspect.signature(guard) == inspect.signature(function)
        assert guard.__qualname__ == function.__qualname__
        for args, kwargs in ARGUMENTS:
            expected = outcome(function, args, kwargs)
            run(breaker.reset("drill"))
            assert outcome(guard, args, kwargs) == expected, (function, args, kwargs)


def test_a_refused_call_is_not_made_whatever_its_parameters() -> None:
    breaker = Breaker("db", clocks=Hands().clocks)
    run(breaker.hold_open("drill"))

    for function in (plain, rest):
        with pytest.raises(BreakerOpenError):
            run(breaker(function)(1, 2))

    assert breaker.statistics().rejected == 2


def test_a_call_that_hands_on_to_a_probe_keeps_its_arguments() -> None:
    hands = Hands()
    breaker = Breaker("db", clocks=hands.clocks)
    run(breaker.trip("drill"))
    hands.pass_s(60)

    assert run(breaker(named)(1, b=5)) == (1, 5, 3)
    assert run(breaker(borrowed)(1, 2)) == (1, 2, 0)


def test_a_callable_object_is_guarded_too() -> None:
    class Fetch:
        async def __call__(self, value: int) -> int:
            return value

    assert run(Breaker("db").wrap(Fetch().__call__)(3)) == 3
    assert run(Breaker("db").call(Fetch(), 4)) == 4


def test_a_refusal_survives_pickling_with_all_it_says() -> None:
    error = BreakerOpenError("db", 1.5, "open")

    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own

    assert (again.breaker, again.retry_after_s, again.reason) == ("db", 1.5, "open")
    assert str(again) == str(error)
    assert str(BreakerOpenError("db", 1.5)) == (
        "breaker 'db' refused the call: try again in 1.500 s"
    )
