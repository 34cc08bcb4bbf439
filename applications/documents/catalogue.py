"""The catalogue: one row per document that is in the graph, in SQLite."""

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import msgspec
from anyio.to_thread import run_sync

from ...actors.retries import TransientError
from ...actors.transactions.steps.sql import Database, SqlStep
from .errors import DocumentError

STEP = "documents.catalogue"
"""The name under which the step is registered."""

_TABLE = (
    "CREATE TABLE IF NOT EXISTS documents(key TEXT PRIMARY KEY, kind TEXT NOT NULL, "
    "title TEXT NOT NULL, distribution TEXT NOT NULL, path TEXT NOT NULL, "
    "content TEXT NOT NULL, content_bytes INTEGER NOT NULL, "
    "characters INTEGER NOT NULL, mentions INTEGER NOT NULL) STRICT"
)


class CatalogueError(DocumentError, TransientError):
    """The catalogue cannot be opened now; trying again later may help."""

    def __init__(self, message: str) -> None:
        TransientError.__init__(self, message)


class CatalogueEntry(msgspec.Struct, frozen=True, gc=False):
    """A document as it stands in the catalogue."""

    key: str
    kind: str
    title: str
    distribution: str
    path: str
    content: str
    """The digest of the document's bytes."""
    content_bytes: int
    characters: int
    mentions: int


class Replaced(msgspec.Struct, frozen=True, gc=False):
    """What a step found in the place of its entry."""

    earlier: CatalogueEntry | None


class Catalogue:
    """The table of documents, and the step by which transactions change it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.step = SqlStep(STEP, CatalogueEntry, database, _put, _take_back)

    async def find(self, key: str) -> CatalogueEntry | None:
        """Return a document's entry."""
        return await run_sync(self._find, key)

    async def count(self) -> int:
        """Return how many documents are in the catalogue."""
        return await run_sync(self._count)

    async def keys(self) -> set[str]:
        """Return the keys of all documents."""
        return await run_sync(self._keys)

    def _keys(self) -> set[str]:
        with self._database.transaction() as connection:
            return {key for (key,) in connection.execute("SELECT key FROM documents")}

    def _find(self, key: str) -> CatalogueEntry | None:
        with self._database.transaction() as connection:
            return _get(connection, key)

    def _count(self) -> int:
        with self._database.transaction() as connection:
            found = connection.execute("SELECT count(*) FROM documents").fetchone()
        return int(found[0])


def _get(connection: sqlite3.Connection, key: str) -> CatalogueEntry | None:
    columns = ", ".join(CatalogueEntry.__struct_fields__)
    row = connection.execute(
        f"SELECT {columns} FROM documents WHERE key = ?",  # noqa: S608 - our own names
        (key,),
    ).fetchone()
    return None if row is None else CatalogueEntry(*row)


def _insert(connection: sqlite3.Connection, entry: CatalogueEntry) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        msgspec.structs.astuple(entry),
    )


def _put(connection: sqlite3.Connection, entry: CatalogueEntry) -> Replaced:
    replaced = Replaced(_get(connection, entry.key))
    _insert(connection, entry)
    return replaced


def _take_back(
    connection: sqlite3.Connection, entry: CatalogueEntry, result: msgspec.Raw
) -> None:
    """Put back what stood there, unless another has written since."""
    if _get(connection, entry.key) != entry:
        return
    earlier = msgspec.json.decode(result, type=Replaced).earlier
    if earlier is None:
        connection.execute("DELETE FROM documents WHERE key = ?", (entry.key,))
    else:
        _insert(connection, earlier)


@asynccontextmanager
async def open_catalogue(path: Path) -> AsyncGenerator[Catalogue, None]:
    """Open the catalogue, or create it. Raises `CatalogueError`."""
    database = Database(path)
    try:
        await run_sync(partial(_prepare, path, database))
        yield Catalogue(database)
    finally:
        with anyio.CancelScope(shield=True):
            await run_sync(database.close)


def _prepare(path: Path, database: Database) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with database.transaction() as connection:
            connection.execute(_TABLE)
    except sqlite3.Error as error:
        raise CatalogueError(
            f"the catalogue {path} failed ({error}): repair its disk, or restore it "
            "from a backup"
        ) from error
