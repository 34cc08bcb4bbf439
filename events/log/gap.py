"""Gaps: positions at which no event stands any more."""

from collections.abc import Sequence
from typing import Any, Protocol

from .errors import LogDamagedError


class Holding(Protocol):
    """A log's rows, as they are at the moment of each call."""

    @property
    def position(self) -> int:
        """The last position as it is now."""
        ...

    def row(self, position: int) -> object | None:
        """Return the event at a position; None: there is none."""
        ...


def require_whole(
    stored: Holding, rows: Sequence[Any], after: int, until: int, limit: int
) -> None:
    """Raise `LogDamagedError` if a page of events has a gap.

    `rows` are at most `limit` rows with after < position <= until, in order, each with
    its position first. As positions are given without gaps and committed in their
    order, the last one mostly tells that none is missing. Only where a page ends early
    more is looked at: the log may have gone on since it was read, so an event is missing
    only if it still is after the log's end was seen behind it.
    """
    last = rows[-1][0] if rows else after
    if last - after == len(rows):
        missing = last + 1
        if (
            last == until
            or len(rows) >= limit
            or last >= min(until, stored.position)
            or stored.row(missing) is not None
        ):
            return
    else:
        found = {row[0] for row in rows}
        missing = next(at for at in range(after + 1, last + 1) if at not in found)
    raise LogDamagedError(
        f"no event stands at position {missing}, though the log goes on to "
        f"{max(last, stored.position)}: verify the log, export what can still be read, "
        "and restore it from a backup",
    )
