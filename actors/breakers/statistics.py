"""What a breaker has counted, and why it is as it is."""

import msgspec

from ...events.breaker import Evidence, Phase
from .machine import Machine
from .times import Now, remaining_us

NUMBERS: dict[Phase, int] = {
    "closed": 0,
    "disabled": 0,
    "metrics_only": 0,
    "open": 1,
    "forced_open": 1,
    "half_open": 2,
}
"""How metrics name a phase: whether calls pass, are refused or are tried."""


class Statistics(msgspec.Struct, frozen=True, gc=False):
    """A breaker at one instant."""

    name: str
    phase: Phase
    number: int
    """0: calls pass, 1: they are refused, 2: probes pass."""
    generation: int
    in_phase_s: float
    retry_after_s: float
    """How long the cooldown or a passing override still lasts."""
    window_calls: int
    window_failures: int
    window_slows: int
    calls: int
    """Since the breaker began, as the following."""
    failures: int
    slows: int
    neutral: int
    rejected: int
    late: int
    """Results that came too late to matter; in this process only."""
    trips: int
    probes: int
    probes_in_flight: int
    config_version: int
    evidence: Evidence | None
    """Why it opened last."""
    reason: str
    """What the person said who last changed its phase."""
    by: str

    @property
    def error_rate(self) -> float:
        """The share of failures in the window."""
        return self.window_failures / self.window_calls if self.window_calls else 0.0

    def explain(self) -> str:
        """Say in a sentence why it is as it is."""
        who = f" by {self.by}" if self.by else ""
        said = f"{who}: {self.reason}" if self.reason else ""
        if said or self.phase in {"closed", "half_open"} or self.evidence is None:
            return f"{self.name} is {self.phase}{said}"
        found = self.evidence
        errors = f", last {', '.join(found.errors)}" if found.errors else ""
        return (
            f"{self.name} is {self.phase}: {found.failures} failed and {found.slows} "
            f"slow of {found.calls} calls reached {found.rule} {found.limit:g} of "
            f"configuration {found.config_version}{errors}"
        )


def statistics_of(machine: Machine, now: Now) -> Statistics:
    """Return the statistics of a living breaker."""
    state, generation = machine.state, machine.generation
    generation.turn(now.clock_us)
    tally = generation.window.tally(generation.seq)
    totals = state.totals
    return Statistics(
        name=state.name,
        phase=state.phase,
        number=NUMBERS[state.phase],
        generation=state.generation,
        in_phase_s=max(0, now.wall_us - state.since_us) / 1e6,
        retry_after_s=remaining_us(state.until, now) / 1e6 if state.until else 0.0,
        window_calls=tally.calls,
        window_failures=tally.failures,
        window_slows=tally.slows,
        calls=totals.calls + generation.seq - generation.rolled_seq,
        failures=totals.failures + len(generation.failures),
        slows=totals.slows + len(generation.slows),
        neutral=totals.neutral + machine.neutral,
        rejected=totals.rejected + machine.rejected,
        late=machine.late,
        trips=totals.trips,
        probes=totals.probes,
        probes_in_flight=len(state.leases),
        config_version=state.config_version,
        evidence=state.evidence,
        reason=state.reason,
        by=state.by,
    )
