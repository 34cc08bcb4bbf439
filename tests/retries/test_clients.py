"""What the errors and responses of real HTTP clients mean."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import httpx
import pytest

from dramaturg.actors.breakers import Breaker, BreakerConfig, BreakerOpenError, Outcomes
from dramaturg.actors.retries import Classifier, Retrying, RetryPolicy, failure_of

Serve = Callable[
    [asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]
]
NOBODY = "http://127.0.0.1:1/"


def answering(*heads: str) -> Serve:
    """Answer one request after the other with these status lines and headers."""
    left = list(heads)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = left.pop(0)
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: 0\r\n\r\n".encode())
        await close(writer)

    return serve


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    await close(writer)


async def say_nothing(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await reader.read()
    await close(writer)


async def close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


LONG_S = 60.0
"""More than an answer takes, on whatever machine."""


@asynccontextmanager
async def serving(serve: Serve) -> AsyncGenerator[str]:
    connections: list[asyncio.Task[None]] = []

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(asyncio.ensure_future(serve(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        await asyncio.gather(*connections)


async def by_httpx(url: str, limit_s: float = LONG_S) -> None:
    async with httpx.AsyncClient(timeout=limit_s) as client:
        (await client.get(url, headers={"Connection": "close"})).raise_for_status()


async def by_aiohttp(url: str, limit_s: float = LONG_S) -> None:
    limit = aiohttp.ClientTimeout(total=limit_s)
    async with (
        aiohttp.ClientSession(timeout=limit, raise_for_status=True) as client,
        client.get(url, headers={"Connection": "close"}),
    ):
        pass


both = pytest.mark.parametrize("get", [by_httpx, by_aiohttp])
Get = Callable[..., Awaitable[None]]


@both
@pytest.mark.parametrize(
    ("serve", "limit_s", "error_class"),
    [
        (None, LONG_S, "connection"),
        (hang_up, LONG_S, "connection"),
        (say_nothing, 0.1, "timeout"),
    ],
)
@pytest.mark.asyncio
async def test_what_never_answered_is_a_matter_of_the_connection_or_of_time(
    get: Get, serve: Serve | None, limit_s: float, error_class: str
) -> None:
    async with serving(serve or say_nothing) as url:
        with pytest.raises(Exception) as error:  # noqa: PT011 - it is what is asked
            await get(url if serve else NOBODY, limit_s)

    assert Classifier().classify(error.value).error_class == error_class


@both
@pytest.mark.asyncio
async def test_a_status_and_retry_after_are_found_on_what_a_client_raises(
    get: Get,
) -> None:
    async with serving(answering("429 Slow down\r\nRetry-After: 7")) as url:
        with pytest.raises(Exception) as error:  # noqa: PT011 - as above
            await get(url)

    failure = Classifier().classify(error.value)
    assert (failure.error_class, failure.status) == ("throttled", 429)
    assert failure.retry_after_s == 7.0


@pytest.mark.asyncio
async def test_a_response_that_says_so_is_tried_again() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    retrying = Retrying(RetryPolicy(jitter=False), judge=failure_of, sleep=sleep)
    heads = ("503 Busy\r\nRetry-After: 9", "500 Oh", "200 OK")
    async with (
        serving(answering(*heads)) as url,
        httpx.AsyncClient(headers={"Connection": "close"}) as client,
    ):
        response = await retrying(client.get)(url)

    assert response.status_code == 200
    assert slept == [9.0, 2.0]


@pytest.mark.asyncio
async def test_the_last_response_is_returned_when_it_is_given_up() -> None:
    retrying = Retrying(RetryPolicy(base_s=0.0, attempts_max=2), judge=failure_of)
    async with (
        serving(answering("500 Oh", "502 No", "200 OK")) as url,
        httpx.AsyncClient(headers={"Connection": "close"}) as client,
    ):
        assert (await retrying(client.get)(url)).status_code == 502


@pytest.mark.asyncio
async def test_a_response_that_is_an_answer_is_not_tried_again() -> None:
    retrying = Retrying(judge=failure_of)
    async with (
        serving(answering("404 Not here", "200 OK")) as url,
        httpx.AsyncClient(headers={"Connection": "close"}) as client,
    ):
        assert (await retrying(client.get)(url)).status_code == 404


@pytest.mark.asyncio
async def test_a_breaker_judges_responses_and_takes_their_time() -> None:
    outcomes = Outcomes(result_failure_if=lambda r: failure_of(r) is not None)
    breaker = Breaker(
        "api", BreakerConfig.preset("classic", failures_max=1), outcomes=outcomes
    )
    async with (
        serving(answering("503 Busy\r\nRetry-After: 42")) as url,
        httpx.AsyncClient(headers={"Connection": "close"}) as client,
    ):
        await breaker(client.get)(url)
        with pytest.raises(BreakerOpenError) as refusal:
            await breaker(client.get)(url)

    assert refusal.value.retry_after_s == pytest.approx(
        42.0, abs=10.0
    )  # or 60, its own
