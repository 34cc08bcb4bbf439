"""What a breaker decides: pure functions from a state to the events that follow."""

import msgspec

from ...events import Event
from ...events.breaker import (
    Closed,
    Configured,
    Deadline,
    Evidence,
    HalfOpened,
    Lease,
    Opened,
    Overridden,
    Override,
    ProbeExpired,
    ProbeGranted,
    ProbeOutcome,
    ProbeSettled,
    Reanchored,
    Reopened,
    Reset,
    TripRule,
)
from .config import BreakerConfig
from .state import BreakerState, evolve
from .times import Now, deadline, reanchored, remaining_us

Events = tuple[Event, ...]


class Why(msgspec.Struct, frozen=True, gc=False):
    """What a person gives with every action."""

    reason: str
    by: str = ""


def opened(
    state: BreakerState,
    evidence: Evidence,
    now: Now,
    cooldown_us: int,
    why: Why | None = None,
) -> Opened | Reopened:
    """Open, or open again when probes failed, for the next cooldown."""
    attempt = state.attempt + 1
    until = deadline(cooldown_us, now)
    generation = state.generation + 1
    if state.phase == "half_open" and why is None:
        return Reopened(now.wall_us, generation, until, attempt, evidence)
    why = why or Why("")
    return Opened(now.wall_us, generation, until, attempt, evidence, why.reason, why.by)


def is_over(state: BreakerState, now: Now) -> bool:
    """Whether the cooldown or the override of this phase has ended."""
    return state.until is not None and not remaining_us(state.until, now)


def expired(state: BreakerState, now: Now) -> Events:
    """Give up the probes whose leases have ended."""
    return tuple(
        ProbeExpired(now.wall_us, lease.probe)
        for lease in state.leases
        if not remaining_us(lease.until, now)
    )


def override_ended(state: BreakerState, now: Now) -> Events:
    """Close when a passing override is over; a forced-open breaker probes instead."""
    if state.phase in {"disabled", "metrics_only"} and is_over(state, now):
        at_us = now.wall_us
        return (Reset(at_us, state.generation + 1, f"{state.phase} until now"),)
    return ()


def probe_admitted(state: BreakerState, now: Now) -> Events:
    """Return what leads to the grant of one more probe, nothing when none may pass."""
    events = list(expired(state, now))
    for event in events:
        state = evolve(state, event)
    if state.phase in {"open", "forced_open"}:
        if not is_over(state, now):
            return ()
        events.append(HalfOpened(now.wall_us, state.generation + 1))
        state = evolve(state, events[-1])
    if len(state.leases) >= _permitted(state):
        return ()
    lease_us = round(state.config.probe_lease_s * 1e6)
    lease = Lease(state.totals.probes + 1, deadline(lease_us, now))
    return (*events, ProbeGranted(now.wall_us, lease))


def _permitted(state: BreakerState) -> int:
    """How many probes may be in flight now."""
    config, probes = state.config, state.probes
    permitted = config.half_open_permitted
    if config.half_open_ramp:
        permitted = min(permitted, 1 + probes.good)
    if config.half_open_rule == "rate":
        # No more than are going to be judged.
        permitted = min(permitted, config.half_open_successes - probes.judged)
    return permitted


def probe_settled(  # noqa: PLR0913 - the outcome and its circumstances
    state: BreakerState,
    probe: int,
    outcome: ProbeOutcome,
    *,
    slow: bool,
    error: str,
    now: Now,
) -> Events:
    """Record how a probe ended, unless its lease has expired."""
    if all(lease.probe != probe for lease in state.leases):
        return ()
    return (ProbeSettled(now.wall_us, probe, outcome, slow, error),)


def verdict(state: BreakerState) -> TripRule | bool:
    """Judge the probes so far: the rule they break, True to close, False to go on."""
    config, probes = state.config, state.probes
    if config.half_open_rule == "any":
        if probes.failed or (probes.slow and config.slow_rate is not None):
            return "probes"
        return probes.good + probes.slow >= config.half_open_successes
    if probes.judged < config.half_open_successes:
        return False
    reached = config.rate_reached(probes.judged, probes.failed, probes.slow)
    return reached[0] if reached else True


def probe_evidence(
    state: BreakerState, rule: TripRule, errors: tuple[str, ...]
) -> Evidence:
    """What speaks against the probes of this stay."""
    config, probes = state.config, state.probes
    limits = {"failure_rate": config.failure_rate, "slow_rate": config.slow_rate}
    return Evidence(
        rule,
        probes.judged,
        probes.failed,
        probes.slow,
        limits.get(rule) or 1.0,
        errors,
        state.config_version,
    )


def closed(state: BreakerState, now: Now) -> Closed:
    """Close, since the probes were good."""
    return Closed(now.wall_us, state.generation + 1, state.probes.judged)


def reset(state: BreakerState, now: Now, why: Why) -> Events:
    """Close with an empty window, whatever the phase."""
    return (Reset(now.wall_us, state.generation + 1, why.reason, why.by),)


def tripped(state: BreakerState, now: Now, cooldown_us: int, why: Why) -> Events:
    """Open by hand, as if the window had asked for it."""
    evidence = Evidence("manual", 0, 0, 0, 0.0, config_version=state.config_version)
    return (opened(state, evidence, now, cooldown_us, why),)


def overridden(
    state: BreakerState,
    phase: Override,
    now: Now,
    span_us: int | None,
    why: Why,
) -> Events:
    """Take the decision out of the breaker's hands, for a time or until reset."""
    until: Deadline | None = None
    if span_us is not None:
        until = deadline(span_us, now)
    generation = state.generation + 1
    return (Overridden(now.wall_us, generation, phase, until, why.reason, why.by),)


def configured(
    state: BreakerState, config: BreakerConfig, now: Now, why: Why | None = None
) -> Events:
    """Put other settings in force; without `why` they are the code's own.

    The code's settings count only when they have changed since they last did, so
    that what a person has set survives a restart but not a deployment that says
    otherwise.
    """
    if why is None and state.code == config:
        return ()
    return (
        Configured(
            now.wall_us,
            state.config_version + 1,
            msgspec.to_builtins(config),
            "code" if why is None else "admin",
            "" if why is None else why.reason,
            "" if why is None else why.by,
        ),
    )


def restarted(state: BreakerState, now: Now) -> Events:
    """Carry running deadlines and bucket times over to the clock of another boot."""
    window = state.window
    boots = {lease.until.boot for lease in state.leases}
    boots |= {state.until.boot} if state.until else set()
    boots |= {window.boot} if window.buckets else set()
    if boots <= {now.boot}:
        return ()
    away_us = max(0, now.wall_us - window.at_us)
    shift_us = now.clock_us - window.clock_us - away_us if window.buckets else 0
    leases = tuple(
        Lease(lease.probe, reanchored(lease.until, now)) for lease in state.leases
    )
    until = state.until and reanchored(state.until, now)
    return (Reanchored(now.wall_us, now.boot, until, leases, shift_us),)
