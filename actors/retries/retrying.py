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

    `judge` finds failures among results, such as `failure_of` for clients that
    return responses of any status; the last such result is returned.

    `sleep`, `clock` (monotonic seconds) and `draw` (even in [0, 1)) are replaced
    in tests and inside actors.
    """

    def __init__(  # noqa: PLR0913 - each with its default
        self,
        policy: RetryPolicy | None = None,
        classifier: Classifier | None = None,
        *,
        budget: RetryBudget | None = None,
        judge: Callable[[Any], Failure | None] | None = None,
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
        self._judge = judge
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
        began_s, attempts = self._clock(), None
        timeout_s = self.policy.attempt_timeout_s
        if self._budget is not None:
            self._budget.pay_in()
        while True:
            try:
                if timeout_s is None:
                    result = await function(*args, **kwargs)
                else:
                    async with asyncio.timeout(timeout_s):
                        result = await function(*args, **kwargs)
            except Exception as error:  # the classifier decides what it means
                attempts = attempts or _Attempts(function, began_s)
                verdict = self._next(attempts, self._classifier.classify(error))
                if isinstance(verdict, GiveUp):
                    error.add_note(
                        f"given up after {attempts.made} attempts: {verdict.reason}"
                    )
                    raise
            else:
                failure = self._judge(result) if self._judge is not None else None
                if failure is None:
                    return result
                attempts = attempts or _Attempts(function, began_s)
                verdict = self._next(attempts, failure)
                if isinstance(verdict, GiveUp):
                    return result
            attempts.follow(verdict)
            await self._sleep(verdict.delay_s)

    def _next(self, attempts: "_Attempts", failure: Failure) -> Verdict:
        """Decide what follows a failure, and log it."""
        verdict = self.policy.next(
            attempts.made,
            failure,
            self._draw(),
            elapsed_s=self._clock() - attempts.began_s,
            previous_s=attempts.previous_s,
        )
        verdict = self._affordable(verdict, attempts.put_offs)
        _tell(attempts, failure, verdict)
        return verdict

    def _affordable(self, verdict: Verdict, put_offs: int) -> Verdict:
        """Give up what the shared budget or the limit of waiting does not allow."""
        if isinstance(verdict, RetryIn) and self._budget is not None:
            return verdict if self._budget.take() else GiveUp("budget")
        if isinstance(verdict, PutOff) and put_offs >= self._put_offs_max:
            return GiveUp("breaker_open")
        return verdict


class _Attempts:
    """How far the attempts of one call have come."""

    __slots__ = ("began_s", "function", "made", "previous_s", "put_offs")

    def __init__(self, function: Callable[..., object], began_s: float) -> None:
        self.function = function
        self.began_s = began_s
        self.made = 1
        """The number of the attempt under way."""
        self.put_offs = 0
        self.previous_s: float | None = None
        """The last delay."""

    def follow(self, verdict: RetryIn | PutOff) -> None:
        """Go on to what was decided."""
        if isinstance(verdict, RetryIn):
            self.made += 1
            self.previous_s = verdict.delay_s
        else:
            self.put_offs += 1


def _tell(attempts: _Attempts, failure: Failure, verdict: Verdict) -> None:
    function = attempts.function
    known = {
        "function": getattr(function, "__qualname__", repr(function)),
        "attempt": attempts.made,
        "error": failure.error,
        "error_class": failure.error_class,
    }
    if isinstance(verdict, GiveUp):
        _log.warning("retry.given_up", reason=verdict.reason, **known)
    else:
        name = "retry.scheduled" if isinstance(verdict, RetryIn) else "retry.put_off"
        _log.info(name, delay_s=verdict.delay_s, **known)
