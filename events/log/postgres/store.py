"""A log in PostgreSQL as tools go through it: its tables, and its archive in them."""

from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, TypeVar

import psycopg

from ..archive import Archive, Segment
from ..archive.checking import segment_damages
from ..archive.event import STREAM
from ..encryption.survey import KeptSnapshot
from ..errors import LogDamagedError, LogUnreadableError
from ..file_store import OPEN, SNAPSHOTS
from ..integrity import Damage
from ..rows import Row
from ..store import Place
from ..stored import LAST, is_whole, merged
from ..tables import FORMAT
from .connection import Connection
from .schema import FORMAT as SCHEMA_FORMAT
from .schema import PATIENCE_S, check, connect
from .segments import SegmentTable
from .shape import oddities

T = TypeVar("T")

EVENTS = "SELECT position, stream, version, tag, state, prev, digest FROM events"

_PAGE = "WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
_STREAM = (
    f"{EVENTS} WHERE stream = ? AND version >= ? AND version <= ? AND position <= ? "
    "ORDER BY version"
)
_UNARCHIVED = f"""
{EVENTS} WHERE stream = (SELECT stream FROM events WHERE position = ?)
AND position <= ? ORDER BY version
"""  # noqa: S608 - a constant
_PLACES = "SELECT position, stream, version, digest FROM events WHERE position = ANY(?)"
# Where the table's part of a stream begins, and the head.
_OLDEST = """
SELECT e.version, e.prev, s.version, s.position FROM streams s LEFT JOIN LATERAL (
    SELECT version, prev FROM events WHERE stream = s.stream ORDER BY version LIMIT 1
) e ON true WHERE s.stream = ?
"""
_SEGMENTS = """
SELECT segment, first, last, events, size_bytes, index_at, digest FROM segments
WHERE last > ? AND first <= ? ORDER BY first, last
"""
_TOTALS = """
SELECT (SELECT count(*) FROM events) + {archived},
       (SELECT coalesce(sum(version), 0) FROM streams)::bigint,
       (SELECT max(position) FROM events), next_position, committed, epoch
FROM meta
"""
_ARCHIVED = "(SELECT coalesce(sum(events), 0) FROM segments)::bigint"


