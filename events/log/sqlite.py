"""The log in one SQLite file."""

import contextlib
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Self

from anyio.to_thread import run_sync

from ..registry import Registry
from .archive import SegmentFolder
from .archive.removal import Removals
from .archive.retention import RetentionPolicy
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
        self.folder: SegmentFolder | None = SegmentFolder(self.path)
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
            retention=retention,
        )

    async def __aenter__(self) -> Self:
        """Lock and open the log, or make it; nothing blocks the loop."""
        self.path = await run_sync(self.path.absolute)  # the process may go elsewhere
        self.folder = SegmentFolder(self.path)
        self._file.at(self.path)
        return await super().__aenter__()

    def look(self) -> FileStore:
        """Open the file for a survey. Blocking."""
        return FileStore(self.path)

    async def others(self) -> tuple[str, ...]:
        """Return nobody: one process writes a file."""
        return ()


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
        self._node = node
        self._now_us = now_us
        self._connection = connection
        self.at(path)
        self._db: sqlite3.Connection | None = None
        self.removals: Removals = deque()

    def at(self, path: Path) -> None:
        """Say where the file is; it is not open."""
        self._path = path
        self._lock = WriterLock(path)

    def lock(self) -> None:
        """Lock the file against other processes. Raises `LogLockedError`."""
        self._lock.acquire()

    def unlock(self) -> None:
        """Let the next process in."""
        self._lock.release()

    def open(self, acknowledged: int | None) -> SqliteCommitter:
        """Open the file, make sure that what it holds is durable, begin an epoch."""
        self._lock.acquire()
        self.removals.clear()  # they were refused with their appends
        self._db = open_for_writing(self._path, acknowledged, self._connection)
        return SqliteCommitter(
            self._db,
            self._path,
            self._node,
            self._now_us,
            removals=self.removals,
            lull=self.lull,
            lock=self._lock,
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
