"""What happens to a circuit breaker: one stream `breaker/<name>` each.

All times are integer microseconds. Calls are numbered from 1 within a
generation, which is one stay in one phase; failures and slow calls are kept by
number, so that every kind of window can be folded from the same events.
"""

from typing import Any, Literal

import msgspec

from .event import Event

Phase = Literal[
    "closed", "open", "half_open", "forced_open", "disabled", "metrics_only"
]
"""The first three are the breaker's own; a person puts it into the last three."""
Override = Literal["forced_open", "disabled", "metrics_only"]
ProbeOutcome = Literal["success", "failure", "neutral"]
"""Neutral: cancelled or ignored, it proves nothing."""
TripRule = Literal["failures", "failure_rate", "slow_rate", "probes", "manual"]


class Deadline(msgspec.Struct, frozen=True, gc=False):
    """An instant that wall-clock steps and restarts do not move.

    In the boot that set it the boot clock decides. In another boot the wall
    clock does, within `0 <= remaining <= span_us`.
    """

    until_us: int
    """Wall time of the instant."""
    boot: str
    """The boot's id; empty where the platform has none."""
    boot_us: int
    """The instant on the monotonic clock of that boot."""
    span_us: int
    """How far ahead it was when it was set."""


class Bucket(msgspec.Struct, frozen=True, gc=False):
    """All calls that ended in one stretch of time, as absolute numbers."""

    start_us: int
    """Where the stretch begins, on the boot clock."""
    calls: int
    failures: int
    slows: int


class Lease(msgspec.Struct, frozen=True, gc=False):
    """A probe that may be under way until its lease ends."""

    probe: int
    until: Deadline


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """Why a breaker opened: what was counted, and against which limit."""

    rule: TripRule
    calls: int
    failures: int
    slows: int
    limit: float
    """The failures or the rate that was reached; 0 for a manual trip."""
    errors: tuple[str, ...] = ()
    """The classes of the last errors, the newest last."""
    config_version: int = 0

    @property
    def failure_rate(self) -> float:
        """The share of calls that failed."""
        return self.failures / self.calls if self.calls else 0.0

    @property
    def slow_rate(self) -> float:
        """The share of calls that were slow."""
        return self.slows / self.calls if self.calls else 0.0


class Configured(Event, tag="breaker.configured", version=1):
    """New settings are in force; the window is kept."""

    at_us: int
    config_version: int
    settings: dict[str, Any]
    """Every setting by name, defaults included."""
    source: Literal["code", "admin"]
    """Settings from the code apply again only once the code has changed."""
    reason: str = ""
    by: str = ""


class Overridden(Event, tag="breaker.overridden", version=1):
    """A person took the decision out of the breaker's hands."""

    at_us: int
    generation: int
    phase: Override
    until: Deadline | None = None
    """When a forced-open breaker may probe again, or the others end; None: never."""
    reason: str = ""
    by: str = ""


class Reset(Event, tag="breaker.reset", version=1):
    """The breaker was closed with an empty window: by a person, or an override ended."""

    at_us: int
    generation: int
    reason: str = ""
    by: str = ""


class Opened(Event, tag="breaker.opened", version=1):
    """Too many calls failed, or a person tripped it; calls are refused until then."""

    at_us: int
    generation: int
    until: Deadline
    attempt: int
    """How many times in a row it has opened without closing: the cooldown grows by it."""
    evidence: Evidence
    reason: str = ""
    by: str = ""


class HalfOpened(Event, tag="breaker.half_opened", version=1):
    """The cooldown is over; probes may pass."""

    at_us: int
    generation: int


class ProbeGranted(Event, tag="breaker.probe_granted", version=1):
    """One call may pass as a probe; it starts after this event is durable."""

    at_us: int
    lease: Lease


class ProbeSettled(Event, tag="breaker.probe_settled", version=1):
    """A probe has ended."""

    at_us: int
    probe: int
    outcome: ProbeOutcome
    slow: bool = False
    error: str = ""
    """The class of the error that made it a failure."""


class ProbeExpired(Event, tag="breaker.probe_expired", version=1):
    """A probe never reported back; its place is free again and its result ignored."""

    at_us: int
    probe: int


class Closed(Event, tag="breaker.closed", version=1):
    """The probes were good; calls pass and the window starts empty."""

    at_us: int
    generation: int
    probes: int
    """How many probes had ended in this half-open stay."""


class Reopened(Event, tag="breaker.reopened", version=1):
    """The probes were bad; the next cooldown runs."""

    at_us: int
    generation: int
    until: Deadline
    attempt: int
    evidence: Evidence


class WindowRolledUp(Event, tag="breaker.window_rolled_up", version=1):
    """What was counted since the last roll-up of this generation.

    One of a generation that is over only adds to the totals.
    """

    at_us: int
    generation: int
    boot: str
    clock_us: int
    """When, on the boot clock."""
    seq: int
    """The number of the last call counted."""
    calls: int
    """How many were counted since the last roll-up."""
    failures: tuple[int, ...] = ()
    """Numbers of the calls that failed since the last roll-up, ascending."""
    slows: tuple[int, ...] = ()
    """Numbers of the calls that were slow since then, ascending."""
    buckets: tuple[Bucket, ...] = ()
    """The buckets touched since then, with all they hold now, oldest first."""
    neutral: int = 0
    """Calls ignored or cancelled since then."""
    rejected: int = 0
    """Calls refused since then."""
    errors: tuple[str, ...] = ()
    """The classes of the last errors, the newest last."""


class Flushed(Event, tag="breaker.flushed", version=1):
    """A clean stop: everything counted before it stands in the log."""

    at_us: int
    generation: int


class Reanchored(Event, tag="breaker.reanchored", version=1):
    """The machine was rebooted: running deadlines go on by the new boot's clock."""

    at_us: int
    boot: str
    until: Deadline | None
    leases: tuple[Lease, ...]
    age_shift_us: int
    """What to add to bucket times of the old boot's clock to have them on the new."""


class CaughtUp(Event, tag="breaker.caught_up", version=1):
    """The log could not be written for long; this is the state that was lived to."""

    at_us: int
    missing: int
    """How many events were not kept."""
    state: dict[str, Any]
    """The whole state of the fold."""


EVENTS: tuple[type[Event], ...] = (
    CaughtUp,
    Closed,
    Configured,
    Flushed,
    HalfOpened,
    Opened,
    Overridden,
    ProbeExpired,
    ProbeGranted,
    ProbeSettled,
    Reanchored,
    Reopened,
    Reset,
    WindowRolledUp,
)
