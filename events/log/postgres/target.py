"""A log in PostgreSQL that an import writes to."""

from typing import Any

import psycopg

from ..digest import key_digest
from ..errors import LogError, LogUnavailableError
from ..transfer.target import Chunk, StreamEnd
from .arrays import register
from .committer import EVENTS, HEADS, INSERT_EVENTS, INSERT_HEADS, KEY_ROWS, columns
from .schema import connect, create
from .store import PostgresStore

_KEYS = (
    "INSERT INTO keys SELECT * FROM unnest(%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
_META = """
UPDATE meta SET next_position = %s, committed = %s, epoch = greatest(epoch, %s)
"""


class NotAloneError(LogError):
    """A node has the log open, or has written to it while something was imported."""


class PostgresTarget:
    """A schema of a database, made if it is not there; see `Target`.

    No node may be at work on it: its actors would not know of what comes. Raises
    `NotAloneError`, `LogFormatError` and `LogUnavailableError`.
    """

    def __init__(self, conninfo: str, *, schema: str) -> None:
        self._schema = schema
        try:
            self._db = connect(conninfo, schema, name="import")
        except psycopg.Error as error:
            raise self._failed(error) from error
        try:
            create(self._db, schema)
            register(self._db)
            meta: Any = self._db.execute("SELECT next_position, committed FROM meta")
            self.next_position, self.committed_us = meta.fetchone()
            self._at: int = self.next_position
            self._require_alone()
            self._stored = PostgresStore(conninfo, schema=schema, node="import")
        except BaseException as error:
            self._db.close()
            if isinstance(error, psycopg.Error):
                raise self._failed(error) from error
            raise

    def close(self) -> None:
        """Close the connections."""
        self._db.close()
        self._stored.close()

    def end_of(self, stream: str) -> StreamEnd | None:
        """Return where a stream ends."""
        query = "SELECT version, position, digest FROM streams WHERE stream = %s"
        found: StreamEnd | None = self._row(query, stream)
        return found

    def digest_of(self, position: int) -> bytes | None:
        """Return the digest of the event at a position."""
        place = self._stored.places([position]).get(position)
        return None if place is None else bytes(place[2])

    def write(self, chunk: Chunk) -> None:
        """Commit a chunk."""
        events = [value for row in chunk.rows for value in _values(row)]
        heads = [value for head in chunk.heads for value in (*head[:5], int(head[5]))]
        keys = [value for key in chunk.keys for value in (*key, key_digest(*key))]
        meta = chunk.next_position, chunk.committed_us, chunk.epoch
        db = self._db
        try:
            with db.transaction():
                self._require_alone()
                if events:
                    db.execute(INSERT_EVENTS, columns(events, EVENTS))
                    db.execute(INSERT_HEADS, columns(heads, HEADS))
                if keys:
                    db.execute(_KEYS, columns(keys, KEY_ROWS))
                db.execute(_META, meta)
        except psycopg.Error as error:
            raise self._failed(error) from error
        self._at = chunk.next_position

    def _require_alone(self) -> None:
        """Lock the end of the log, where it is known to be, against all nodes."""
        end = self._row("SELECT next_position FROM meta WHERE id = %s FOR UPDATE", 1)
        node = self._row("SELECT node FROM nodes WHERE expires > now() LIMIT %s", 1)
        if node is not None or end != (self._at,):
            who = "another node" if node is None else f"node {node[0]!r}"
            raise NotAloneError(
                f"{who} writes the log in schema {self._schema!r}: stop all nodes "
                "before something is imported",
            )

    def _row(self, query: str, value: object) -> Any:
        return self._db.execute(query.encode(), (value,)).fetchone()

    def _failed(self, error: psycopg.Error) -> LogUnavailableError:
        said = " ".join(str(error).split())
        return LogUnavailableError(
            f"nothing more can be imported into schema {self._schema!r}: {said}; look "
            "after the server and the way to it, and do it again",
        )


def _values(row: Any) -> tuple[Any, ...]:
    """Return the values of an event in the order of `INSERT_EVENTS`."""
    if row.opaque:
        raise LogError(
            f"position {row.position} is a recorder's event, which only a file can "
            "keep: import it into a file",
        )
    place = row.position, row.stream, row.version, row.tag
    return (row.document.decode(), *place, row.prev, row.digest)
