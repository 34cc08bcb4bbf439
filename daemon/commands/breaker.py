"""`dramaturg breaker`: why a breaker is open, and what it went through."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from ...actors.breakers import BreakerState
from ...projections import (
    StreamNotBegunError,
    Timeline,
    UnknownStreamError,
    standard_folds,
)
from ...projections.breaker_history import BreakerHistory, Stay
from ..layout import OpenLog, open_log
from ..options import At, Data, Json, position_at
from ..output import Output, moment
from ..stays import STAYS_SHOWN, explain, span, strip, why

breaker = App(
    name="breaker",
    help="See why a breaker is open, its history, and what other settings would do.",
)
breaker.command(
    f"{__package__}.backtest:backtest",
    name="backtest",
    help="Replay the recorded calls through other settings.",
)
Name = Annotated[str, Parameter(help="The breaker's name, such as graph-db.")]


@breaker.command(name="list")
def list_(*, at: At = None, data: Data = Path("var"), as_json: Json = False) -> int:
    """List all breakers with their phases."""
    output = Output(as_json=as_json)
    with open_log(data) as reader:
        timeline = Timeline(reader, standard_folds())
        states = timeline.states(at=position_at(at, timeline), prefix="breaker/")
    output.rows(
        ("name", "phase", "since", "trips", "calls", "failures", "rejected"),
        (_listed(found.state) for found in states.values()),
    )
    return 0


@breaker.command
def show(
    name: Name,
    *,
    at: At = None,
    plot: Annotated[
        Path | None, Parameter(help="Draw the history into this file (png, svg, pdf).")
    ] = None,
    data: Data = Path("var"),
    as_json: Json = False,
) -> int:
    """Say what a breaker is and why, and what it went through."""
    output = Output(as_json=as_json)
    with open_log(data) as reader:
        end = position_at(at, Timeline(reader, standard_folds()))
        history = _history(reader, name, end)
    if as_json:
        output.value({"state": history.state, "stays": history.stays})
    else:
        for line in explain(history.state, history.stays[-1].since_us):
            output.line(line)
        until_us = _end_us(history)
        output.line(f"\n{strip(history.stays, until_us, output.console.width)}")
        shown = history.stays[-STAYS_SHOWN:]
        of = (
            f"the last {STAYS_SHOWN} of {len(history.stays)}"
            if len(shown) == STAYS_SHOWN
            else ""
        )
        output.rows(
            ("phase", "since", "for", "calls", "failures", "rejected", "probes", "why"),
            (_stay(stay, until_us) for stay in shown),
            title=of or None,
        )
    if plot is not None:
        from ..plots import plot_stays  # noqa: PLC0415 - matplotlib is slow to load

        plot_stays(history.stays, _end_us(history), name, plot)
        output.line(f"drawn into {plot}")
    return 0


def _history(reader: OpenLog, name: str, at: int | None) -> BreakerHistory:
    stream = known_stream(reader, name)
    events = reader.read_stream(stream, at=at)
    if not events:
        first = reader.read_stream(stream, until=1)[0]
        raise StreamNotBegunError(stream, at or 0, first.position)
    return BreakerHistory.of(stream, events)


def known_stream(reader: OpenLog, name: str) -> str:
    """Return the stream of a breaker. Raises `UnknownStreamError`."""
    stream = name if name.startswith("breaker/") else f"breaker/{name}"
    if reader.head(stream) is None:
        known = [head.stream for head in reader.streams("breaker/")]
        raise UnknownStreamError(stream, known)
    return stream


def _end_us(history: BreakerHistory) -> int:
    """Return up to when the log tells of a breaker."""
    state = history.state
    return max(state.since_us, state.window.at_us)


def _listed(state: BreakerState) -> dict[str, object]:
    totals = state.totals
    return {
        "name": state.name,
        "phase": state.phase,
        "since": moment(state.since_us) if state.since_us else "it began",
        "trips": totals.trips,
        "calls": totals.calls,
        "failures": totals.failures,
        "rejected": totals.rejected,
    }


def _stay(stay: Stay, end_us: int) -> dict[str, object]:
    until_us = end_us if stay.until_us is None else stay.until_us
    probes = f"{stay.probes_good} good, {stay.probes_bad} bad"
    return {
        "phase": stay.phase,
        "since": moment(stay.since_us),
        "for": span((until_us - stay.since_us) / 1e6),
        "calls": stay.calls,
        "failures": stay.failures,
        "rejected": stay.rejected,
        "probes": probes if stay.probes_good or stay.probes_bad else "",
        "why": why(stay),
    }
