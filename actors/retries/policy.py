"""Whether and when failed work is tried again: pure, with the draw handed in."""

from collections.abc import Mapping
from typing import Any, Literal, assert_never, get_args

import msgspec

from ..settings import from_plain, require
from .classify import ERROR_CLASSES, Classifier, ErrorClass, Failure

Backoff = Literal["exponential", "linear", "fixed", "fibonacci", "decorrelated"]
Strategy = Literal[Backoff, "review", "no_retry"]
"""Review: a person decides. No retry: it is given up at once."""
GiveUpReason = Literal[
    "attempts",
    "breaker_open",
    "budget",
    "deadline",
    "disabled",
    "no_retry",
    "retry_after",
    "review",
]

STRATEGIES: tuple[str, ...] = (*get_args(Backoff), "review", "no_retry")
DEFAULT_BY_CLASS: Mapping[ErrorClass, Strategy] = {
    "timeout": "linear",
    "validation": "review",
    "rejected": "no_retry",
    "permanent": "no_retry",
    "unknown": "no_retry",
}
"""Classes that do not stand here go by the policy's own strategy."""
PUT_OFF_MIN_S = 0.05
"""A breaker that names no time is not asked again before this."""


class RetryIn(msgspec.Struct, frozen=True, gc=False):
    """The work is to be tried again after `delay_s`."""

    delay_s: float


class PutOff(msgspec.Struct, frozen=True, gc=False):
    """A breaker was open: the same attempt is made after `delay_s`, not used up."""

    delay_s: float


class GiveUp(msgspec.Struct, frozen=True, gc=False):
    """The work is not tried again."""

    reason: GiveUpReason


Verdict = RetryIn | PutOff | GiveUp


