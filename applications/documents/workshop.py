"""The stages' work on one document, each step from artifacts to artifacts."""

import hashlib
from functools import partial
from pathlib import Path

import msgspec
from anyio.to_thread import run_sync

from ...events.log.artifacts import Artifact, ArtifactStore
from .corpus import Source
from .entities import Entities, find
from .errors import VerificationError
from .extract import extract
from .gazetteer import Gazetteer
from .graph import Graph, GraphDocument
from .index import Indexed, TextIndex
from .intake import SIZE_BYTES_MAX, take_in
from .manifest import Manifest, Manifests
from .metadata import read_metadata


class Order(msgspec.Struct, frozen=True, gc=False):
    """What is submitted: a document, and the names that are looked for in it."""

    source: Source
    names: Artifact
    """A JSON list of distributions' names: the same for the whole corpus, and kept, so
    that the entities are the same whenever they are looked for."""


class Text(msgspec.Struct, frozen=True, gc=False):
    """The text of a document, in UTF-8."""

    artifact: Artifact
    characters: int
    encoding: str
    """The encoding that the document was in."""


class Findings(msgspec.Struct, frozen=True, gc=False):
    """The entities of a document, as JSON."""

    artifact: Artifact
    mentions: int
    describes: str = ""
    """The distribution that the document describes."""


class Verified(msgspec.Struct, frozen=True, gc=False):
    """What was read back from the graph, and the text that is indexed."""

    graph: str
    """The digest of the entities that were read back."""
    text: str


class Workshop:
    """Where documents are worked on: the stores that the stages share."""

    def __init__(
        self,
        artifacts: ArtifactStore,
        graph: Graph,
        index: TextIndex,
        manifests: Manifests,
        *,
        size_bytes_max: int = SIZE_BYTES_MAX,
    ) -> None:
        self._artifacts = artifacts
        self._graph = graph
        self._index = index
        self._manifests = manifests
        self._size_bytes_max = size_bytes_max
        self._gazetteer: tuple[str, Gazetteer] = ("", Gazetteer(()))
        """The last one that was needed, by the digest of its names."""

    async def store(self, source: Source) -> Artifact:
        """Check a document and keep a copy. Raises `InvalidDocumentError`."""
        return await take_in(
            source, self._artifacts, size_bytes_max=self._size_bytes_max
        )

    async def extract(self, source: Source, stored: Artifact) -> Text:
        """Find the text of the stored copy. Raises `InvalidDocumentError`."""
        data = await self._artifacts.read(stored)
        found = await run_sync(  # a parser may take for ever, and nobody need wait
            extract, source.kind, data, source.title, abandon_on_cancel=True
        )
        text = found.text.encode("utf-8", "replace")
        artifact = await self._artifacts.put_bytes(text, name=source.title)
        return Text(artifact, len(found.text), found.encoding)

    async def find_entities(
        self, order: Order, stored: Artifact, text: Text
    ) -> Findings:
        """Find what the text says, and in METADATA also what its fields say."""
        source = order.source
        gazetteer = await self._gazetteer_of(order.names)
        body = (await self._artifacts.read(text.artifact)).decode()
        metadata = None
        if source.kind == "metadata":
            metadata = read_metadata(await self._artifacts.read(stored), source.title)
        search = partial(
            find, body, gazetteer, metadata=metadata, belongs_to=source.distribution
        )
        entities = await run_sync(search, abandon_on_cancel=True)
        artifact = await self._artifacts.put_bytes(
            msgspec.json.encode(entities), name=f"the entities of {source.title}"
        )
        described = entities.described.name if entities.described else ""
        return Findings(artifact, len(entities.mentions), described)

    def graph_document(
        self, source: Source, stored: Artifact, findings: Findings
    ) -> GraphDocument:
        """Return what is to be put into the graph."""
        return GraphDocument(
            key=source.key,
            kind=source.kind,
            title=source.title,
            content=stored.digest,
            entities=findings.artifact,
        )

    async def verify(self, source: Source, text: Text, findings: Findings) -> Verified:
        """Compare the graph with what was to be written, and index the text.

        Raises `VerificationError` when they differ.
        """
        wanted = await self._artifacts.read(findings.artifact)
        standing = await self._graph.read(source.key)
        if standing is None or msgspec.json.encode(standing) != wanted:
            entities = msgspec.json.decode(wanted, type=Entities)
            raise VerificationError(
                f"{source.title}: the graph holds "
                + ("nothing" if standing is None else f"{len(standing.mentions)}")
                + f" of its {len(entities.mentions)} mentions: the document is put "
                "into the graph again when it is redriven"
            )
        body = (await self._artifacts.read(text.artifact)).decode()
        indexed = Indexed(source.key, source.kind, source.title, text.artifact.digest)
        await self._index.put(indexed, body)
        if await self._index.get(source.key) != (indexed, body):
            raise VerificationError(
                f"{source.title}: the index does not hold its text: it is indexed "
                "again when it is redriven"
            )
        digest = hashlib.sha256(msgspec.json.encode(standing)).hexdigest()
        return Verified(digest, indexed.text)

    async def unindex(self, source: Source) -> None:
        """Undo `verify`: index what the manifest speaks of, or nothing."""
        earlier = await self._manifests.read(source.key)
        if earlier is None:
            await self._index.remove(source.key)
            return
        await self._index_again(earlier)

    async def restore_index(self) -> None:
        """Index again what manifests speak of, if the index has lost any of it.

        A document is in the index before it has its manifest, and after it has none.
        """
        paths = await self._manifests.paths()
        if await self._index.count() >= len(paths):
            return
        for path in paths:
            manifest = await self._manifests.read_at(path)
            if manifest is not None:
                await self._index_again(manifest)

    async def _index_again(self, manifest: Manifest) -> None:
        body = await self._artifacts.read(Artifact(manifest.text, manifest.text_bytes))
        indexed = Indexed(manifest.key, manifest.kind, manifest.title, manifest.text)
        await self._index.put(indexed, body.decode())

    async def finalise(
        self,
        source: Source,
        stored: Artifact,
        text: Text,
        findings: Findings,
        verified: Verified,
    ) -> str:
        """Write the manifest and return its digest."""
        manifest = Manifest(
            key=source.key,
            submission=source.submission,
            title=source.title,
            kind=source.kind,
            source=stored.digest,
            source_bytes=stored.size_bytes,
            text=text.artifact.digest,
            text_bytes=text.artifact.size_bytes,
            text_characters=text.characters,
            entities=findings.artifact.digest,
            graph=verified.graph,
            mentions=findings.mentions,
        )
        return await self._manifests.write(manifest)

    async def withdraw(self, source: Source) -> None:
        """Undo `finalise`: the manifest is what it was before."""
        await self._manifests.withdraw(source.key, source.submission)

    def manifest_path(self, source: Source) -> Path:
        """Return where the manifest of a document is."""
        return self._manifests.path(source.key)

    async def _gazetteer_of(self, names: Artifact) -> Gazetteer:
        digest, gazetteer = self._gazetteer
        if digest != names.digest:
            data = await self._artifacts.read(names)
            gazetteer = Gazetteer(msgspec.json.decode(data, type=list[str]))
            self._gazetteer = (names.digest, gazetteer)
        return gazetteer
