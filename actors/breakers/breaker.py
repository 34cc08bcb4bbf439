"""The breaker as callers hold it: it makes calls, or refuses to."""

import random
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from inspect import isawaitable, iscoroutinefunction, isfunction
from math import inf
from typing import Any, ParamSpec, TypeVar, cast

from ...events import DramaturgError
from ...events.breaker import ProbeOutcome
from .actions import Action, obey
from .alarm import set_alarm
from .config import BreakerConfig
from .errors import BreakerOpenError
from .generation import Generation, Permit, Rejection
from .guard import Guard
from .machine import Machine
from .outcomes import Outcomes
from .recorder import Recorder
from .statistics import Statistics, statistics_of
from .steering import Steering
from .times import SYSTEM_CLOCKS, Clocks, Now
from .wrapping import guarded

P = ParamSpec("P")
R = TypeVar("R")
Function = Callable[P, Awaitable[R]]
Fallback = Callable[[BreakerOpenError], R | Awaitable[R]]
_ORDINARY = Outcomes()
"""Shared by all breakers that are told nothing else; it holds nothing of theirs."""
STARTS_MAX = 3
"""How often a call waits for the state to be read from the log."""


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
    `recorder` it lives in memory alone. Use it from one thread; `clocks` and
    `draw`, which gives the jitter, are replaced in tests.
    """

    __slots__ = ("_clocks", "machine", "outcomes")

    def __init__(  # noqa: PLR0913 - all but the name has its default
        self,
        name: str,
        config: BreakerConfig | None = None,
        *,
        outcomes: Outcomes | None = None,
        recorder: Recorder | None = None,
        clocks: Clocks = SYSTEM_CLOCKS,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.machine = Machine(name, config, journal=recorder, draw=draw)
        """The state machine; for those who build on breakers."""
        self.outcomes = outcomes or _ORDINARY
        self._clocks = clocks

    @property
    def _recorder(self) -> Recorder | None:
        return cast("Recorder | None", self.machine.journal)

    @property
    def name(self) -> str:
        """What the breaker is called."""
        return self.machine.name

    def now(self, clock_s: float | None = None) -> Now:
        """Return the present, or the instant `clock_s` of it."""
        return self._clocks.now(clock_s)

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
        judge = self.outcomes.result_failure_if
        guard: Callable[P, Coroutine[Any, Any, R]] = guarded(
            function,
            "_judge(_result)" if judge is not None else "False",
            self,
            self.machine,
            self._clocks.clock,
            judge,
        )
        if fallback is None:
            return guard

        async def falling_back(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return await guard(*args, **kwargs)
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
        machine = self.machine
        generation = machine.free or machine.clocked
        if generation is None:
            return await self._call_gated(function, *args, **kwargs)
        started_s = inf if machine.free else self._clocks.clock()
        try:
            result = await function(*args, **kwargs)
        except BaseException as error:
            self._raised(generation, error, started_s)
            raise
        if self.outcomes.of_result(result) == "failure":
            self._failed(generation, started_s, "", result)
        else:
            self._returned(generation, started_s)
        return result

    async def _call_gated(
        self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs
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
        now_s = self._clocks.clock()
        self.machine.record(
            generation,
            self.now(now_s),
            failed=True,
            slow=now_s - started_s > generation.slow_s,
            error=error,
            retry_after_s=self.outcomes.retry_after_s(what),
        )
        set_alarm(self.machine, self._clocks, now_s)

    def _returned(self, generation: Generation, started_s: float) -> None:
        """Count a good call, by the same rules as the guard of a function."""
        if started_s < inf:
            now_s = self._clocks.clock()
            slow = now_s - started_s > generation.slow_s
            if slow or now_s >= generation.turn_s:
                self._passed(generation, now_s, started_s)
                return
        for _ in generation.ahead:
            return
        self._passed(generation)

    def _passed(
        self,
        generation: Generation,
        now_s: float | None = None,
        started_s: float = inf,
    ) -> None:
        """Tell the machine of a good call."""
        now_s = self._clocks.clock() if now_s is None else now_s
        slow = now_s - started_s > generation.slow_s
        self.machine.record(generation, self.now(now_s), slow=slow)
        set_alarm(self.machine, self._clocks, now_s)

    def guard(self) -> Guard:
        """Return a context for one call: `async with breaker.guard(): ...`."""
        return Guard(self)

    async def acquire(self) -> Permit:
        """Return the permit for one call, to be ended by `done`, `failed` or `cancel`.

        Raises `BreakerOpenError`. Only a probe waits, until its grant is durable.
        """
        for _ in range(STARTS_MAX):
            generation = self.machine.generation
            now_s = self._clocks.clock()
            if not generation.gated:
                return Permit(generation, now_s)
            refusal = self.machine.refusal(now_s)
            if refusal is not None:
                self.machine.rejected += 1
                raise self._refusal(refusal)
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
            permit.started_s = self._clocks.clock()
        return permit

    async def _wait(self, recorder: Recorder) -> None:
        try:
            await recorder.durable()
        except DramaturgError as error:
            why = f"no probe without the log: {error}"
            raise BreakerOpenError(self.name, 1.0, why) from error

    def done(self, permit: Permit, result: object = None) -> None:
        """End a permit whose call returned."""
        self._end(permit, self.outcomes.of_result, result, "")

    def failed(self, permit: Permit, error: BaseException) -> None:
        """End a permit whose call raised; what is ignored or cancelled is neutral."""
        self._end(permit, self.outcomes.of_error, error, type(error).__name__)

    def cancel(self, permit: Permit) -> None:
        """Give back a permit whose call was not made or proved nothing."""
        self.machine.cancel(permit, self.now())

    def _end(
        self,
        permit: Permit,
        judge: Callable[[Any], ProbeOutcome],
        what: object,
        error: str,
    ) -> None:
        """Settle a permit as `what` came of it is judged."""
        wait_s: float | None = None
        try:
            outcome = judge(what)
            if outcome == "failure":
                wait_s = self.outcomes.retry_after_s(what)
        except BaseException:
            self.cancel(permit)  # what judges has failed, and the call proved nothing
            raise
        now = self.now()
        self.machine.settle(
            permit,
            outcome,
            now.clock_us / 1e6 - permit.started_s,
            now,
            error=error if outcome == "failure" else "",
            retry_after_s=wait_s,
        )

    def refusal(self) -> Rejection | None:
        """Return why a call would be refused now; None if it may pass. Asks for nothing."""
        if not self.machine.generation.gated:
            return None
        return self.machine.refusal(self._clocks.clock())

    def check(self) -> None:
        """Raise `BreakerOpenError` while every call is refused. Asks for nothing.

        For those who would wait for something else before they ask for a permit.
        """
        refusal = self.refusal()
        if refusal is not None:
            self.machine.rejected += 1
            raise self._refusal(refusal)

    def statistics(self) -> Statistics:
        """Return what the breaker has counted, and why it is as it is."""
        return statistics_of(self.machine, self.now())

    async def _act(self, action: Action) -> None:
        if self._recorder is None:
            obey(self.machine, action, self.now())
        else:
            await self._recorder.obey(action)
