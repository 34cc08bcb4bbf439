"""The full-text index: every document once, found by its words."""

import sqlite3
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import msgspec

from ...actors.retries import TransientError
from .dedicated_thread import DedicatedThread
from .errors import DocumentError

BUSY_TIMEOUT_S = 5.0
HITS_MAX = 1000

_TABLES = (
    (
        "CREATE TABLE IF NOT EXISTS documents(id INTEGER PRIMARY KEY, "
        "key TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, title TEXT NOT NULL, "
        "text TEXT NOT NULL) STRICT"
    ),
    (
        "CREATE VIRTUAL TABLE IF NOT EXISTS texts USING fts5(title, body, "
        "tokenize = 'unicode61 remove_diacritics 2')"
    ),
)


class IndexUnavailableError(DocumentError, TransientError):
    """The index cannot be written or read now; trying again later may help."""

    def __init__(self, message: str) -> None:
        TransientError.__init__(self, message)


class Indexed(msgspec.Struct, frozen=True, gc=False):
    """A document as the index knows it."""

    key: str
    kind: str
    title: str
    text: str
    """The digest of the text that is indexed."""


class Hit(msgspec.Struct, frozen=True, gc=False):
    """A document that holds the words that were asked for."""

    key: str
    kind: str
    title: str
    snippet: str
    """Where the words stand, each in square brackets."""


class TextIndex:
    """A full-text index in one SQLite file, by one connection in one thread."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, thread: DedicatedThread
    ) -> None:
        self._path = path
        self._connection = connection
        self._thread = thread

    async def put(self, document: Indexed, body: str) -> None:
        """Index a document in place of an earlier version of it.

        Doing it again changes nothing. Raises `IndexUnavailableError`.
        """
        await self._thread.run(self._put, document, body)

    async def remove(self, key: str) -> None:
        """Take a document out of the index; it need not be there."""
        await self._thread.run(self._remove, key)

    async def get(self, key: str) -> tuple[Indexed, str] | None:
        """Return what is indexed of a document, and the text itself."""
        return await self._thread.run(self._get, key)

    async def count(self) -> int:
        """Return how many documents are indexed."""
        return await self._thread.run(self._count)

    async def find(self, words: str, *, hits_max: int = 20) -> tuple[Hit, ...]:
        """Return the documents with all these words, the best first."""
        return await self._thread.run(self._find, words, min(hits_max, HITS_MAX))

    @contextmanager
    def _transaction(self, begin: str = "BEGIN IMMEDIATE") -> Generator[None]:
        try:
            self._connection.execute(begin)
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise _translated(self._path, error) from error
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _put(self, document: Indexed, body: str) -> None:
        with self._transaction():
            row = msgspec.structs.astuple(document)
            found = self._connection.execute(
                "SELECT id, key, kind, title, text FROM documents WHERE key = ?",
                (document.key,),
            ).fetchone()
            if found is not None and found[1:] == row:
                return
            if found is not None:
                self._delete(found[0])
            new = self._connection.execute(
                "INSERT INTO documents(key, kind, title, text) VALUES (?, ?, ?, ?)", row
            )
            self._connection.execute(
                "INSERT INTO texts(rowid, title, body) VALUES (?, ?, ?)",
                (new.lastrowid, document.title, body),
            )

    def _remove(self, key: str) -> None:
        with self._transaction():
            found = self._connection.execute(
                "SELECT id FROM documents WHERE key = ?", (key,)
            ).fetchone()
            if found is not None:
                self._delete(found[0])

    def _delete(self, number: int) -> None:
        self._connection.execute("DELETE FROM documents WHERE id = ?", (number,))
        self._connection.execute("DELETE FROM texts WHERE rowid = ?", (number,))

    def _get(self, key: str) -> tuple[Indexed, str] | None:
        with self._transaction("BEGIN"):
            found = self._connection.execute(
                "SELECT key, kind, documents.title, text, body FROM documents "
                "JOIN texts ON texts.rowid = documents.id WHERE key = ?",
                (key,),
            ).fetchone()
        return None if found is None else (Indexed(*found[:4]), found[4])

    def _count(self) -> int:
        with self._transaction("BEGIN"):
            found = self._connection.execute(
                "SELECT count(*) FROM documents JOIN texts ON texts.rowid = id"
            ).fetchone()
        return int(found[0])

    def _find(self, words: str, hits_max: int) -> tuple[Hit, ...]:
        terms = " ".join('"' + word.replace('"', '""') + '"' for word in words.split())
        if not terms:
            return ()
        with self._transaction("BEGIN"):
            found = self._connection.execute(
                "SELECT key, kind, documents.title, "
                "snippet(texts, 1, '[', ']', ' ... ', 16) FROM texts "
                "JOIN documents ON documents.id = texts.rowid "
                "WHERE texts MATCH ? ORDER BY rank, key LIMIT ?",
                (terms, hits_max),
            ).fetchall()
        return tuple(Hit(*row) for row in found)


def _translated(path: Path, error: sqlite3.Error) -> IndexUnavailableError:
    return IndexUnavailableError(
        f"the index {path} failed ({error}): repair its disk, or remove the file to "
        "have it built anew"
    )


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        for table in _TABLES:
            connection.execute(table)
    except sqlite3.Error as error:
        connection.close()
        raise _translated(path, error) from error
    return connection


@asynccontextmanager
async def open_index(path: Path) -> AsyncGenerator[TextIndex, None]:
    """Open the index, or create it. Raises `IndexUnavailableError`."""
    thread = DedicatedThread("the index")
    try:
        connection = await thread.run(_connect, path)
        try:
            yield TextIndex(path, connection, thread)
        finally:
            await thread.finish(connection.close)
    finally:
        await thread.close()
