"""Reads a log in PostgreSQL through one connection."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import psycopg

from ...registry import Registry
from ..api import Recorded, Snapshot, StreamHead
from ..digest import FIRST, snapshot_digest
from ..errors import LogDamagedError, LogUnreadableError
from ..rows import Row, RowDecoder, is_chained, last_committed_by
from .schema import Connection, check, connect

T = TypeVar("T")

LAST = 2**62
"""Above every position and version."""

_EVENTS = "SELECT position, stream, version, tag, state, prev, digest FROM events"
_HEADS = "SELECT stream, kind, version, position, open FROM streams"


class PostgresReader:
    """A log in a schema of a PostgreSQL database, read-only. Blocking.

    Every call is a transaction of its own. Raises `LogUnreadableError` when the
    server cannot be reached or has no such log, and `LogDamagedError` when an event
    is not as it was written.
    """

    def __init__(
        self, conninfo: str, registry: Registry, *, schema: str, node: str = ""
    ) -> None:
        self._decode = RowDecoder(registry)
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
        check(db, self._schema)
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

    def _rows(self, query: str, values: Any = ()) -> list[Any]:
        return self.use(lambda db: db.execute(query.encode(), values).fetchall())

    @property
    def position(self) -> int:
        """The last position as it is now; 0: empty."""
        return int(self._rows("SELECT next_position FROM meta")[0][0]) - 1

    def read(
        self, after: int = 0, until: int | None = None, *, limit: int = 1000
    ) -> list[Recorded]:
        """Read at most `limit` events of all streams with after < position <= until."""
        rows = self._rows(
            f"{_EVENTS} WHERE position > %s AND position <= %s "
            "ORDER BY position LIMIT %s",
            (after, LAST if until is None else until, limit),
        )
        return [self._decode(row[:5]) for row in map(_row, rows)]

    def read_stream(
        self,
        stream: str,
        *,
        after: int = 0,
        until: int | None = None,
        at: int | None = None,
    ) -> list[Recorded]:
        """Read the events of one stream with after < version <= until, as of `at`.

        Every one is compared with its digest.
        """
        last = LAST if until is None else until
        rows = [
            _row(row)
            for row in self._rows(
                f"{_EVENTS} WHERE stream = %s AND version >= %s AND version <= %s "
                "AND position <= %s ORDER BY version",
                (stream, after, last, LAST if at is None else at),
            )
        ]
        previous = FIRST
        if after and rows and rows[0].version == after:
            previous = rows.pop(0).digest
        for row in rows:
            if not is_chained(previous, row):
                raise LogDamagedError(
                    f"the event at position {row.position} of stream {stream!r}, its "
                    f"version {row.version}, is not as it was written: restore the "
                    "database from a backup",
                )
            previous = row.digest
        return [self._decode(row[:5]) for row in rows]

    def digests(self, after: int, until: int, *, limit: int) -> list[tuple[int, bytes]]:
        """Read positions and digests of events with after < position <= until."""
        return self._rows(
            "SELECT position, digest FROM events WHERE position > %s AND "
            "position <= %s ORDER BY position LIMIT %s",
            (after, until, limit),
        )

    def head(self, stream: str) -> StreamHead | None:
        """Return where a stream ends, None if it never began."""
        found = self._heads(self._rows(f"{_HEADS} WHERE stream = %s", (stream,)))
        return found[0] if found else None

    def streams(self, prefix: str = "") -> list[StreamHead]:
        """List all streams whose names start with `prefix`, by name."""
        query = f"{_HEADS} WHERE starts_with(stream, %s) ORDER BY stream"
        return self._heads(self._rows(query, (prefix,)))

    def open_streams(self, prefix: str = "") -> list[StreamHead]:
        """List those of them whose last event did not close them."""
        query = f"{_HEADS} WHERE open AND starts_with(stream, %s) ORDER BY stream"
        return self._heads(self._rows(query, (prefix,)))

    @staticmethod
    def _heads(rows: Iterable[Any]) -> list[StreamHead]:
        return [StreamHead(s, k, v, p, open=o) for s, k, v, p, o in rows]

    def snapshot(
        self,
        stream: str,
        fold_version: int,
        *,
        at: int | None = None,
        at_version: int | None = None,
    ) -> Snapshot | None:
        """Return the newest snapshot that was true at position `at` and `at_version`.

        One that does not fit its digest is passed over.
        """
        rows = self._rows(
            "SELECT stream, version, position, fold_version, state, digest "
            "FROM snapshots WHERE stream = %s AND fold_version = %s "
            "AND position <= %s AND version <= %s ORDER BY version DESC",
            (
                stream,
                fold_version,
                LAST if at is None else at,
                LAST if at_version is None else at_version,
            ),
        )
        for *row, digest in rows:
            if digest == snapshot_digest(*row):
                return Snapshot(*row)
        return None

    def key_stream(self, scope: str, key: str, now_us: int) -> str | None:
        """Return the stream that used an idempotency key, None if it is free."""
        rows = self._rows(
            "SELECT stream FROM keys WHERE scope = %s AND key = %s "
            "AND (expires IS NULL OR expires > %s)",
            (scope, key, now_us),
        )
        return str(rows[0][0]) if rows else None

    def position_at(self, time_us: int) -> int:
        """Return the last position committed at or before a wall time; 0: none."""
        return last_committed_by(time_us, self.position, self._committed_at)

    def _committed_at(self, position: int) -> int | None:
        found = self.read(position - 1, position, limit=1)
        return found[0].header.committed if found else None


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
