"""Retries within a process: the call waits, and nothing of it outlives a restart."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import anyio
import structlog

from ..settings import require
from .budget import RetryBudget
from .classify import Classifier, Failure
from .policy import GiveUp, PutOff, RetryIn, RetryPolicy, Verdict

P = ParamSpec("P")
R = TypeVar("R")

_log = structlog.get_logger(__name__)


class Retrying:
    """Calls a coroutine function again as its policy says: decorator and handler.

    Put it outside a breaker, and the breaker outside the limit of time:
    `retrying(breaker(function))`. Each attempt is then counted, and one that the
    breaker refuses is put off to the cooldown's end and not used up, at most
    `put_offs_max` times. A success at the first attempt logs nothing. The last
    error is raised as it came, with a note of why it was the last.

    `sleep`, `clock` (monotonic seconds) and `draw` (even in [0, 1)) are replaced
    in tests and inside actors.
    """

    def __init__(  # noqa: PLR0913 - each with its default
        self,
        policy: RetryPolicy | None = None,
        classifier: Classifier | None = None,
        *,
        budget: RetryBudget | None = None,
        put_offs_max: int = 10,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        require(
            holds=put_offs_max >= 0,
            name="put_offs_max",
            value=put_offs_max,
            rule="0 or more",
        )
        self.policy = policy or RetryPolicy()
        self._classifier = classifier or Classifier()
        self._budget = budget
        self._put_offs_max = put_offs_max
        self._sleep = sleep
        self._clock = clock
        self._draw = draw

    def __call__(
        self, function: Callable[P, Awaitable[R]]
    ) -> Callable[P, Coroutine[Any, Any, R]]:
        """Have every call tried again: the decorator."""

        @wraps(function)
        async def retried(*args: P.args, **kwargs: P.kwargs) -> R:
            return await self.call(function, *args, **kwargs)

        return retried

    async def call(
        self, function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Call until it succeeds or is given up; raises the last error."""
        began_s = self._clock()
        attempt, put_offs = 1, 0
        previous_s: float | None = None
        timeout_s = self.policy.attempt_timeout_s
        if self._budget is not None:
            self._budget.pay_in()
        while True:
            try:
                if timeout_s is None:
                    return await function(*args, **kwargs)
                async with asyncio.timeout(timeout_s):
                    return await function(*args, **kwargs)
            except Exception as error:  # the classifier decides what it means
                failure = self._classifier.classify(error)
                verdict = self._affordable(
                    self.policy.next(
                        attempt,
                        failure,
                        self._draw(),
                        elapsed_s=self._clock() - began_s,
                        previous_s=previous_s,
                    ),
                    put_offs,
                )
                self._tell(function, failure, attempt, verdict)
                if isinstance(verdict, GiveUp):
                    error.add_note(
                        f"given up after {attempt} attempts: {verdict.reason}"
                    )
                    raise
            if isinstance(verdict, RetryIn):
                attempt += 1
                previous_s = verdict.delay_s
            else:
                put_offs += 1
            await self._sleep(verdict.delay_s)

    def _affordable(self, verdict: Verdict, put_offs: int) -> Verdict:
        """Give up what the shared budget or the limit of waiting does not allow."""
        if isinstance(verdict, RetryIn) and self._budget is not None:
            return verdict if self._budget.take() else GiveUp("budget")
        if isinstance(verdict, PutOff) and put_offs >= self._put_offs_max:
            return GiveUp("breaker_open")
        return verdict

    @staticmethod
    def _tell(
        function: Callable[..., object],
        failure: Failure,
        attempt: int,
        verdict: Verdict,
    ) -> None:
        known = {
            "function": getattr(function, "__qualname__", repr(function)),
            "attempt": attempt,
            "error": failure.error,
            "error_class": failure.error_class,
        }
        if isinstance(verdict, GiveUp):
            _log.warning("retry.given_up", reason=verdict.reason, **known)
        else:
            name = (
                "retry.scheduled" if isinstance(verdict, RetryIn) else "retry.put_off"
            )
            _log.info(name, delay_s=verdict.delay_s, **known)
