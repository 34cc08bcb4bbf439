"""A function that is guarded keeps its signature, for type checkers too.

The checkers run over this file: a call that they should refuse carries an ignore,
which they would call unused if they did not.
"""

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, assert_type

import pytest

from dramaturg.actors.breakers import Breaker
from dramaturg.actors.guards import Guard, guard_client
from dramaturg.actors.retries import Retrying, RetryPolicy

T = TypeVar("T")


@pytest.mark.asyncio
async def test_of_a_breaker() -> None:
    breaker = Breaker("db")

    @breaker
    async def fetch(key: str, *, limit: int = 1) -> list[str]:
        return [key] * limit

    assert_type(fetch("a"), Coroutine[Any, Any, list[str]]).close()
    assert_type(await fetch("a", limit=2), list[str])
    assert_type(await breaker.call(fetch, "a"), list[str])
    with pytest.raises(TypeError):
        await fetch(1, size=2)  # type: ignore[arg-type, call-arg] # pyright: ignore[reportArgumentType, reportCallIssue]
    assert str(inspect.signature(fetch)) == "(key: str, *, limit: int = 1) -> list[str]"
    assert inspect.iscoroutinefunction(fetch)


@pytest.mark.asyncio
async def test_of_a_guard_and_of_retries() -> None:
    guard, retrying = Guard("db"), Retrying(RetryPolicy())

    @guard
    async def double(number: int) -> int:
        return 2 * number

    @retrying
    async def half(number: int) -> float:
        return number / 2

    assert_type(await double(2), int)
    assert_type(await half(2), float)
    assert str(inspect.signature(double)) == "(number: int) -> int"
    assert str(inspect.signature(half)) == "(number: int) -> float"
    assert inspect.iscoroutinefunction(double)
    assert inspect.iscoroutinefunction(half)


@pytest.mark.asyncio
async def test_of_a_client() -> None:
    class Client:
        async def get(self, key: str) -> bytes:
            return key.encode()

    client = guard_client(Client(), Breaker("db"))

    assert_type(client, Client)
    assert_type(await client.get("a"), bytes)


@pytest.mark.asyncio
async def test_of_a_function_with_a_type_of_its_own() -> None:
    def twice(
        function: Callable[[T], Awaitable[T]],
    ) -> Callable[[T], Coroutine[Any, Any, T]]:
        return Breaker("db")(function)

    async def same(value: str) -> str:
        return value

    assert_type(await twice(same)("a"), str)
