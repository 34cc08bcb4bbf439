"""The graph of what documents say: one transaction per document, one writing thread."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from ...actors.transactions import FencedError
from ...events.log.artifacts import Artifact, ArtifactStore
from .dedicated_thread import DedicatedThread
from .entities import Entities
from .graph_connection import GraphConnection, Parameters, Rows
from .graph_rows import read_entities, remove, write_entities
from .schema import TABLES

Found = Literal["done", "absent", "unknown"]
NOTHING = msgspec.Raw(b"null")


class GraphDocument(msgspec.Struct, frozen=True, gc=False):
    """A document as it stands in the graph, what it says being an artifact."""

    key: str
    kind: str
    title: str
    content: str
    """The digest of the document's bytes."""
    entities: Artifact


class Standing(msgspec.Struct, frozen=True, gc=False):
    """A document that stands in the graph, and the step that put it there."""

    document: GraphDocument
    step: str


class Graph(Protocol):
    """What stage 4 needs of a graph, each change being one transaction in it.

    `key` is the key of a transaction's step. Raises `GraphUnavailableError`.
    """

    async def write(self, key: str, change: GraphDocument) -> msgspec.Raw:
        """Put a document in place of an earlier version, and return its entities' digest.

        Doing it again changes nothing. Raises `FencedError` for a step that was taken
        back.
        """
        ...

    async def undo(self, key: str, change: GraphDocument) -> None:
        """Put back what stood there before the step, and fence it off, in one go.

        A document that another step has written since is left alone.
        """
        ...

    async def look(self, key: str) -> tuple[Found, msgspec.Raw]:
        """Tell whether a step has happened; of one that was fenced: `unknown`."""
        ...

    async def read(self, key: str) -> Entities | None:
        """Read back what the document `key` says, from nodes and edges. None: nothing."""
        ...


