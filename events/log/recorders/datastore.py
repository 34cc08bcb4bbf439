"""A log file as recorders use it: one connection that writes, a few that read."""

import sqlite3
import threading
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

from eventsourcing.persistence import OperationalError

from ...closing import Closing
from ..lock import WriterLock
from ..reading import open_file
from ..schema import connect_writer

READERS_MAX = 8
"""So many threads read at once; more wait for their turn."""


class LogDatastore(Closing):
    """A log file that this process alone writes; for any number of threads.

    The library's own datastore is not used: its pool closes connections that other
    threads are reading with, which crashes the process, and keeps its writer's lock
    for ever after a time-out.

    Raises `LogLockedError` when another process writes the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        originator_id_type: Literal["uuid", "text"] = "text",
    ) -> None:
        self.path = path
        self.originator_id_type = originator_id_type
        self._lock = WriterLock(path)
        self._lock.acquire()
        self._turn = threading.Lock()
        try:
            self._db = connect_writer(path)
        except BaseException:
            self._lock.release()
            raise
        self._db.execute("PRAGMA wal_autocheckpoint=1000")
        self._idle: list[sqlite3.Connection] = []
        self._idle_lock = threading.Lock()
        self._readers = threading.BoundedSemaphore(READERS_MAX)
        self._closed = False

    @contextmanager
    def writing(self) -> Generator[sqlite3.Connection, None, None]:
        """Run one transaction; it is durable when the block has been left."""
        with self._turn:
            self._require_open()
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except sqlite3.Error as error:
                raise OperationalError(str(error)) from error
            finally:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")

    def rows(
        self,
        query: str,
        values: Sequence[Any] | Mapping[str, Any] = (),
    ) -> list[Any]:
        """Return what a query finds, as of one moment."""
        with self._readers:
            db = self._reader()
            try:
                with closing(db.execute(query, values)) as cursor:
                    return cursor.fetchall()
            except sqlite3.Error as error:
                raise OperationalError(str(error)) from error
            finally:
                self._put_back(db)

    def close(self) -> None:
        """Close the file once those who use it are done; let the next writer in."""
        with self._turn, self._idle_lock:
            if self._closed:
                return
            self._closed = True
            for db in self._idle:
                db.close()
            self._db.close()
            self._lock.release()

    def _reader(self) -> sqlite3.Connection:
        with self._idle_lock:
            self._require_open()
            if self._idle:
                return self._idle.pop()
        return open_file(self.path)

    def _put_back(self, db: sqlite3.Connection) -> None:
        with self._idle_lock:
            if self._closed:
                db.close()
            else:
                self._idle.append(db)

    def _require_open(self) -> None:
        if self._closed:
            raise OperationalError(f"{self.path} was closed: open a new datastore")
