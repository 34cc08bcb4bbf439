"""The log in one SQLite file."""

import asyncio
import contextlib
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from ..registry import Registry
from .api import Context
from .archive.removal import Removal
from .archive.retention import Retention, RetentionPolicy
from .committer import SqliteCommitter
from .encryption import Keyring
from .encryption.engine import KeyedEngine
from .file_store import FileStore
from .lock import WriterLock
from .lull import Lull
from .opening import open_for_writing, opening_error
from .reader import LogReader
from .sealer import SEALS, SealPolicy
from .written import RETRY_S, UNWRITTEN_MAX, WrittenLog


class SqliteLog(WrittenLog[LogReader]):
    """An `EventLog` in the file `path`, used by `async with`.

    One thread writes it and commits in groups; one process writes it, a second one
    gets a `LogLockedError`. Whatever `done` reports has been fsynced. Reads run in
    worker threads. When the disk fails, the log is not `available` until the file
    could be opened and written again, which is tried by itself after pauses from the
    first to the second of `retry_s`. It seals itself as `seals` says; None: never.
    With a `keyring`, events whose context names an owner, and all snapshots, are
    encrypted; a log in which any event is has to be opened with it ever after. With
    `retention` it archives by itself what ended long ago.

    Entering raises `LogLockedError`, `LogFormatError`, `LogDamagedError`,
    `KeyMissingError` when the keyring is not the log's, or `LogUnavailableError` when
    the disk does not let the file be opened.
    """

    def __init__(  # noqa: PLR0913 - options by name, each with its default
        self,
        path: Path | str,
        registry: Registry,
        *,
        node: str = "",
        unwritten_max: int = UNWRITTEN_MAX,
        now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
        retry_s: tuple[float, float] = RETRY_S,
        seals: SealPolicy | None = SEALS,
        keyring: Keyring | None = None,
        retention: RetentionPolicy | None = None,
        connection: type[sqlite3.Connection] = sqlite3.Connection,
    ) -> None:
        self.path = Path(path)
        self._file = SqliteEngine(self.path, node, now_us, connection)
        super().__init__(
            registry,
            engine=KeyedEngine(self._file, keyring),
            reader=lambda registry: LogReader(self.path, registry, keyring),
            node=node,
            unwritten_max=unwritten_max,
            now_us=now_us,
            retry_s=retry_s,
            seals=seals,
        )
        self.archiving = asyncio.Lock()
        """Held by whoever archives: one at a time."""
        self._retention: Retention | None = None
        if retention is not None:
            self._retention = Retention(self, retention, now_us)

    async def __aenter__(self) -> Self:
        """Lock and open the log, or make it, and look after it from then on."""
        await super().__aenter__()
        if self._retention is not None:
            self._retention.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write and seal what is queued, refuse whatever comes later, close the log."""
        if self._retention is not None:
            await self._retention.close()
        await super().__aexit__(kind, error, trace)

    def look(self) -> FileStore:
        """Open the file for a survey. Blocking."""
        return FileStore(self.path)

    async def others(self) -> tuple[str, ...]:
        """Return nobody: one process writes a file."""
        return ()

    def remove(self, removal: Removal) -> None:
        """Queue an append with the removal of the rows that it says are archived."""
        if self.available:
            self._file.removals.append(removal)
        context = Context(at_us=self._now_us())
        self.submit([removal.append], context, removal.done)


class SqliteEngine:
    """The file, its lock and the one connection that writes it."""

    def __init__(
        self,
        path: Path,
        node: str,
        now_us: Callable[[], int],
        connection: type[sqlite3.Connection],
    ) -> None:
        self.name = str(path)
        self.lull = Lull()
        self._path = path
        self._node = node
        self._now_us = now_us
        self._connection = connection
        self._lock = WriterLock(path)
        self._db: sqlite3.Connection | None = None
        self.removals: deque[Removal] = deque()
        """Of archived events; the loop adds them before it submits their appends."""

    def lock(self) -> None:
        """Lock the file against other processes. Raises `LogLockedError`."""
        self._lock.acquire()

    def unlock(self) -> None:
        """Let the next process in."""
        self._lock.release()

    def open(self, acknowledged: int | None) -> SqliteCommitter:
        """Open the file, make sure that what it holds is durable, begin an epoch."""
        self.removals.clear()  # they were refused with their appends
        self._db = open_for_writing(self._path, acknowledged, self._connection)
        return SqliteCommitter(
            self._db,
            self._path,
            self._node,
            self._now_us,
            removals=self.removals,
            lull=self.lull,
        )

    def close(self) -> None:
        """Close the connection, as a failed fsync demands."""
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None

    def opening_error(self, error: Exception) -> Exception:
        """Return what to tell about a file that could not be opened."""
        return opening_error(self._path, error)
