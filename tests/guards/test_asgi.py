"""An ASGI application behind a breaker, asked by a real client."""

import asyncio
from typing import Any

import httpx
import pytest

from dramaturg.actors.breakers import Breaker, BreakerConfig
from dramaturg.actors.guards import BreakerMiddleware
from dramaturg.actors.guards.asgi import Message, Receive, Scope, Send

FRAGILE = BreakerConfig.preset("classic", failures_max=1, cooldown_s=30.0)


class Application:
    """Answers with the status that the path names; `/crash` and `/hang` do so."""

    def __init__(self) -> None:
        self.scopes: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        self.scopes.append(scope["type"])
        if scope["type"] != "http":
            return
        path = scope["path"].strip("/")
        if path == "crash":
            raise ConnectionError
        if path == "hang":
            await asyncio.Event().wait()
        await send({"type": "http.response.start", "status": int(path), "headers": []})
        await send({"type": "http.response.body", "body": b"done"})


class Site:
    """The application, its breaker and a client."""

    def __init__(self, **settings: Any) -> None:
        self.application = Application()
        self.breaker = Breaker("site", FRAGILE)
        self.guarded = BreakerMiddleware(self.application, self.breaker, **settings)

    async def get(self, path: str) -> httpx.Response:
        transport = httpx.ASGITransport(self.guarded, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.get(f"http://site/{path}")


@pytest.mark.asyncio
async def test_failing_responses_open_it_and_are_then_spared() -> None:
    site = Site()

    assert (await site.get("200")).text == "done"
    assert (await site.get("404")).status_code == 404
    assert (await site.get("500")).status_code == 500
    refused = await site.get("200")

    assert refused.status_code == 503
    assert 1 <= int(refused.headers["Retry-After"]) <= 30
    assert "breaker 'site' refused the call" in refused.text
    assert len(site.application.scopes) == 3
    statistics = site.breaker.statistics()
    assert statistics.evidence is not None
    assert statistics.evidence.errors == ("HTTP 500",)


@pytest.mark.asyncio
async def test_a_crash_is_a_failure() -> None:
    site = Site()

    assert (await site.get("crash")).status_code == 500
    assert (await site.get("200")).status_code == 503


@pytest.mark.asyncio
async def test_what_fails_may_be_said() -> None:
    site = Site(failing=frozenset((404,)).__contains__)

    assert (await site.get("500")).status_code == 500
    assert (await site.get("404")).status_code == 404
    assert (await site.get("200")).status_code == 503


@pytest.mark.asyncio
async def test_a_client_that_goes_away_proves_nothing() -> None:
    site = Site()

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await site.get("hang")

    assert site.breaker.statistics().phase == "closed"
    assert (await site.get("200")).status_code == 200


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
@pytest.mark.asyncio
async def test_what_is_no_request_passes(kind: str) -> None:
    site = Site()
    await site.breaker.trip("drill")

    async def receive() -> Message:
        return {}

    async def send(message: Message) -> None:
        del message

    await site.guarded({"type": kind}, receive, send)

    assert site.application.scopes == [kind]
