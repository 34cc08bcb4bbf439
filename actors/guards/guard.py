"""Everything that guards the calls to one dependency, in the order that makes sense.

From the outside: fallback, deadline, retry, the breaker's refusal, rate limit,
bulkhead, the breaker's permit, limit of time, call. Who has to wait for a turn or
a place waits before the permit is taken, so that the breaker counts and times the
dependency alone; and nobody waits for a call that would be refused anyway.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial, wraps
from inspect import isawaitable
from typing import Any, ParamSpec, TypeVar

from ..breakers import Breaker, BreakerOpenError
from ..limits import Bulkhead, LimitReachedError, RateLimit
from ..retries import Classifier, RetryBudget, Retrying
from .config import GuardConfig

P = ParamSpec("P")
R = TypeVar("R")
Fallback = Callable[[Exception], R | Awaitable[R]]
"""Takes the error that was the last and returns an answer in place of one."""


class Guard:
    """Guards the calls to one dependency: decorator, caller and context.

    `fallback` stands in for calls that were refused by the breaker, the bulkhead
    or the rate limit; with `fallback_on` for other errors, too. It is called once,
    after the last attempt. Share `breaker` with others who call the same
    dependency, and `budget` with all who retry it.
    """

    def __init__(  # noqa: PLR0913 - the parts, each with its default
        self,
        name: str,
        config: GuardConfig | None = None,
        *,
        breaker: Breaker | None = None,
        rate_limit: RateLimit | None = None,
        retrying: Retrying | None = None,
        classifier: Classifier | None = None,
        budget: RetryBudget | None = None,
    ) -> None:
        config = config or GuardConfig()
        self.name = name
        self.config = config
        self.breaker = breaker
        self.rate_limit = rate_limit
        self.bulkhead: Bulkhead | None = None
        if breaker is None and config.breaker is not None:
            self.breaker = Breaker(name, config.breaker)
        if rate_limit is None and config.rate_limit is not None:
            self.rate_limit = RateLimit(name, config.rate_limit)
        if config.bulkhead is not None:
            self.bulkhead = Bulkhead(name, config.bulkhead)
        self._retrying = retrying
        if retrying is None and config.retry is not None:
            self._retrying = Retrying(config.retry, classifier, budget=budget)

    def __call__(
        self, function: Callable[P, Awaitable[R]]
    ) -> Callable[P, Coroutine[Any, Any, R]]:
        """Guard every call of a coroutine function: the decorator."""
        return self.wrap(function)

    def wrap(
        self,
        function: Callable[P, Awaitable[R]],
        fallback: Fallback[R] | None = None,
        *,
        fallback_on: type[Exception] | tuple[type[Exception], ...] = (),
    ) -> Callable[P, Coroutine[Any, Any, R]]:
        """Guard every call; what was refused is answered by `fallback`, if given."""

        @wraps(function)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            return await self.call(function, *args, **kwargs)

        if fallback is None:
            return guarded
        caught = (*REFUSALS, *_tuple(fallback_on))

        @wraps(function)
        async def falling_back(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return await guarded(*args, **kwargs)
            except caught as error:
                answer: Any = fallback(error)
                instead: R = await answer if isawaitable(answer) else answer
                return instead

        return falling_back

    async def call(
        self, function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Make one call, with all its attempts.

        Raises what the call raises last; `BreakerOpenError`, `BulkheadFullError` or
        `RateLimitedError` if it was not made; `TimeoutError` at the deadline.
        """

        @wraps(function)
        async def attempt() -> R:
            return await self._attempt(partial(function, *args, **kwargs))

        async with asyncio.timeout(self.config.deadline_s):
            if self._retrying is None:
                return await attempt()
            return await self._retrying.call(attempt)

    async def _attempt(self, call: Callable[[], Awaitable[R]]) -> R:
        if self.breaker is not None:
            self.breaker.check()
        if self.rate_limit is not None:
            await self.rate_limit.acquire()
        if self.bulkhead is None:
            return await self._admitted(call)
        async with self.bulkhead:
            return await self._admitted(call)

    async def _admitted(self, call: Callable[[], Awaitable[R]]) -> R:
        if self.breaker is None:
            return await self._timed(call)
        return await self.breaker.call(lambda: self._timed(call))

    async def _timed(self, call: Callable[[], Awaitable[R]]) -> R:
        if self.config.timeout_s is None:
            return await call()
        async with asyncio.timeout(self.config.timeout_s):
            return await call()

    @asynccontextmanager
    async def guard(self) -> AsyncGenerator[None]:
        """Guard the body as one attempt; it cannot be made again, so retry is left out."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(asyncio.timeout(self.config.deadline_s))
            if self.breaker is not None:
                self.breaker.check()
            if self.rate_limit is not None:
                await self.rate_limit.acquire()
            if self.bulkhead is not None:
                await stack.enter_async_context(self.bulkhead)
            if self.breaker is not None:
                await stack.enter_async_context(self.breaker.guard())
            await stack.enter_async_context(asyncio.timeout(self.config.timeout_s))
            yield


REFUSALS: tuple[type[Exception], ...] = (BreakerOpenError, LimitReachedError)
"""The call was not made."""


def _tuple(
    types: type[Exception] | tuple[type[Exception], ...],
) -> tuple[type[Exception], ...]:
    return types if isinstance(types, tuple) else (types,)
