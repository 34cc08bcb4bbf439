"""How a breaker judges: its settings, checked when they are made, and the presets."""

from collections.abc import Mapping
from math import ceil
from typing import Any, Literal

import msgspec

from ...events.breaker import TripRule
from ..settings import SettingsError, from_plain, require

Preset = Literal["default", "classic", "provider", "storage"]
ROLL_UP_CALLS = 500
"""A window is rolled up into the log at the latest after so many calls."""
ROLL_UP_S = 1.0
"""A window is rolled up into the log at the latest after so many seconds."""


class BreakerConfig(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True
):
    """When a breaker opens, for how long, and what closes it again.

    Raises `SettingsError` for settings that cannot work.
    """

    window: Literal["consecutive", "count", "time"] = "time"
    """Failures in a row, the last `window_calls` calls, or the last `window_s`."""
    window_calls: int = 100
    window_s: float = 60.0
    buckets: int = 60
    """In how many steps a time window moves on."""
    failures_max: int | None = None
    """So many failures in the window open it."""
    failure_rate: float | None = 0.5
    """This share of failures opens it, once there are `min_calls`."""
    slow_call_s: float | None = None
    """A call that takes longer is slow."""
    slow_rate: float | None = None
    """This share of slow calls opens it, once there are `min_calls`."""
    min_calls: int = 20
    """Rates of fewer calls say nothing: one failure of one call is 100 %."""
    compare: Literal[">=", ">"] = ">="
    """Whether reaching a rate opens it, or only passing it."""
    evaluate: Literal["every", "failures"] = "every"
    """Whether a good call may find the limit reached, or failed and slow calls only."""
    cooldown_s: float = 60.0
    cooldown_factor: float = 2.0
    """How much longer the next cooldown is when probes fail."""
    cooldown_max_s: float = 300.0
    cooldown_jitter: float = 0.0
    """Up to this share of a cooldown is left out at random."""
    retry_after: bool = True
    """Let the failing side name the cooldown (`Retry-After`), up to the longest."""
    half_open_permitted: int = 3
    """How many probes may be in flight."""
    half_open_successes: int = 2
    """By `any`: so many good probes close it. By `rate`: so many probes are judged."""
    half_open_rule: Literal["any", "rate"] = "any"
    """Any bad probe opens it again, or the rates above over all probes."""
    half_open_ramp: bool = False
    """Start with one probe in flight and allow one more for each that was good."""
    probe_lease_s: float = 60.0
    """A probe that has not reported back by then is given up for lost."""
    enabled: bool = True
    """False: every call passes and nothing opens it."""

    def __post_init__(self) -> None:
        """Refuse settings that cannot work."""
        for name in ("window_calls", "buckets", "failures_max", "min_calls"):
            self._require_at_least_one(name)
        for name in ("half_open_permitted", "half_open_successes"):
            self._require_at_least_one(name)
        for name in ("window_s", "slow_call_s", "cooldown_s", "probe_lease_s"):
            value = getattr(self, name)
            holds = value is None or value > 0
            require(holds=holds, name=name, value=value, rule="more than 0")
        for name in ("failure_rate", "slow_rate"):
            value = getattr(self, name)
            holds = value is None or 0 < value <= 1
            require(
                holds=holds, name=name, value=value, rule="above 0 and at most 1 (all)"
            )
        self._require_cooldown()
        self._require_rules()

    def _require_at_least_one(self, name: str) -> None:
        value = getattr(self, name)
        holds = value is None or value >= 1
        require(holds=holds, name=name, value=value, rule="at least 1")

    def _require_cooldown(self) -> None:
        factor, jitter = self.cooldown_factor, self.cooldown_jitter
        require(
            holds=factor >= 1, name="cooldown_factor", value=factor, rule="at least 1"
        )
        require(
            holds=0 <= jitter < 1,
            name="cooldown_jitter",
            value=jitter,
            rule="at least 0 and below 1",
        )
        require(
            holds=self.cooldown_max_s >= self.cooldown_s,
            name="cooldown_max_s",
            value=self.cooldown_max_s,
            rule=f"at least cooldown_s, {self.cooldown_s!r}",
        )

    def _require_rules(self) -> None:
        """Refuse combinations of which one part would never be looked at."""
        if self.window == "consecutive":
            if self.failures_max is None or self.slow_rate is not None:
                raise SettingsError(
                    "window is 'consecutive', which opens at failures_max in a row: "
                    "set failures_max, and leave slow_rate out or choose another window",
                )
        elif self.failures_max is None and self.failure_rate is None is self.slow_rate:
            raise SettingsError(
                "nothing would ever open this breaker: set failures_max, "
                "failure_rate or slow_rate, or enabled = false",
            )
        if self.slow_rate is not None and self.slow_call_s is None:
            raise SettingsError("slow_rate needs slow_call_s: from when is a call slow")
        if self.window == "count" and self.min_calls > self.window_calls:
            raise SettingsError(
                f"min_calls is {self.min_calls}, but the window holds no more than "
                f"{self.window_calls} calls: lower it or raise window_calls",
            )

    @classmethod
    def preset(cls, name: Preset, **changes: Any) -> "BreakerConfig":
        """Return a preset, with some settings changed. Raises `SettingsError`."""
        if name not in PRESETS:
            raise SettingsError(
                f"there is no preset {name!r}; there are {', '.join(PRESETS)}"
            )
        return from_plain(cls, {**PRESETS[name], **changes}, "the breaker")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "BreakerConfig":
        """Build settings from plain data, as from TOML; `preset` names what to start from.

        Raises `SettingsError`.
        """
        changes = dict(data)
        return cls.preset(changes.pop("preset", "default"), **changes)

    @property
    def timed(self) -> bool:
        """Whether the duration of calls matters."""
        return self.slow_call_s is not None

    @property
    def bucket_us(self) -> int:
        """The width of a time window's bucket."""
        return max(1, round(self.window_s * 1e6 / self.buckets))

    @property
    def roll_up_failures(self) -> int:
        """At so many failures a window is rolled up: a quarter of what may open it."""
        limits = [self.failures_max] if self.failures_max else []
        if self.window != "consecutive":
            limits.append(self.min_calls)
        return ceil(min(limits) / 4)

    def reached(
        self, calls: int, failures: int, slows: int
    ) -> tuple[TripRule, float] | None:
        """Return the rule that such a window breaks, with its limit.

        Rates are compared as quotients: 3 of 30 is 0.1 then, where 0.1 * 30
        would be a little more than 3.
        """
        if self.failures_max is not None and failures >= self.failures_max:
            return "failures", float(self.failures_max)
        if self.window == "consecutive" or calls < self.min_calls:
            return None
        return self.rate_reached(calls, failures, slows)

    def rate_reached(
        self, calls: int, failures: int, slows: int
    ) -> tuple[TripRule, float] | None:
        """Return the rate that is reached, with its limit, without regard to `min_calls`."""
        if self._over(failures / calls, self.failure_rate):
            return "failure_rate", self.failure_rate or 0.0
        if self._over(slows / calls, self.slow_rate):
            return "slow_rate", self.slow_rate or 0.0
        return None

    def _over(self, share: float, limit: float | None) -> bool:
        if limit is None:
            return False
        return share >= limit if self.compare == ">=" else share > limit

    def cooldown_us(
        self, attempt: int, draw: float, retry_after_s: float | None = None
    ) -> int:
        """Return the cooldown of the `attempt`-th opening in a row (from 1)."""
        if self.retry_after and retry_after_s is not None and retry_after_s >= 0:
            # What is no number fails the comparison, and is not taken.
            return max(1, round(min(retry_after_s, self.cooldown_max_s) * 1e6))
        try:
            grown_s = self.cooldown_s * self.cooldown_factor ** (attempt - 1)
        except OverflowError:
            grown_s = self.cooldown_max_s
        full_s = min(grown_s, self.cooldown_max_s)
        return max(1, round(full_s * (1 - self.cooldown_jitter * draw) * 1e6))


PRESETS: Mapping[Preset, Mapping[str, Any]] = {
    "default": {},
    "classic": {"window": "consecutive", "failures_max": 5, "failure_rate": None},
    "provider": {"half_open_permitted": 1, "half_open_successes": 2},
    "storage": {
        "failure_rate": 0.5,
        "compare": ">",
        "cooldown_s": 300.0,
        "cooldown_factor": 1.0,
        "half_open_permitted": 10,
        "half_open_successes": 10,
        "half_open_rule": "rate",
    },
}
"""`classic` counts failures in a row, `provider` suits a metered API, `storage` an object store."""
