"""A log in PostgreSQL as tools go through it."""

from array import array
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import psycopg

from ..archive import Segment
from ..encryption.survey import KeptSnapshot
from ..errors import LogUnreadableError
from ..file_store import OPEN, SNAPSHOTS
from ..integrity import Damage
from ..rows import Row
from ..schema import FORMAT
from ..store import Place
from .schema import Connection, check, connect

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
_TOTALS = """
SELECT (SELECT count(*) FROM events), (SELECT coalesce(sum(version), 0) FROM streams),
       (SELECT max(position) FROM events), next_position, committed, epoch
FROM meta
"""


class PostgresStore:
    """The `Store` in a schema of a database; every call is a transaction of its own.

    Raises `LogUnreadableError` when the server cannot be reached or has no such log.
    """

    def __init__(self, conninfo: str, *, schema: str, node: str = "") -> None:
        self.name = f"postgresql:{schema}"
        self.format = FORMAT  # what is in the rows is as in a file of it
        self._conninfo = conninfo
        self._schema = schema
        self._node = node
        try:
            self._db = self._connect()
        except psycopg.Error as error:
            raise _unreadable(schema, error) from error

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def _connect(self) -> Connection:
        db = connect(self._conninfo, self._schema, name=self._node)
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
        return [
            _row(row) for row in self.query(f"{EVENTS} {_PAGE}", (after, until, limit))
        ]

    def row(self, position: int) -> Row | None:
        """Return the event at a position; None: there is none."""
        found = self.page(position - 1, position, 1)
        return found[0] if found else None

    def digests(self, after: int, until: int, limit: int) -> list[tuple[int, Any]]:
        """Return positions and digests of a page of events."""
        query = f"SELECT position, digest FROM events {_PAGE}"  # noqa: S608 - a constant
        return self.query(query, (after, until, limit))

    def places(self, positions: list[int]) -> dict[int, Place]:
        """Return stream, version and digest of the events at these positions."""
        found = self.query(_PLACES, (positions,))
        return {position: (*place,) for position, *place in found}

    def stream(self, stream: str, after: int, until: int, at: int) -> list[Row]:
        """Return the events of a stream with after <= version <= until, as of `at`."""
        return [_row(row) for row in self.query(_STREAM, (stream, after, until, at))]

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
        """Return none: events are not archived here."""
        return []

    def totals(self) -> list[Any]:
        """Return how many events there are, and the end; see `Store`."""
        return self.query(_TOTALS)

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
        """Yield nothing: the server looks after its pages itself."""
        yield from ()

    def segment_damages(self) -> Iterator[Damage]:
        """Yield nothing: there are none."""
        yield from ()


def _row(row: Any) -> Row:
    position, stream, version, tag, state, prev, digest = row
    return Row(
        position, stream, version, tag, state.encode(), prev, digest, opaque=False
    )


def _unreadable(schema: str, error: psycopg.Error) -> LogUnreadableError:
    said = " ".join(str(error).split())
    return LogUnreadableError(
        f"the log in schema {schema!r} cannot be read ({said}): check the connection, "
        "and that the log was written to before",
    )
