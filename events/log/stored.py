"""The events in a log file, wherever they are: in its table or in its archive."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from .archive import Archive, Segment, SegmentFolder
from .errors import LogDamagedError
from .reading import translated
from .rows import COLUMNS, ROW, EventRow, Row
from .store import Place

_PAGE = "FROM events WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"

# The walk back through a stream. A pointer that does not point back is damage; the
# walk ends there instead of running in circles.
_CHAIN = """
WITH RECURSIVE chain(link) AS (
    SELECT :start
    UNION ALL
    SELECT prev FROM chain CROSS JOIN events ON position = link
    WHERE prev < position AND version > :after
)
"""

_STREAM = f"""{_CHAIN}
SELECT {ROW} FROM chain CROSS JOIN events ON position = link
WHERE version >= :after AND version <= :until AND position <= :at ORDER BY position
"""  # noqa: S608 - a constant

_OLDEST = f"""{_CHAIN}
SELECT prev, version FROM chain CROSS JOIN events ON position = link
ORDER BY position LIMIT 1
"""  # noqa: S608 - a constant

_ENTRY = """
SELECT position, version FROM snapshots
WHERE stream = :stream AND (version >= :until OR position >= :at)
ORDER BY version LIMIT 1
"""

_PLACES = "SELECT position, stream, version, digest FROM events WHERE position IN"
_PLACES_MAX = 500

LAST = 2**62
"""Above every position and version."""


class StoredEvents:
    """Reads rows through a connection, and from segments what the table has no more.

    The table is looked at first: what an archiver takes from it meanwhile is in a
    segment already. Raises `LogDamagedError` and `LogUnreadableError`.
    """

    def __init__(self, path: Path, db: sqlite3.Connection) -> None:
        self._path = path
        self._db = db
        self._archive = Archive(SegmentFolder(path))

    def query(self, query: str, values: Any = ()) -> list[Any]:
        """Return all rows of a query."""
        with translated(self._path), closing(self._db.execute(query, values)) as cursor:
            return cursor.fetchall()

    @property
    def position(self) -> int:
        """The last position as it is now."""
        for (following,) in self.query("SELECT next_position FROM meta"):
            if isinstance(following, int):
                return following - 1
        raise LogDamagedError(
            f"{self._path} does not say where it ends: restore it from a backup",
        )

    def columns(self, after: int, until: int, limit: int) -> list[EventRow]:
        """Return what a `RowDecoder` takes of a page of events."""
        rows = self.query(f"SELECT {COLUMNS} {_PAGE}", (after, until, limit))
        if is_whole(rows, after, until, limit):
            return rows
        archived = self._archived(rows, after, until, limit)
        return merged(rows, (row[:5] for row in archived), limit)

    def page(self, after: int, until: int, limit: int) -> list[Row]:
        """Return a page of events."""
        rows = self.query(f"SELECT {ROW} {_PAGE}", (after, until, limit))
        if not is_whole(rows, after, until, limit):
            archived = self._archived(rows, after, until, limit)
            rows = merged(rows, map(tuple, archived), limit)
        return [Row(*row) for row in rows]

    def digests(self, after: int, until: int, limit: int) -> list[tuple[int, Any]]:
        """Return positions and digests of a page of events."""
        rows = self.query(f"SELECT position, digest {_PAGE}", (after, until, limit))
        if is_whole(rows, after, until, limit):
            return rows
        archived = self._archived(rows, after, until, limit)
        return merged(rows, ((row.position, row.digest) for row in archived), limit)

    def row(self, position: int) -> Row | None:
        """Return the event at a position; None: there is none."""
        found = self.page(position - 1, position, 1)
        return found[0] if found else None

    def places(self, positions: list[int]) -> dict[int, Place]:
        """Return stream, version and digest of the events at these positions."""
        found: dict[int, Place] = {}
        for start in range(0, len(positions), _PLACES_MAX):
            part = positions[start : start + _PLACES_MAX]
            marks = ",".join("?" * len(part))
            for position, *place in self.query(f"{_PLACES} ({marks})", part):
                found[position] = (*place,)
        if len(found) < len(positions):
            self._archive.update(self.segments())
            for position in set(positions) - found.keys():
                row = self._archive.row(position)
                if row is not None:
                    found[position] = row.stream, row.version, row.digest
        return found

    def stream(self, stream: str, after: int, until: int, at: int) -> list[Row]:
        """Return the events of a stream with after <= version <= until, as of `at`.

        The walk starts at the next snapshot at or after what is wanted, else at the
        stream's end. Raises `LogDamagedError` unless it comes to where it should.
        """
        wanted = {"stream": stream, "until": until, "at": at}
        entry = self.query(_ENTRY, wanted) or self.query(
            "SELECT position, version FROM streams WHERE stream = :stream",
            wanted,
        )
        if not entry:
            return []
        start, newest = entry[0]
        bounds = {"start": start, "after": after, "until": until, "at": at}
        rows = [Row(*row) for row in self.query(_STREAM, bounds)]
        reached: object
        if rows:  # the oldest in the table: what goes from there now has been read
            reached, link = rows[0].version, rows[0].prev
        else:
            oldest = self.query(_OLDEST, bounds)
            link, reached = oldest[0] if oldest else (start, LAST)
        if not _is_up_to(reached, max(after, 1)):
            archived: list[Row] = []
            for row in self._walk(link, after):
                reached, link = row.version, row.prev
                if after <= row.version <= until and row.position <= at:
                    archived.append(row)
            rows = [*reversed(archived), *rows]
        if not _is_up_to(reached, max(after, 1)):
            before = "" if reached == LAST else f"the event before version {reached} "
            raise _broken(stream, before or f"version {newest} ", link)
        if not self._begins(stream, start, newest, rows):
            raise _broken(stream, f"version {newest} ", start)
        return rows

    def _begins(self, stream: str, start: int, newest: int, rows: list[Row]) -> bool:
        """Tell whether the walk began at the event that is said to stand there."""
        if rows and rows[-1].position == start:
            return rows[-1].version == newest
        return self.places([start]).get(start, ())[:2] == (stream, newest)

    def unarchived(self, position: int) -> list[Row]:
        """Return what the table holds of a stream up to the event at `position`."""
        bounds = {"start": position, "after": 0, "until": LAST, "at": LAST}
        return [Row(*row) for row in self.query(_STREAM, bounds)]

    def segments(self) -> list[Segment]:
        """Return the segments of the log, by their first positions."""
        rows = self._segment_rows()
        for row in rows:
            if not is_segment(*row):
                raise LogDamagedError(
                    f"the table of archived segments has a row {row[0]!r} that is not "
                    "as it was written: verify the log and restore it from a backup",
                )
        return [Segment(*row) for row in rows]

    def _segment_rows(self) -> list[Any]:
        if not self.query("SELECT 1 FROM sqlite_master WHERE name = 'segments'"):
            return []  # format 1
        return self.query(
            "SELECT segment, first, last, events, size_bytes, index_at, digest "
            "FROM segments ORDER BY first, last",
        )

    def _archived(
        self, rows: list[Any], after: int, until: int, limit: int
    ) -> list[Row]:
        self._archive.update(self.segments())
        return self._archive.rows(
            after, rows[-1][0] if len(rows) == limit else until, limit
        )

    def _walk(self, link: object, after: int) -> Iterator[Row]:
        """Go back through the archived events of a stream."""
        if link is None:
            return
        self._archive.update(self.segments())
        before = LAST
        while isinstance(link, int) and link < before:
            row = self._archive.row(link)
            if row is None:
                return
            yield row
            if row.version <= after:
                return
            before, link = link, row.prev


def _broken(stream: str, what: str, position: object) -> LogDamagedError:
    where = "somewhere" if position is None else f"at position {position}"
    return LogDamagedError(
        f"stream {stream!r} is broken: {what}should stand {where}, and does not; verify "
        "the log, export what can still be read, and restore it from a backup",
    )


def _is_up_to(version: object, most: int) -> bool:
    return isinstance(version, int) and version <= most


def is_whole(rows: list[Any], after: int, until: int, limit: int) -> bool:
    """Tell whether no event of a page can be in the archive.

    The last event of a log never is, so that nothing is after a position, anywhere, if
    the table has nothing.
    """
    if not rows:
        return limit < 1 or until <= after or until >= LAST
    last: int = rows[-1][0]
    ends = len(rows) == limit or until >= LAST or last == until
    return ends and last - after == len(rows)


def merged(rows: list[Any], archived: Any, limit: int) -> list[Any]:
    """Return a page of what the table has and the archive, by positions."""
    found = {row[0]: row for row in archived}
    found.update((row[0], row) for row in rows)
    return [found[position] for position in sorted(found)][:limit]


def is_segment(name: object, *rest: object) -> bool:
    """Tell whether a row of the table is of a segment: anything stands there else."""
    *numbers, digest = rest
    return (
        isinstance(name, str)
        and isinstance(digest, bytes)
        and all(isinstance(number, int) for number in numbers)
    )
