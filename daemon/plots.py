"""Pictures, drawn by matplotlib; import it only where one is asked for."""

from collections.abc import Sequence
from pathlib import Path

from ..events.breaker import Phase
from ..projections.breaker_history import Stay
from .errors import UsageError

try:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure
except ImportError as error:
    raise UsageError(
        "pictures need matplotlib: install dramaturg[plot]",
    ) from error

COLOURS: dict[Phase, str] = {
    "closed": "#4c9f70",
    "half_open": "#e3b23c",
    "open": "#c8553d",
    "forced_open": "#7d1d3f",
    "disabled": "#9aa0a6",
    "metrics_only": "#5b8fb9",
}


def plot_stays(stays: Sequence[Stay], end_us: int, name: str, path: Path) -> None:
    """Draw a breaker's phases over time, and the share of calls that failed.

    Raises `UsageError` when the file cannot be written, or its kind is unknown.
    """
    if path.is_dir() or not path.suffix:  # else matplotlib makes up another name
        raise UsageError(f"--plot {path} has no kind: name a file that ends in .png")
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    for stay in stays:
        until_us = end_us if stay.until_us is None else stay.until_us
        begin, end = _day(stay.since_us), _day(until_us)
        above.axvspan(begin, end, color=COLOURS[stay.phase], linewidth=0)
        if stay.calls:
            share = 100 * stay.failures / stay.calls
            below.fill_between([begin, end], share, color="#c8553d", alpha=0.7)
        if stay.evidence is not None:
            above.annotate("▼", (begin, 1), va="bottom", ha="center", fontsize=7)
    phases: dict[Phase, None] = dict.fromkeys(stay.phase for stay in stays)
    for phase in phases:
        above.plot([], [], color=COLOURS[phase], lw=6, label=phase.replace("_", " "))
    above.legend(ncols=6, loc="lower right", bbox_to_anchor=(1, 1.15), frameon=False)
    above.set(yticks=[])
    above.set_title(
        f"{name}: {sum(s.phase == 'open' for s in stays)} openings", loc="left"
    )
    below.set(ylim=(0, 100), ylabel="failed calls, %")
    locator = AutoDateLocator()  # type: ignore[no-untyped-call] # matplotlib says so in parts only
    below.xaxis.set_major_locator(locator)
    below.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call] # as above
    try:
        figure.savefig(path, dpi=120)  # pyright: ignore[reportUnknownMemberType] # typed in part
    except (OSError, ValueError) as error:
        raise UsageError(f"--plot {path} cannot be written: {error}") from error


def _day(at_us: int) -> float:
    """Return what matplotlib counts time in: days since 1970."""
    return at_us / 86_400e6
