"""What an import writes to: a log that nobody else writes meanwhile."""

import sqlite3
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..digest import key_digest
from ..errors import LogUnavailableError
from ..lock import WriterLock
from ..meta import Meta
from ..opening import open_for_writing, opening_error
from ..rows import Row
from ..stored import StoredEvents

_INSERT_KEY = "INSERT OR IGNORE INTO keys VALUES (?,?,?,?,?)"

StreamEnd = tuple[int, int | None, bytes]
"""Version, position and digest of a stream's last event."""


class Chunk(NamedTuple):
    """What is written in one transaction."""

    rows: Collection[Row]
    heads: Collection[tuple[str, str, int, int, bytes, bool]]
    """Of the streams of these rows: stream, kind, version, position, digest, open."""
    keys: Collection[tuple[str, str, str, int | None]]
    """Idempotency keys: scope, key, stream, when it expires."""
    next_position: int
    committed_us: int
    epoch: int


class Target(Protocol):
    """A log that is open for an import. Blocking; raises the store's own errors."""

    next_position: int
    """The position that the next event will have, when it was opened."""
    committed_us: int
    """When the last group was committed, likewise."""

    def end_of(self, stream: str) -> StreamEnd | None:
        """Return where a stream ends; None: it never began."""
        ...

    def digest_of(self, position: int) -> bytes | None:
        """Return the digest of the event at a position; None: there is none."""
        ...

    def write(self, chunk: Chunk) -> None:
        """Commit a chunk, wholly or not at all."""
        ...

    def close(self) -> None:
        """Let others write."""
        ...


OpenTarget = Callable[[], Target]
"""Opens a log for an import; raises what that raises."""


class FileTarget:
    """A log file, made if it is not there; see `Target`.

    Raises `LogLockedError` when another process writes it, `LogFormatError`,
    `LogDamagedError`, and `LogUnavailableError` when its disk fails or is full.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = WriterLock(path)
        self._lock.acquire()
        try:
            self._db = open_for_writing(path, None)
        except BaseException as error:
            self._lock.release()
            if isinstance(error, sqlite3.Error | OSError):
                raise opening_error(path, error) from error
            raise
        self._stored = StoredEvents(path, self._db)
        self.next_position, self.committed_us = self._stored.query(
            "SELECT next_position, committed FROM meta"
        )[0]

    def close(self) -> None:
        """Let other processes write."""
        self._db.close()
        self._lock.release()

    def end_of(self, stream: str) -> StreamEnd | None:
        """Return where a stream ends."""
        rows = self._stored.query(
            "SELECT version, position, digest FROM streams WHERE stream = ?",
            (stream,),
        )
        return rows[0] if rows else None

    def digest_of(self, position: int) -> bytes | None:
        """Return the digest of the event at a position."""
        row = self._stored.row(position)
        return None if row is None else row.digest

    def write(self, chunk: Chunk) -> None:
        """Commit a chunk."""
        try:
            self._write(self._db, chunk)
        except sqlite3.Error as error:
            raise LogUnavailableError(
                f"nothing more can be imported into {self._path}: {error}; make room "
                "on its disk or repair it, and do it again",
            ) from error

    def _write(self, db: sqlite3.Connection, chunk: Chunk) -> None:
        db.execute("BEGIN IMMEDIATE")
        db.executemany(
            "INSERT INTO events VALUES (?,?,?,?,?,?,?)", map(_values, chunk.rows)
        )
        db.executemany(
            "INSERT OR REPLACE INTO streams VALUES (?,?,?,?,?,?)", chunk.heads
        )
        meta = Meta.read(db)
        for key in chunk.keys:
            row = *key, key_digest(*key)
            if db.execute(_INSERT_KEY, row).rowcount:
                meta.fold(row[-1:])
        was, meta.epoch = meta.epoch, max(meta.epoch, chunk.epoch)
        meta.next_position, meta.committed_us = chunk.next_position, chunk.committed_us
        meta.write(db, was)
        db.execute("COMMIT")


def _values(row: Row) -> tuple[Any, ...]:
    state: Any = row.document if row.opaque else row.document.decode()
    return (*row[:4], state, row.prev, row.digest)
