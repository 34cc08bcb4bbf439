"""ASGI middleware: an application, or what is mounted on a path, behind a breaker."""

import math
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ..breakers import Breaker, BreakerOpenError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

FAILING = 500
"""A response of this status or above is a failure, as is an exception."""


class BreakerMiddleware:
    """Refuses HTTP requests with 503 and `Retry-After` while the breaker is open.

    A response of a failing status or an exception counts as a failure; a client
    that goes away proves nothing. Web sockets and lifespan events pass. Works with
    any ASGI 3 application: `BreakerMiddleware(app, breaker)`, or
    `app.add_middleware(BreakerMiddleware, breaker=breaker)`.
    """

    def __init__(
        self,
        app: Application,
        breaker: Breaker,
        *,
        failing: Callable[[int], bool] = lambda status: status >= FAILING,
    ) -> None:
        self._app = app
        self._breaker = breaker
        self._failing = failing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            permit = await self._breaker.acquire()
        except BreakerOpenError as error:
            await _refuse(error, send)
            return
        status = 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except BaseException as error:
            self._breaker.failed(permit, error)
            raise
        if self._failing(status):
            now = self._breaker.now()
            took_s = now.clock_us / 1e6 - permit.started_s
            self._breaker.machine.settle(
                permit, "failure", took_s, now, error=f"HTTP {status}"
            )
        else:
            self._breaker.done(permit)


async def _refuse(error: BreakerOpenError, send: Send) -> None:
    wait_s = max(1, math.ceil(error.retry_after_s))
    body = f"{error}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(wait_s).encode()),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
