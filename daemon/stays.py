"""A breaker's condition and history in words, and as a strip of characters."""

from collections.abc import Sequence

from ..actors.breakers import BreakerConfig, BreakerState
from ..events.breaker import Evidence, Phase
from ..projections.breaker_history import Stay
from .output import moment

STAYS_SHOWN = 20
"""So many stays of a history are shown in full."""
MARKS: dict[Phase, str] = {
    "closed": "▁",
    "half_open": "▄",
    "open": "█",
    "forced_open": "▓",
    "disabled": "·",
    "metrics_only": "░",
}
"""The more calls are refused, the higher the mark."""
REFUSES: dict[Phase, int] = {
    "disabled": 0,
    "metrics_only": 1,
    "closed": 2,
    "half_open": 3,
    "forced_open": 4,
    "open": 5,
}


def explain(state: BreakerState, since_us: int) -> list[str]:
    """Say what a breaker is since when, why, and what brings about the next change."""
    lines = [
        (
            f"{state.name} is {state.phase.replace('_', ' ')} since "
            f"{moment(since_us)} (generation {state.generation})."
        )
    ]
    if state.phase == "open" and state.evidence is not None:
        times = f", opening {state.attempt} in a row" if state.attempt > 1 else ""
        lines.append(f"It opened because {because(state.evidence)}{times}.")
    if state.reason or state.by:
        lines.append(f"{state.by or 'Somebody'} said: {state.reason or 'nothing'}.")
    if state.until is not None and state.phase in {"open", "forced_open"}:
        until = moment(state.until.until_us)
        span_s = state.until.span_us / 1e6
        lines.append(f"That lasts {span(span_s)}, until {until}; then probes may pass.")
    if state.phase == "half_open":
        probes = state.probes
        lines.append(
            f"{len(state.leases)} probes are under way, {probes.good} were good, "
            f"{probes.failed + probes.slow} bad; {settings_of_probes(state.config)}."
        )
    if state.phase != "open" and state.evidence is not None:
        lines.append(f"It last opened because {because(state.evidence)}.")
    totals = state.totals
    lines.append(
        f"In all: {totals.calls} calls, {totals.failures} failed, {totals.slows} slow, "
        f"{totals.neutral} ignored, {totals.rejected} refused; {totals.trips} openings, "
        f"{totals.probes} probes."
    )
    settings = {
        name: value
        for name in state.config.__struct_fields__
        if (value := getattr(state.config, name)) is not None
    }
    said = " ".join(f"{name}={value}" for name, value in settings.items())
    lines.append(f"Settings (version {state.config_version}): {said}")
    return lines


def settings_of_probes(config: BreakerConfig) -> str:
    """Say what closes a half-open breaker."""
    if config.half_open_rule == "rate":
        return f"{config.half_open_successes} are judged by the rates"
    return f"{config.half_open_successes} good ones close it"


def because(evidence: Evidence) -> str:
    """Say what was counted, and which limit that reached."""
    calls, failures, slows = evidence.calls, evidence.failures, evidence.slows
    of = {
        "manual": "somebody tripped it",
        "failures": f"{failures} failures reached failures_max {evidence.limit:g}",
        "failure_rate": f"{failures} of {calls} calls failed, {evidence.failure_rate:.0%}, "
        f"which reached failure_rate {evidence.limit:g}",
        "slow_rate": f"{slows} of {calls} calls were slow, {evidence.slow_rate:.0%}, "
        f"which reached slow_rate {evidence.limit:g}",
        "probes": f"{failures + slows} of {calls} probes were bad",
    }[evidence.rule]
    last = f"; the last errors: {', '.join(evidence.errors)}" if evidence.errors else ""
    return f"{of}{last}"


def why(stay: Stay) -> str:
    """Say in a few words what brought a stay about."""
    if stay.reason or stay.by:
        return f"{stay.by or 'somebody'}: {stay.reason}"
    return because(stay.evidence) if stay.evidence is not None else ""


def span(seconds: float) -> str:
    """Return a duration as a person would say it."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes, left_s = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {left_s} s"


def strip(stays: Sequence[Stay], end_us: int, width: int) -> str:
    """Draw a history as one line of `width` characters, and a legend under it.

    Where several stays fall into one character, the one that refuses most shows.
    """
    begin_us = stays[0].since_us
    step_us = -(-(end_us - begin_us + 1) // width)
    cells: list[Phase] = [stays[0].phase] * (-(-(end_us - begin_us + 1) // step_us))
    filled = 0
    for stay in stays:
        until_us = end_us if stay.until_us is None else stay.until_us
        first = max(0, (stay.since_us - begin_us) // step_us)
        last = min(max(first, (until_us - begin_us) // step_us), len(cells) - 1)
        for at in range(first, last + 1):
            if at >= filled or REFUSES[stay.phase] > REFUSES[cells[at]]:
                cells[at] = stay.phase
        filled = max(filled, last + 1)
    phases: dict[Phase, None] = dict.fromkeys(stay.phase for stay in stays)
    legend = "  ".join(f"{MARKS[phase]} {phase.replace('_', ' ')}" for phase in phases)
    marks = "".join(MARKS[phase] for phase in cells)
    return f"{marks}\n{moment(begin_us)} to {moment(end_us)}   {legend}"
