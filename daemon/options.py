"""The options that several commands share."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..projections import Timeline
from .errors import UsageError

Json = Annotated[
    bool,
    Parameter(name="--json", negative="", help="Print JSON for a program."),
]
Data = Annotated[Path, Parameter(help="The data folder, or a log file.")]
At = Annotated[
    str | None,
    Parameter(help="A position, or a time such as 2026-11-22T10:15; else the end."),
]


def position_at(at: str | None, timeline: Timeline) -> int | None:
    """Return the position that `--at` means, None for the end.

    Raises `UsageError` for what is neither a position nor a time.
    """
    if at is None:
        return None
    if at.isdecimal():
        return int(at)
    try:
        time = datetime.fromisoformat(at)
    except ValueError as error:
        raise UsageError(
            f"--at {at!r} is neither a position nor a time: write a number, or a "
            "time such as 2026-11-22T10:15",
        ) from error
    return timeline.position_at(time.astimezone())  # no zone means the local one
