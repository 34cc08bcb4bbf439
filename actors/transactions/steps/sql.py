"""Steps in an SQLite database, fenced and made once inside its own transactions."""

import sqlite3
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

import msgspec
from anyio.to_thread import run_sync

from ....events.transactions import InDoubt
from ..errors import FencedError
from ..news import Answered
from ..step import Call, Nothing, Step

A = TypeVar("A", bound=msgspec.Struct)

_FENCES = """
CREATE TABLE IF NOT EXISTS dramaturg_fences (
    key TEXT PRIMARY KEY,
    undone INTEGER NOT NULL,
    result BLOB NOT NULL
) WITHOUT ROWID
"""


class Database:
    """An SQLite file that steps write to; one connection, used by a thread at a time.

    The table `dramaturg_fences` is kept in it: a row says that the step with this
    key has happened, with its result, or was taken back and must not happen.
    """

    def __init__(self, path: Path | str, *, busy_timeout_s: float = 10.0) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None

    @contextmanager
    def transaction(self) -> Generator[sqlite3.Connection, None, None]:
        """Open a transaction that is committed at the end, or rolled back."""
        with self._lock:
            connection = self._connected()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(
                self._path,
                timeout=self._busy_timeout_s,
                isolation_level=None,
                check_same_thread=False,
            )
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.execute(_FENCES)
        return self._connection

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


Apply = Callable[[sqlite3.Connection, A], object]
"""Makes the effect inside an open transaction; returns something JSON can hold."""
Undo = Callable[[sqlite3.Connection, A, msgspec.Raw], None]
"""Takes the effect back inside an open transaction, given the result it had."""


class SqlStep(Step[A, Nothing], Generic[A]):
    """Changes a database, once per key however often it is tried.

    `apply` and `undo` are plain functions that run in a thread inside a transaction
    which also holds the fence, so that an attempt that hung and commits late finds
    its key taken or fenced off. `undo` is called only if `apply` was committed.
    """

    undo = Nothing

    def __init__(  # noqa: PLR0913 - the parts of a step
        self,
        name: str,
        arguments: type[A],
        database: Database,
        apply: Apply[A],
        undo: Undo[A],
        *,
        in_doubt: InDoubt = "redo",
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.in_doubt = in_doubt
        self._database = database
        self._apply = apply
        self._undo = undo

    async def prepare(self, args: A, call: Call) -> Nothing:
        """Need nothing: the result is kept in the database beside the effect."""
        del args, call
        return Nothing()

    async def run(self, args: A, undo: Nothing, call: Call) -> msgspec.Raw:
        """Apply the change. Raises `FencedError` if it comes too late."""
        del undo
        return await run_sync(self._run, args, call.key, abandon_on_cancel=True)

    def _run(self, args: A, key: str) -> msgspec.Raw:
        with self._database.transaction() as connection:
            row = _fence(connection, key)
            if row is not None:
                undone, kept = row
                if undone:
                    raise FencedError(key)
                return msgspec.Raw(kept)
            result = msgspec.json.encode(self._apply(connection, args))
            connection.execute(
                "INSERT INTO dramaturg_fences VALUES (?, 0, ?)", (key, result)
            )
        return msgspec.Raw(result)

    async def compensate(self, args: A, undo: Nothing, call: Call) -> None:
        """Take the change back, if it was made, and fence it off for good."""
        del undo
        await run_sync(self._compensate, args, call.key, abandon_on_cancel=True)

    def _compensate(self, args: A, key: str) -> None:
        with self._database.transaction() as connection:
            row = _fence(connection, key)
            if row is not None and not row[0]:
                self._undo(connection, args, msgspec.Raw(row[1]))
            connection.execute(
                "INSERT OR REPLACE INTO dramaturg_fences VALUES (?, 1, ?)",
                (key, b"null"),
            )

    async def query(self, args: A, undo: Nothing, call: Call) -> Answered:
        """Look whether the change was committed."""
        del args, undo
        row = await run_sync(self._look, call.key, abandon_on_cancel=True)
        if row is None:
            return Answered(call.step, "absent")
        undone, kept = row
        return Answered(call.step, "unknown" if undone else "done", msgspec.Raw(kept))

    def _look(self, key: str) -> tuple[int, bytes] | None:
        with self._database.transaction() as connection:
            return _fence(connection, key)


def _fence(connection: sqlite3.Connection, key: str) -> tuple[int, bytes] | None:
    row: tuple[int, bytes] | None = connection.execute(
        "SELECT undone, result FROM dramaturg_fences WHERE key = ?", (key,)
    ).fetchone()
    return row
