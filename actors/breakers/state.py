"""What a breaker is, as its events tell it: the pure fold of `breaker/<name>`."""

from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec
from msgspec.structs import replace

from ...events import Event, Fold
from ...events.breaker import (
    Bucket,
    CaughtUp,
    Closed,
    Configured,
    Deadline,
    Evidence,
    HalfOpened,
    Lease,
    Opened,
    Overridden,
    Phase,
    ProbeExpired,
    ProbeGranted,
    ProbeSettled,
    Reanchored,
    Reopened,
    Reset,
    WindowRolledUp,
)
from .config import BreakerConfig

ERRORS_KEPT = 5
"""So many classes of last errors a trip names."""
KEPT = 256
"""So many numbers of failures and slow calls a time window keeps, for a change of kind."""


class Window(msgspec.Struct, frozen=True, gc=False):
    """What was counted in this generation, up to the last roll-up."""

    seq: int = 0
    """The number of the last call."""
    failures: tuple[int, ...] = ()
    """Numbers of the failed calls that still matter, ascending."""
    slows: tuple[int, ...] = ()
    buckets: tuple[Bucket, ...] = ()
    """A time window's buckets that hold calls, oldest first."""
    clock_us: int = 0
    """When it was rolled up, on the clock of `boot`."""
    at_us: int = 0
    boot: str = ""


class Totals(msgspec.Struct, frozen=True, gc=False):
    """Counts since the breaker began, up to the last roll-up."""

    calls: int = 0
    failures: int = 0
    slows: int = 0
    neutral: int = 0
    rejected: int = 0
    trips: int = 0
    probes: int = 0
    """Probes granted; the last one's number."""
    expired: int = 0


class Probes(msgspec.Struct, frozen=True, gc=False):
    """How the probes of this half-open stay went."""

    good: int = 0
    failed: int = 0
    slow: int = 0

    @property
    def judged(self) -> int:
        """How many proved something."""
        return self.good + self.failed + self.slow


class BreakerState(msgspec.Struct, frozen=True, gc=False):
    """A breaker as of some event."""

    name: str
    phase: Phase = "closed"
    generation: int = 1
    since_us: int = 0
    """When this phase began, wall time."""
    until: Deadline | None = None
    """The end of the cooldown or of an override."""
    attempt: int = 0
    """Openings in a row without closing."""
    evidence: Evidence | None = None
    """Why it opened last; kept after it closed."""
    reason: str = ""
    """What the person said who last changed the phase; empty when it was the breaker."""
    by: str = ""
    config: BreakerConfig = BreakerConfig()
    config_version: int = 0
    code: BreakerConfig | None = None
    """The settings that the code last asked for."""
    window: Window = Window()
    probes: Probes = Probes()
    leases: tuple[Lease, ...] = ()
    """Probes that may be under way."""
    totals: Totals = Totals()
    errors: tuple[str, ...] = ()
    """The classes of the last errors, the newest last."""


def evolve(state: BreakerState, event: Event) -> BreakerState:
    """Return the state after one more event."""
    step = _STEPS.get(type(event))
    return state if step is None else step(state, event)


def _enter(state: BreakerState, phase: Phase, event: Any, **more: Any) -> BreakerState:
    """Begin a generation: nothing counted, no probe, and who asked for it."""
    fresh: dict[str, Any] = {
        "until": None,
        "reason": getattr(event, "reason", ""),
        "by": getattr(event, "by", ""),
        "window": Window(),
        "probes": Probes(),
        "leases": (),
    }
    return replace(
        state,
        phase=phase,
        generation=event.generation,
        since_us=event.at_us,
        **(fresh | more),
    )


def _opened(state: BreakerState, event: Opened | Reopened) -> BreakerState:
    return _enter(
        state,
        "open",
        event,
        until=event.until,
        attempt=event.attempt,
        evidence=event.evidence,
        leases=state.leases,
        totals=replace(state.totals, trips=state.totals.trips + 1),
    )


def _half_opened(state: BreakerState, event: HalfOpened) -> BreakerState:
    """Probes of an earlier stay may still be under way: they keep their places."""
    return _enter(state, "half_open", event, leases=state.leases)


def _closed(state: BreakerState, event: Closed | Reset) -> BreakerState:
    return _enter(state, "closed", event, attempt=0, leases=state.leases)


def _overridden(state: BreakerState, event: Overridden) -> BreakerState:
    return _enter(state, event.phase, event, until=event.until, leases=state.leases)


def _configured(state: BreakerState, event: Configured) -> BreakerState:
    config = msgspec.convert(event.settings, BreakerConfig)
    state = replace(
        state,
        window=refit(state.window, state.config, config),
        config=config,
        config_version=event.config_version,
    )
    return replace(state, code=config) if event.source == "code" else state


def _granted(state: BreakerState, event: ProbeGranted) -> BreakerState:
    totals = replace(state.totals, probes=event.lease.probe)
    return replace(state, leases=(*state.leases, event.lease), totals=totals)


def _settled(state: BreakerState, event: ProbeSettled) -> BreakerState:
    before = state.probes
    if event.outcome == "failure":
        probes = replace(before, failed=before.failed + 1)
    elif event.outcome == "neutral":
        probes = before
    elif event.slow:
        probes = replace(before, slow=before.slow + 1)
    else:
        probes = replace(before, good=before.good + 1)
    errors = (
        (*state.errors, event.error)[-ERRORS_KEPT:] if event.error else state.errors
    )
    leases = _without(state, event.probe)
    return replace(state, probes=probes, leases=leases, errors=errors)