class PostgresStore:
    """The `Store` in a schema of a database; every query is a transaction of its own.

    The table is looked at first: what an archiver took from it before that moment is
    in a segment that is known in the next. `patience_s` and `answer_s` as in
    `connect`. Raises `LogUnreadableError` when the server cannot be reached or has no
    such log.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        schema: str,
        node: str = "",
        patience_s: float = PATIENCE_S,
        answer_s: float | None = None,
    ) -> None:
        self.name = f"postgresql:{schema}"
        self.format = FORMAT  # what is in the rows is as in a file of it
        self._conninfo = conninfo
        self._schema = schema
        self._node = node
        self._patience_s = patience_s
        self._answer_s = answer_s
        self._segments = SegmentTable(self.name, self.query)
        self._archive = Archive(self._segments)
        self._is_archived = False
        """Whether the tables of the archive are known to be there."""
        try:
            self._db = self._connect()
        except psycopg.Error as error:
            raise _unreadable(schema, error) from error

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def _connect(self) -> Connection:
        db = connect(
            self._conninfo,
            self._schema,
            name=self._node,
            patience_s=self._patience_s,
            answer_s=self._answer_s,
        )
        try:
            check(db, self._schema)
        except BaseException:
            db.close()
            raise
        return db

    def use(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns, which is harmless to do twice.

        A connection that was cut, as after a restart of the server, is opened anew.
        """
        try:
            try:
                return work(self._db)
            except psycopg.OperationalError:
                if not self._db.closed:
                    raise
            self._db = self._connect()
            return work(self._db)
        except psycopg.Error as error:
            raise _unreadable(self._schema, error) from error

    def query(self, query: str, values: Any = ()) -> list[Any]:
        """Return all rows of a query, in which `?` is a value."""
        text = query.replace("?", "%s").encode()
        return self.use(lambda db: db.execute(text, values).fetchall())

    def page(self, after: int, until: int, limit: int) -> list[Row]:
        """Return a page of events with after < position <= until."""
        found = self.query(f"{EVENTS} {_PAGE}", (after, until, limit))
        rows = [_row(row) for row in found]
        if is_whole(rows, after, until, limit):
            return rows
        return merged(rows, self._archived(rows, after, until, limit), limit)

    def row(self, position: int) -> Row | None:
        """Return the event at a position; None: there is none."""
        found = self.page(position - 1, position, 1)
        return found[0] if found else None

    def digests(self, after: int, until: int, limit: int) -> list[tuple[int, Any]]:
        """Return positions and digests of a page of events."""
        query = f"SELECT position, digest FROM events {_PAGE}"  # noqa: S608 - a constant
        rows = self.query(query, (after, until, limit))
        if is_whole(rows, after, until, limit):
            return rows
        archived = self._archived(rows, after, until, limit)
        return merged(rows, ((row.position, row.digest) for row in archived), limit)

    def places(self, positions: list[int]) -> dict[int, Place]:
        """Return stream, version and digest of the events at these positions."""
        found = self.query(_PLACES, (positions,))
        places: dict[int, Place] = {position: (*place,) for position, *place in found}
        if len(places) < len(positions) and (gone := set(positions) - places.keys()):
            self._archive.update(self._within(min(gone) - 1, max(gone)))
            for position in sorted(gone):
                row = self._archive.row(position)
                if row is not None:
                    places[position] = row.stream, row.version, row.digest
        return places

    def stream(self, stream: str, after: int, until: int, at: int) -> list[Row]:
        """Return the events of a stream with after <= version <= until, as of `at`.

        What is archived is found by walking back from the oldest event that is not.
        Raises `LogDamagedError` unless that comes to where it should.
        """
        found = self.query(_STREAM, (stream, after, until, at))
        rows = [_row(row) for row in found]
        first = max(after, 1)
        if rows:  # what goes from there now has been read
            reached, link = rows[0].version, rows[0].prev
        else:
            ends = self.query(_OLDEST, (stream,))
            if not ends or ends[0][2] < first:
                return rows
            ((oldest, prev, newest, position),) = ends
            reached, link = (newest + 1, position) if oldest is None else (oldest, prev)
        if reached <= first:
            return rows
        archived: list[Row] = []
        for row in self._walk(link, first):
            reached, link = row.version, row.prev
            if reached <= until and row.position <= at:
                archived.append(row)
        if reached > first:
            raise LogDamagedError(
                f"stream {stream!r} is broken: its version {reached - 1} should stand "
                f"at position {link}, and does not; verify the log, export what can "
                "still be read, and restore it from a backup",
            )
        return [*reversed(archived), *rows]

    def _walk(self, link: int | None, first: int) -> Iterator[Row]:
        """Go back through the archived events of a stream, to a version."""
        if link is not None:
            self._archive.update(self._within(0, link))
        before = LAST
        while link is not None and link < before:  # else a pointer is damaged
            row = self._archive.row(link)
            if row is None:
                return
            yield row
            if row.version <= first:
                return
            before, link = link, row.prev

    @property
    def position(self) -> int:
        """The last position as it is now."""
        return int(self.query("SELECT next_position FROM meta")[0][0]) - 1

    def snapshots(self) -> list[KeptSnapshot]:
        """Return all snapshots."""
        return self.query(SNAPSHOTS)

    def open_names(self) -> Iterator[str]:
        """Return the names of all streams that are open."""
        return (stream for (stream,) in self.query(OPEN))

    def unarchived(self, position: int) -> list[Row]:
        """Return the events of a stream up to the one at `position`."""
        return [_row(row) for row in self.query(_UNARCHIVED, (position, position))]

    def segments(self) -> list[Segment]:
        """Return the segments of the log, by their first positions."""
        return self._within(0, LAST)

    def _within(self, after: int, until: int) -> list[Segment]:
        """Return those in which positions from `after` to `until` may be."""
        if not self._has_archive():
            return []
        return [Segment(*row) for row in self.query(_SEGMENTS, (after, until))]

    def _has_archive(self) -> bool:
        """Tell whether the log has format 2, or has got it meanwhile."""
        if not self._is_archived:
            ((table,),) = self.query("SELECT to_regclass('segments')")
            self._is_archived = table is not None
        return self._is_archived

    def _archived(
        self, rows: list[Any], after: int, until: int, limit: int
    ) -> list[Row]:
        if len(rows) == limit:
            until = rows[-1][0]
        self._archive.update(self._within(after, until))
        return self._archive.rows(after, until, limit)

    def totals(self) -> list[Any]:
        """Return how many events there are, and the end; see `Store`."""
        archived = _ARCHIVED if self._has_archive() else "0"
        return self.query(_TOTALS.format(archived=archived))

    def meta(self) -> tuple[Any, int] | None:
        """Return none: see `Store`."""
        return None

    def ends(self) -> "tuple[int, array[int]]":
        """Return the last position and where streams were closed; see `Store`."""

        def work(db: Connection) -> "tuple[int, array[int]]":
            with db.transaction():
                db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                last: Any = db.execute("SELECT max(position) FROM events").fetchone()
                closed: Any = db.execute(
                    "SELECT position FROM streams WHERE NOT open ORDER BY position"
                )
                return last[0] or 0, array("q", (position for (position,) in closed))

        return self.use(work)

    def damages(self) -> Iterator[Damage]:
        """Yield what is other in the schema; the server looks after its pages itself."""
        if self.query("SELECT 1 FROM meta WHERE format = ?", (SCHEMA_FORMAT,)):
            for oddity in self.use(lambda db: [*oddities(db)]):
                yield Damage("schema", 0, "", oddity.message)

    def segment_damages(self) -> Iterator[Damage]:
        """Yield the segments that are not as they were written."""
        known = self.segments()  # before the events that tell of them
        told: list[Row] | None = None
        with suppress(LogDamagedError):  # as is told of its events
            told = self.stream(STREAM, 0, LAST, LAST)
        yield from segment_damages(self._segments, known, told)


def _row(row: Any) -> Row:
    position, stream, version, tag, state, prev, digest = row
    return Row(
        position, stream, version, tag, state.encode(), prev, digest, opaque=False
    )


def _unreadable(schema: str, error: psycopg.Error) -> LogUnreadableError:
    if isinstance(error, psycopg.errors.UndefinedTable):
        return LogUnreadableError(
            f"there is no log in schema {schema!r}: check its name, the database's and "
            "what the role may use, and that the log was written to before",
        )
    said = " ".join(str(error).split())
    return LogUnreadableError(
        f"the log in schema {schema!r} cannot be read ({said}): check the connection, "
        "and that the log was written to before",
    )
