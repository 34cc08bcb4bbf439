"""The options that several commands share."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, Token

from ..projections import BeyondEndError, Timeline
from .database import Database
from .errors import UsageError

Json = Annotated[
    bool,
    Parameter(name="--json", help="Print JSON for a program."),
]
Where = Path | Database
"""A data folder, a log file, or a log in a database."""


def where(_type: object, tokens: Sequence[Token]) -> Where:
    """Return what `--data` means."""
    text = tokens[0].value
    return Database.of(text) or Path(text)


Data = Annotated[
    Where,
    Parameter(
        help="The data folder, a log file, or postgresql://... of a log in a database.",
        converter=where,
    ),
]
At = Annotated[
    str | None,
    Parameter(help="A position, or a time such as 2026-11-22T10:15; else the end."),
]


def position_at(at: str | None, timeline: Timeline) -> int | None:
    """Return the position that `--at` means, None for the end.

    Raises `UsageError` for what is neither a position nor a time, and
    `BeyondEndError` for a position that the log does not have.
    """
    if at is None:
        return None
    try:
        if at.isdecimal():
            return _checked(int(at), timeline.end)
        time = datetime.fromisoformat(at).astimezone()  # no zone means the local one
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"--at {at!r} is neither a position nor a time: write a number, or a "
            "time such as 2026-11-22T10:15",
        ) from error
    return timeline.position_at(time)


def _checked(position: int, end: int) -> int:
    if position > end:
        raise BeyondEndError(position, end)
    return position