def _expired(state: BreakerState, event: ProbeExpired) -> BreakerState:
    totals = replace(state.totals, expired=state.totals.expired + 1)
    return replace(state, leases=_without(state, event.probe), totals=totals)


def _without(state: BreakerState, probe: int) -> tuple[Lease, ...]:
    return tuple(lease for lease in state.leases if lease.probe != probe)


def _reanchored(state: BreakerState, event: Reanchored) -> BreakerState:
    window = state.window
    shift_us = event.age_shift_us
    buckets = tuple(
        replace(bucket, start_us=bucket.start_us + shift_us)
        for bucket in window.buckets
    )
    moved = replace(
        window,
        buckets=buckets,
        clock_us=window.clock_us + shift_us,
        boot=event.boot,
    )
    return replace(state, until=event.until, leases=event.leases, window=moved)


def _rolled_up(state: BreakerState, event: WindowRolledUp) -> BreakerState:
    window, totals, config = state.window, state.totals, state.config
    counted = replace(
        totals,
        calls=totals.calls + event.calls,
        failures=totals.failures + len(event.failures),
        slows=totals.slows + len(event.slows),
        neutral=totals.neutral + event.neutral,
        rejected=totals.rejected + event.rejected,
    )
    state = replace(state, totals=counted, errors=event.errors or state.errors)
    if event.generation != state.generation:
        return state
    rolled = Window(
        seq=event.seq,
        failures=_kept((*window.failures, *event.failures), event.seq, config),
        slows=_kept((*window.slows, *event.slows), event.seq, config),
        buckets=_merged(window.buckets, event, config),
        clock_us=event.clock_us,
        at_us=event.at_us,
        boot=event.boot,
    )
    return replace(state, window=rolled)


def _kept(numbers: tuple[int, ...], seq: int, config: BreakerConfig) -> tuple[int, ...]:
    if config.window == "time":
        return numbers[-KEPT:]
    size = config.window_calls if config.window == "count" else config.failures_max or 1
    return tuple(number for number in numbers if number > seq - size)


def _merged(
    before: tuple[Bucket, ...], event: WindowRolledUp, config: BreakerConfig
) -> tuple[Bucket, ...]:
    """Put the buckets of a roll-up in the place of those that they go on from."""
    if config.window != "time":
        return ()
    buckets = event.buckets
    if not buckets or not before or before[-1].start_us < buckets[0].start_us:
        merged = before + buckets
    elif before[-1].start_us == buckets[0].start_us:
        merged = before[:-1] + buckets
    else:
        by_start = {b.start_us: b for b in (*before, *buckets)}
        merged = tuple(by_start[start_us] for start_us in sorted(by_start))
    return within(merged, event.clock_us, config)


def within(
    buckets: tuple[Bucket, ...], clock_us: int, config: BreakerConfig
) -> tuple[Bucket, ...]:
    """Return the buckets that a time window still covers at this instant.

    They are in the order of time.
    """
    width_us = config.bucket_us
    oldest = clock_us // width_us - config.buckets
    over = 0
    while over < len(buckets) and buckets[over].start_us // width_us <= oldest:
        over += 1
    return buckets[over:]


def refit(window: Window, old: BreakerConfig, new: BreakerConfig) -> Window:
    """Return the window under other settings, as exactly as it is known.

    A time window of another width keeps its buckets where they begin. A count
    window that becomes a time window counts as one bucket of just now; one that
    was a time window knows its last failures by number.
    """
    buckets = window.buckets
    if new.window != "time":
        buckets = ()
    elif old.window != "time" and window.seq:
        size = old.window_calls if old.window == "count" else window.seq
        calls = max(min(window.seq, size), len(window.failures))
        counts = (calls, len(window.failures), len(window.slows))
        buckets = (Bucket(window.clock_us, *counts),)
    return replace(
        window,
        failures=_kept(window.failures, window.seq, new),
        slows=_kept(window.slows, window.seq, new),
        buckets=within(buckets, window.clock_us, new),
    )


def _caught_up(state: BreakerState, event: CaughtUp) -> BreakerState:
    del state
    return msgspec.convert(event.state, BreakerState)


_Step = Callable[[BreakerState, Any], BreakerState]
_STEPS: Mapping[type[Event], _Step] = cast(
    "Mapping[type[Event], _Step]",
    {
        CaughtUp: _caught_up,
        Closed: _closed,
        Configured: _configured,
        HalfOpened: _half_opened,
        Opened: _opened,
        Overridden: _overridden,
        ProbeExpired: _expired,
        ProbeGranted: _granted,
        ProbeSettled: _settled,
        Reanchored: _reanchored,
        Reopened: _opened,
        Reset: _closed,
        WindowRolledUp: _rolled_up,
    },
)
"""What each event does; `Flushed` only marks a place."""


def _initial(stream: str) -> BreakerState:
    return BreakerState(stream.partition("/")[2])


FOLD = Fold(
    kind="breaker", state=BreakerState, initial=_initial, evolve=evolve, version=1
)
