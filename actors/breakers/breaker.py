"""The breaker as callers hold it: it makes calls, or refuses to."""

import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from inspect import isawaitable, iscoroutinefunction, isfunction
from math import inf
from typing import Any, ParamSpec, TypeVar

from ...events import DramaturgError
from ...events.breaker import ProbeOutcome
from .actions import Action, obey
from .config import BreakerConfig
from .errors import BreakerOpenError
from .generation import Generation, Permit, Rejection
from .guard import Guard
from .machine import Machine
from .outcomes import Outcomes
from .recorder import Recorder
from .statistics import Statistics, statistics_of
from .steering import Steering
from .times import THIS_BOOT, Now

P = ParamSpec("P")
R = TypeVar("R")
Function = Callable[P, Awaitable[R]]
Fallback = Callable[[BreakerOpenError], R | Awaitable[R]]
_ORDINARY = Outcomes()
"""Shared by all breakers that are told nothing else; it holds nothing of theirs."""
STARTS_MAX = 3
"""How often a call waits for the state to be read from the log."""


def _system_wall_us() -> int:
    return time.time_ns() // 1000


def _refuse_plain(function: Callable[..., object]) -> None:
    if isfunction(function) and not iscoroutinefunction(function):
        message = (
            f"{function!r} is no coroutine function, and only those can be guarded, "
            "because a probe waits for the log: declare it with async def"
        )
        raise TypeError(message)