class RetryPolicy(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True
):
    """How often and how far apart failed work is tried again.

    The defaults are those of most cloud clients: 3 attempts, 1 s doubled up to
    60 s, with full jitter, so that clients that failed together do not return
    together. Raises `SettingsError` for values that cannot work.
    """

    strategy: Strategy = "exponential"
    attempts_max: int = 3
    """All attempts, the first included."""
    base_s: float = 1.0
    factor: float = 2.0
    """What the exponential strategy multiplies by."""
    cap_s: float = 60.0
    """No delay is longer, unless the other side asks for more."""
    jitter: bool = True
    """Full jitter: a delay is drawn evenly between 0 and its full length."""
    deadline_s: float | None = None
    """No attempt starts later than this after the first; None: the attempts limit it."""
    attempt_timeout_s: float | None = None
    """One attempt takes no longer; None: the work has its own limit."""
    retry_after_max_s: float = 600.0
    """Work is given up rather than left waiting longer on another side's request."""
    overdue_spread_s: float = 5.0
    """After a restart, retries that are overdue start spread over this time."""
    by_class: dict[ErrorClass, Strategy] = {}
    """What to do about a class of errors, before `DEFAULT_BY_CLASS`."""
    enabled: bool = True

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        for name, least in (("attempts_max", 1), ("base_s", 0), ("factor", 1)):
            value = getattr(self, name)
            require(
                holds=value >= least, name=name, value=value, rule=f"at least {least}"
            )
        require(
            holds=self.cap_s >= self.base_s,
            name="cap_s",
            value=self.cap_s,
            rule=f"at least base_s, {self.base_s!r}",
        )
        for name in ("deadline_s", "attempt_timeout_s", "retry_after_max_s"):
            value = getattr(self, name)
            holds = value is None or value > 0
            require(holds=holds, name=name, value=value, rule="more than 0")
        self._require_known_names()

    def _require_known_names(self) -> None:
        for error_class, strategy in self.by_class.items():
            require(
                holds=error_class in ERROR_CLASSES,
                name="by_class",
                value=error_class,
                rule=f"keyed by one of {', '.join(ERROR_CLASSES)}",
            )
            self._require_strategy("by_class", strategy)
        self._require_strategy("strategy", self.strategy)

    @staticmethod
    def _require_strategy(name: str, value: str) -> None:
        rule = f"one of {', '.join(STRATEGIES)}"
        require(holds=value in STRATEGIES, name=name, value=value, rule=rule)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "RetryPolicy":
        """Build a policy from plain data, as from TOML. Raises `SettingsError`."""
        return from_plain(cls, data, "the retry policy")

    def strategy_for(self, error_class: ErrorClass) -> Strategy:
        """Return what is done about errors of this class."""
        found = self.by_class.get(error_class) or DEFAULT_BY_CLASS.get(error_class)
        return found or self.strategy

    def next(
        self,
        attempt: int,
        failure: Failure,
        draw: float,
        *,
        elapsed_s: float = 0.0,
        previous_s: float | None = None,
    ) -> Verdict:
        """Decide what follows the failure of attempt number `attempt` (from 1).

        `draw` is even in [0, 1) and to be recorded by the delay it gave;
        `elapsed_s` counts from the start of the first attempt; `previous_s` is
        the last delay, which the decorrelated strategy grows from.
        """
        if failure.error_class == "breaker_open":
            return self._put_off(failure, draw, elapsed_s)
        strategy = self.strategy_for(failure.error_class)
        if strategy == "review" or strategy == "no_retry":  # noqa: PLR1714 - narrows
            return GiveUp(strategy)
        if not self.enabled or attempt >= self.attempts_max:
            return GiveUp("attempts" if self.enabled else "disabled")
        delay_s = self.backoff_s(strategy, attempt, draw, previous_s)
        asked_s = failure.retry_after_s or 0.0
        if asked_s > self.retry_after_max_s:
            return GiveUp("retry_after")
        delay_s = max(delay_s, asked_s)
        if self._is_over(elapsed_s + delay_s):
            return GiveUp("deadline")
        return RetryIn(delay_s)

    def _put_off(self, failure: Failure, draw: float, elapsed_s: float) -> Verdict:
        """Wait for the cooldown's end, plus up to a tenth so that not all arrive at once."""
        wait_s = max(failure.retry_after_s or 0.0, PUT_OFF_MIN_S)
        if self.jitter:
            wait_s += draw * min(wait_s * 0.1, self.base_s)
        if self._is_over(elapsed_s + wait_s):
            return GiveUp("deadline")
        return PutOff(wait_s)

    def _is_over(self, elapsed_s: float) -> bool:
        return self.deadline_s is not None and elapsed_s > self.deadline_s

    def next_delay(
        self,
        attempt: int,
        draw: float,
        error: BaseException | Failure,
    ) -> float | None:
        """Return the seconds until the next attempt, None when there is none."""
        failure = error if isinstance(error, Failure) else Classifier().classify(error)
        verdict = self.next(attempt, failure, draw)
        return None if isinstance(verdict, GiveUp) else verdict.delay_s

    def backoff_s(
        self,
        strategy: Backoff,
        attempt: int,
        draw: float = 1.0,
        previous_s: float | None = None,
    ) -> float:
        """Return the delay after attempt number `attempt`, at most `cap_s`."""
        if strategy == "decorrelated":
            # https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter
            top_s = 3 * (self.base_s if previous_s is None else previous_s)
            spread_s = max(0.0, top_s - self.base_s)
            return min(self.cap_s, self.base_s + draw * spread_s)
        full_s = min(self.cap_s, self._full_s(strategy, attempt))
        return draw * full_s if self.jitter else full_s

    def _full_s(
        self,
        strategy: Literal["exponential", "linear", "fixed", "fibonacci"],
        attempt: int,
    ) -> float:
        match strategy:
            case "exponential":
                return self._power_s(attempt - 1)
            case "linear":
                return self.base_s * attempt
            case "fixed":
                return self.base_s
            case "fibonacci":
                return self._fibonacci_s(attempt)
            case _:
                assert_never(strategy)

    def _power_s(self, exponent: int) -> float:
        try:
            return float(self.base_s * self.factor**exponent)
        except OverflowError:
            return self.cap_s

    def _fibonacci_s(self, attempt: int) -> float:
        """1, 1, 2, 3, 5, ... times the base, counted no further than the cap."""
        now_s, next_s = self.base_s, self.base_s
        for _ in range(attempt - 1):
            if now_s >= self.cap_s or not self.base_s:
                break
            now_s, next_s = next_s, now_s + next_s
        return now_s

    def resumed_delay_s(self, due_us: int, now_us: int, draw: float) -> float:
        """Return how long to wait, after a restart, for a retry that was due then.

        What is not due yet keeps its time; what is overdue is spread, so that a
        restart does not start everything at once.
        """
        remaining_s = (due_us - now_us) / 1e6
        return remaining_s if remaining_s > 0 else draw * self.overdue_spread_s
