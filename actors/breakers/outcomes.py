"""What counts as a failure of the dependency, and what says nothing about it."""

from asyncio import CancelledError
from collections.abc import Callable
from typing import Any

from ...events.breaker import ProbeOutcome
from ..answers import retry_after_s
from .errors import BreakerOpenError

Types = type[BaseException] | tuple[type[BaseException], ...]
NEUTRAL: tuple[type[BaseException], ...] = (
    CancelledError,
    GeneratorExit,
    KeyboardInterrupt,
    SystemExit,
    BreakerOpenError,
)
"""The call was broken off, or never made."""


class Outcomes:
    """Judges how calls end.

    An exception of the types in `failures` is a failure, unless it is `ignored`
    or `failure_if` denies it; every other exception is neutral. A result is a
    success unless `result_failure_if` says otherwise. `wait_for` finds how long
    the other side asks to be left alone, in an exception or a failing result.
    """

    __slots__ = (
        "_failure_if",
        "_failures",
        "_ignored",
        "_wait_for",
        "result_failure_if",
    )

    def __init__(
        self,
        failures: Types = Exception,
        ignored: Types = (),
        *,
        failure_if: Callable[[BaseException], bool] | None = None,
        result_failure_if: Callable[[Any], bool] | None = None,
        wait_for: Callable[[Any], float | None] = retry_after_s,
    ) -> None:
        self._failures = failures
        self._ignored = ignored
        self._failure_if = failure_if
        self._wait_for = wait_for
        self.result_failure_if = result_failure_if
        """Judges results; None: every result is a success."""

    def of_error(self, error: BaseException) -> ProbeOutcome:
        """Tell what an exception says about the dependency."""
        if isinstance(error, (NEUTRAL, self._ignored)):
            return "neutral"
        if not isinstance(error, self._failures):
            return "neutral"
        if self._failure_if is not None and not self._failure_if(error):
            return "neutral"
        return "failure"

    def of_result(self, result: object) -> ProbeOutcome:
        """Tell what a result says about it."""
        judge = self.result_failure_if
        return "failure" if judge is not None and judge(result) else "success"

    def retry_after_s(self, failed: object) -> float | None:
        """Return how long the other side asks to be left alone."""
        return self._wait_for(failed)