class Breaker(Steering):
    """Guards the calls to one dependency, or to one operation of it.

    It is a decorator (`@breaker`), a caller (`await breaker.call(f, ...)`), a
    context (`async with breaker.guard():`), or hands out permits. Without a
    `recorder` it lives in memory alone. Use it from one thread.

    `clock` is monotonic, in seconds; `wall_us` in microseconds; both and `draw`
    are replaced in tests.
    """

    __slots__ = ("_boot", "_clock", "_recorder", "_wall_us", "machine", "outcomes")

    def __init__(  # noqa: PLR0913 - all but the name has its default
        self,
        name: str,
        config: BreakerConfig | None = None,
        *,
        outcomes: Outcomes | None = None,
        recorder: Recorder | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_us: Callable[[], int] = _system_wall_us,
        draw: Callable[[], float] = random.random,
        boot: str | None = None,
    ) -> None:
        self.machine = Machine(name, config, journal=recorder, draw=draw)
        """The state machine; for those who build on breakers."""
        self.outcomes = outcomes or _ORDINARY
        self._recorder = recorder
        self._clock = clock
        self._wall_us = wall_us
        self._boot = THIS_BOOT if boot is None else boot

    @property
    def name(self) -> str:
        """What the breaker is called."""
        return self.machine.name

    def now(self, clock_s: float | None = None) -> Now:
        """Return the present, or the instant `clock_s` of it."""
        clock_s = self._clock() if clock_s is None else clock_s
        return Now(self._wall_us(), round(clock_s * 1e6), self._boot)

    def __call__(
        self, function: Callable[P, Awaitable[R]]
    ) -> Callable[P, Coroutine[Any, Any, R]]:
        """Guard every call of a coroutine function: the decorator."""
        return self.wrap(function)

    def wrap(
        self,
        function: Callable[P, Awaitable[R]],
        fallback: Fallback[R] | None = None,
    ) -> Callable[P, Coroutine[Any, Any, R]]:
        """Guard every call; what is refused is answered by `fallback`, if given.

        The fallback takes the `BreakerOpenError` and may be a coroutine function.
        It does not stand in for calls that were made and failed.
        """
        _refuse_plain(function)
        guarded = self._guarded(function)
        if fallback is None:
            return wraps(function)(guarded)

        async def falling_back(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return await guarded(*args, **kwargs)
            except BreakerOpenError as error:
                if error.breaker != self.name:
                    raise
                answer: Any = fallback(error)
                instead: R = await answer if isawaitable(answer) else answer
                return instead

        return wraps(function)(falling_back)

    async def call(
        self, function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        """Make one call. Raises `BreakerOpenError`, or what the call raises."""
        return await self._guarded(function)(*args, **kwargs)

    def _guarded(  # noqa: C901 - every branch moved out would cost a frame a call
        self, function: Callable[P, Awaitable[R]]
    ) -> Callable[P, Coroutine[Any, Any, R]]:
        """Return the guarded call; the way of a good call through it is kept short."""
        machine, clock = self.machine, self._clock
        plain: Callable[..., Awaitable[R]] = function
        judge, never_s = self.outcomes.result_failure_if, inf

        async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            generation = machine.generation
            started_s = never_s
            if generation.heeded:
                started_s = clock()
                if started_s < generation.until_s:
                    machine.rejected += 1
                    raise self._refusal(generation.refusal(started_s))
                if generation.gated:
                    return await self._call_gated(function, *args, **kwargs)
            try:
                # Without a dictionary to merge the call is cheaper.
                if kwargs:
                    result = await function(*args, **kwargs)
                else:
                    result = await plain(*args)
            except BaseException as error:
                self._raised(generation, error, started_s)
                raise
            if judge is not None and judge(result):
                self._failed(generation, started_s, "", result)
                return result
            if generation.clocked:
                now_s = clock()
                if now_s >= generation.turn_s or (
                    started_s < never_s and now_s - started_s > generation.slow_s
                ):
                    slow = now_s - started_s > generation.slow_s
                    machine.record(generation, self.now(now_s), slow=slow)
                    return result
            seq = generation.seq + 1
            generation.seq = seq
            if seq >= generation.attend_at:
                machine.attend(generation, self.now())
            return result

        return guarded

    async def _call_gated(
        self, function: Callable[P, Awaitable[R]], *args: P.args, **kwargs: P.kwargs
    ) -> R:
        permit = await self.acquire()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            self.failed(permit, error)
            raise
        self.done(permit, result)
        return result

    def _raised(
        self, generation: Generation, error: BaseException, started_s: float
    ) -> None:
        if self.outcomes.of_error(error) == "failure":
            self._failed(generation, started_s, type(error).__name__, error)
        else:
            self.machine.neutral += 1

    def _failed(
        self, generation: Generation, started_s: float, error: str, what: object
    ) -> None:
        now = self.now()
        self.machine.record(
            generation,
            now,
            failed=True,
            slow=now.clock_us / 1e6 - started_s > generation.slow_s,
            error=error,
            retry_after_s=self.outcomes.retry_after_s(what),
        )

    def guard(self) -> Guard:
        """Return a context for one call: `async with breaker.guard(): ...`."""
        return Guard(self)

    async def acquire(self) -> Permit:
        """Return the permit for one call, to be ended by `done`, `failed` or `cancel`.

        Raises `BreakerOpenError`. Only a probe waits, until its grant is durable.
        """
        for _ in range(STARTS_MAX):
            generation = self.machine.generation
            now_s = self._clock()
            if not generation.gated:
                return Permit(generation, now_s)
            if now_s < generation.until_s:
                self.machine.rejected += 1
                raise self._refusal(generation.refusal(now_s))
            permit = self.machine.admit(self.now(now_s))
            if isinstance(permit, Permit):
                return await self._durable(permit)
            if self.machine.ready or self._recorder is None:
                raise self._refusal(permit)
            await self._wait(self._recorder)
        raise BreakerOpenError(self.name, 0.0, "its state could not be read")

    def _refusal(self, rejection: Rejection) -> BreakerOpenError:
        return BreakerOpenError(self.name, rejection.retry_after_s, rejection.reason)

    async def _durable(self, permit: Permit) -> Permit:
        """Hold a probe back until its grant is in the log."""
        if permit.probe and self._recorder is not None:
            try:
                await self._wait(self._recorder)
            except BaseException:
                self.cancel(permit)
                raise
            permit.started_s = self._clock()
        return permit

    async def _wait(self, recorder: Recorder) -> None:
        try:
            await recorder.durable()
        except DramaturgError as error:
            why = f"no probe without the log: {error}"
            raise BreakerOpenError(self.name, 1.0, why) from error

    def done(self, permit: Permit, result: object = None) -> None:
        """End a permit whose call returned."""
        outcome = self.outcomes.of_result(result)
        wait_s = self.outcomes.retry_after_s(result) if outcome == "failure" else None
        self._settle(permit, outcome, "", wait_s)

    def failed(self, permit: Permit, error: BaseException) -> None:
        """End a permit whose call raised; what is ignored or cancelled is neutral."""
        outcome = self.outcomes.of_error(error)
        failure = outcome == "failure"
        name = type(error).__name__ if failure else ""
        wait_s = self.outcomes.retry_after_s(error) if failure else None
        self._settle(permit, outcome, name, wait_s)

    def cancel(self, permit: Permit) -> None:
        """Give back a permit whose call was not made or proved nothing."""
        self.machine.cancel(permit, self.now())

    def _settle(
        self,
        permit: Permit,
        outcome: ProbeOutcome,
        error: str,
        retry_after_s: float | None,
    ) -> None:
        now = self.now()
        duration_s = now.clock_us / 1e6 - permit.started_s
        self.machine.settle(
            permit,
            outcome,
            duration_s,
            now,
            error=error,
            retry_after_s=retry_after_s,
        )

    def refusal(self) -> Rejection | None:
        """Return why a call would be refused now; None if it may pass. Asks for nothing."""
        generation = self.machine.generation
        if not generation.gated:
            return None
        now_s = self._clock()
        return generation.refusal(now_s) if now_s < generation.until_s else None

    def statistics(self) -> Statistics:
        """Return what the breaker has counted, and why it is as it is."""
        return statistics_of(self.machine, self.now())

    async def _act(self, action: Action) -> None:
        if self._recorder is None:
            obey(self.machine, action, self.now())
        else:
            await self._recorder.obey(action)
