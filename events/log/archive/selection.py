"""Which events may leave the log's table."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ..digest import FIRST
from ..errors import LogDamagedError
from ..rows import Row, is_chained
from ..store import Store

EVENTS_MAX = 5_000
"""So many events make a segment, unless one stream has more: what one transaction
deletes, while appends wait, takes some tens of milliseconds."""

PREFIX_MIN = 200
"""Of an open stream at least so many events go at a time."""

CANDIDATES_MAX = 50_000
"""So many streams are looked for at a time."""

_CLOSED = """
SELECT position, stream FROM streams
WHERE NOT open AND position > ? AND position <= ? AND kind <> 'log'
AND EXISTS (SELECT 1 FROM events e WHERE e.position = streams.position)
ORDER BY position LIMIT ?
"""

# Of an open stream what its newest snapshot holds is not needed to start its actor.
_STANDING_BEHIND_A_SNAPSHOT = """
SELECT max(n.position), s.stream FROM snapshots n JOIN streams s ON s.stream = n.stream
WHERE s.open AND s.kind <> 'log' AND n.position <= ? AND n.version < s.version
GROUP BY s.stream
"""


class Batch(NamedTuple):
    """What goes into one segment."""

    rows: list[Row]
    """By their positions."""
    closed: list[str]
    """The closed streams among theirs."""
    streams: int

    @property
    def size_bytes(self) -> int:
        """How long the documents are."""
        return sum([len(row.document) for row in self.rows])


def batches(
    stored: Store, until: int, events_max: int | None = None
) -> Iterator[Batch]:
    """Yield what may be archived of the events up to position `until`.

    That are closed streams that ended by then, and of open ones what stands behind a
    snapshot. Every event is checked against its digest first: raises `LogDamagedError`
    for one that is not as it was written. Blocking.
    """
    pending: list[list[Row]] = []
    closed: list[str] = []
    for stream, is_closed, rows in _streams(stored, until):
        pending.append(rows)
        if is_closed:
            closed.append(stream)
        if sum(map(len, pending)) >= (events_max or EVENTS_MAX):
            yield _batch(pending, closed)
            pending, closed = [], []
    if pending:
        yield _batch(pending, closed)


def _batch(pending: Sequence[list[Row]], closed: list[str]) -> Batch:
    rows = sorted(row for stream in pending for row in stream)
    return Batch(rows, closed, len(pending))


def _streams(stored: Store, until: int) -> Iterator[tuple[str, bool, list[Row]]]:
    after = 0
    while found := stored.query(_CLOSED, (after, until, CANDIDATES_MAX)):
        for position, stream in found:
            yield stream, True, _checked(stored, position)
        after = found[-1][0]
    for position, stream in stored.query(_STANDING_BEHIND_A_SNAPSHOT, (until,)):
        rows = _checked(stored, position)
        if len(rows) >= PREFIX_MIN:
            yield stream, False, rows


def _checked(stored: Store, position: int) -> list[Row]:
    """Return what the table holds of a stream up to a position."""
    rows = stored.unarchived(position)
    previous: Any = FIRST
    if rows and rows[0].prev is not None:
        place = stored.places([rows[0].prev]).get(rows[0].prev)
        previous = b"" if place is None else place[2]
    for row in rows:
        if not is_chained(previous, row):
            raise LogDamagedError(
                f"the event at position {row.position} of stream {row.stream!r} is not "
                "as it was written, so nothing of it is archived: verify the log and "
                "restore it from a backup",
            )
        previous = row.digest
    return rows