class LadybugGraph:
    """The graph in one ladybug database, by one connection in one thread."""

    def __init__(
        self,
        connection: GraphConnection,
        thread: DedicatedThread,
        artifacts: ArtifactStore,
    ) -> None:
        self._connection = connection
        self._thread = thread
        self._artifacts = artifacts

    async def write(self, key: str, change: GraphDocument) -> msgspec.Raw:
        """See `Graph.write`."""
        entities = await self._load(change)
        await self._thread.run(self._write, key, change, entities)
        return _result(change)

    async def undo(self, key: str, change: GraphDocument) -> None:
        """See `Graph.undo`."""
        previous = await self._thread.run(self._previous, key)
        entities = await self._load(previous.document) if previous else None
        await self._thread.run(self._undo, key, change.key, previous, entities)

    async def look(self, key: str) -> tuple[Found, msgspec.Raw]:
        """See `Graph.look`."""
        return await self._thread.run(self._look, key)

    async def find(self, key: str) -> Standing | None:
        """Return the document `key` as it stands."""
        return await self._thread.run(self._find, key)

    async def read(self, key: str) -> Entities | None:
        """See `Graph.read`."""
        return await self._thread.run(read_entities, self._connection, key)

    async def keys(self) -> set[str]:
        """Return the keys of all documents."""
        found = await self.query("MATCH (d:Document) RETURN d.key", rows_max=10**9)
        return {key for (key,) in found.rows}

    def require_alive(self) -> None:
        """Raise `ThreadHungError` when the database does not come back from a call."""
        self._thread.require_alive()

    async def query(
        self, cypher: str, parameters: Parameters | None = None, *, rows_max: int
    ) -> Rows:
        """Run one statement and return at most `rows_max` of its rows."""
        return await self._thread.run(
            self._connection.query, cypher, parameters, rows_max=rows_max
        )

    async def _load(self, document: GraphDocument) -> Entities:
        data = await self._artifacts.read(document.entities)
        return msgspec.json.decode(data, type=Entities)

    def _write(self, key: str, change: GraphDocument, entities: Entities) -> None:
        with self._connection.transaction():
            step = self._step(key)
            if step is not None:
                undone, _ = step
                if undone:
                    raise FencedError(key)
                return
            previous = self._find(change.key)
            self._connection.run(
                "CREATE (:Step {key: $key, document: $document, undone: false, "
                "previous: $previous})",
                {
                    "key": key,
                    "document": change.key,
                    "previous": msgspec.json.encode(previous).decode(),
                },
            )
            self._put(change, entities, key)

    def _undo(
        self,
        key: str,
        document: str,
        previous: Standing | None,
        entities: Entities | None,
    ) -> None:
        with self._connection.transaction():
            self._connection.run(
                "MERGE (s:Step {key: $key}) SET s.document = $document, "
                "s.undone = true, s.previous = 'null'",
                {"key": key, "document": document},
            )
            standing = self._find(document)
            if standing is None or standing.step != key:
                return
            if previous is None or entities is None:
                remove(self._connection, document)
            else:
                self._put(previous.document, entities, previous.step)

    def _look(self, key: str) -> tuple[Found, msgspec.Raw]:
        step = self._step(key)
        if step is None:
            return "absent", NOTHING
        undone, document = step
        if undone:
            return "unknown", NOTHING
        standing = self._find(document)
        return "done", _result(standing.document) if standing else NOTHING

    def _put(self, document: GraphDocument, entities: Entities, step: str) -> None:
        remove(self._connection, document.key)
        self._connection.run(
            "CREATE (:Document {key: $key, kind: $kind, title: $title, "
            "content: $content, entities: $entities, "
            "entities_bytes: $entities_bytes, step: $step})",
            {
                "key": document.key,
                "kind": document.kind,
                "title": document.title,
                "content": document.content,
                "entities": document.entities.digest,
                "entities_bytes": document.entities.size_bytes,
                "step": step,
            },
        )
        write_entities(self._connection, document.key, entities)

    def _step(self, key: str) -> tuple[bool, str] | None:
        found = self._connection.run(
            "MATCH (s:Step {key: $key}) RETURN s.undone, s.document", {"key": key}
        )
        return (found[0][0], found[0][1]) if found else None

    def _previous(self, key: str) -> Standing | None:
        found = self._connection.run(
            "MATCH (s:Step {key: $key}) RETURN s.previous", {"key": key}
        )
        if not found:
            return None
        return msgspec.json.decode(found[0][0], type=Standing | None)

    def _find(self, key: str) -> Standing | None:
        found = self._connection.run(
            "MATCH (d:Document {key: $key}) RETURN d.kind, d.title, d.content, "
            "d.entities, d.entities_bytes, d.step",
            {"key": key},
        )
        if not found:
            return None
        kind, title, content, digest, size_bytes, step = found[0]
        entities = Artifact(digest, size_bytes)
        return Standing(GraphDocument(key, kind, title, content, entities), step)


def _result(document: GraphDocument) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(document.entities.digest))


@asynccontextmanager
async def open_graph(
    path: Path, artifacts: ArtifactStore, *, statement_timeout_s: float = 30.0
) -> AsyncGenerator[LadybugGraph, None]:
    """Open the graph for writing, or create it; one process at a time may.

    After a crash the database replays its own log. Fences of earlier processes are
    dropped: no call of theirs can come late any more.

    Raises `GraphUnavailableError` when another process has it, `GraphError` when the
    file is no graph.
    """
    thread = DedicatedThread("the graph")
    try:
        connection = await thread.run(
            GraphConnection, path, statement_timeout_s=statement_timeout_s
        )
        try:
            await thread.run(_prepare, connection)
            yield LadybugGraph(connection, thread, artifacts)
        finally:
            await thread.finish(connection.close)
    finally:
        await thread.close()


def _prepare(connection: GraphConnection) -> None:
    for table in TABLES:
        connection.run(table)
    connection.run("MATCH (s:Step) WHERE s.undone DELETE s")
