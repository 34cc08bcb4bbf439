"""One document through all the work, and the way back."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from dramaturg.applications.documents.corpus import Source
from dramaturg.applications.documents.entities import Entities
from dramaturg.applications.documents.errors import (
    InvalidDocumentError,
    VerificationError,
)
from dramaturg.applications.documents.graph import LadybugGraph, open_graph
from dramaturg.applications.documents.index import TextIndex, open_index
from dramaturg.applications.documents.kinds import Kind
from dramaturg.applications.documents.manifest import Manifests
from dramaturg.applications.documents.workshop import Findings, Order, Text, Workshop
from dramaturg.events.log.artifacts import Artifact, ArtifactStore

from .making import METADATA, pdf, source, word

pytestmark = pytest.mark.asyncio


class Made:
    """A workshop, its stores, and all stages in one go."""

    def __init__(
        self, artifacts: ArtifactStore, graph: LadybugGraph, index: TextIndex
    ) -> None:
        self.artifacts = artifacts
        self.graph = graph
        self.index = index
        self.manifests = Manifests(artifacts.root.parent / "manifests")
        self.workshop = Workshop(artifacts, graph, index, self.manifests)

    async def order(self, document: Source, *names: str) -> Order:
        kept = await self.artifacts.put_bytes(msgspec.json.encode(names))
        return Order(document, kept)

    async def prepare(self, order: Order) -> tuple[Artifact, Text, Findings]:
        stored = await self.workshop.store(order.source)
        text = await self.workshop.extract(order.source, stored)
        findings = await self.workshop.find_entities(order, stored, text)
        return stored, text, findings

    async def ingest(self, order: Order, step: str) -> str:
        stored, text, findings = await self.prepare(order)
        document = self.workshop.graph_document(order.source, stored, findings)
        await self.graph.write(step, document)
        verified = await self.workshop.verify(order.source, text, findings)
        assert verified.graph == findings.artifact.digest
        return await self.workshop.finalise(
            order.source, stored, text, findings, verified
        )


@asynccontextmanager
async def workshop(folder: Path) -> AsyncGenerator[Made, None]:
    artifacts = ArtifactStore(folder / "artifacts")
    async with (
        open_graph(folder / "graph.lbug", artifacts) as graph,
        open_index(folder / "index.sqlite") as index,
    ):
        yield Made(artifacts, graph, index)


@pytest.mark.parametrize(
    ("kind", "contents", "words"),
    [
        ("text", b"A note on msgspec", "note"),
        ("pdf", pdf("A note on msgspec"), "note"),
        ("docx", word("A note on msgspec"), "note"),
        ("html", b"<p>A note on msgspec", "note"),
        ("metadata", METADATA.encode(), "letters arrive"),
        ("docstrings", b'"""A note on msgspec"""', "note"),
    ],
)
async def test_a_document_goes_all_the_way(
    tmp_path: Path, kind: Kind, contents: bytes, words: str
) -> None:
    (tmp_path / "a").write_bytes(contents)
    document = source(tmp_path / "a", kind)
    async with workshop(tmp_path) as made:
        await made.ingest(await made.order(document, "msgspec"), "t#0")

        standing = await made.graph.read(document.key)
        assert standing is not None
        assert "msgspec" in {mention.name for mention in standing.mentions}
        assert (standing.described is not None) == (kind == "metadata")
        assert [hit.key for hit in await made.index.find(words)] == [document.key]
        manifest = await made.manifests.read(document.key)
        assert manifest is not None
        assert manifest.submission == document.submission
        assert made.workshop.manifest_path(document).exists()
        for digest in (manifest.source, manifest.text, manifest.entities):
            assert await made.artifacts.read(Artifact(digest, 0)) is not None


async def test_equal_documents_share_what_is_stored(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text("The very same words")
    async with workshop(tmp_path) as made:
        for name in ("a.txt", "b.txt"):
            await made.ingest(await made.order(source(tmp_path / name)), f"{name}#0")

        assert await made.index.count() == 2
    stored = [p for p in (tmp_path / "artifacts").rglob("*") if p.is_file()]
    assert len(stored) == 3  # names, source which is also the text, entities


async def test_what_is_not_in_the_graph_is_not_verified(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A note on msgspec and anyio")
    document = source(tmp_path / "a.txt")
    async with workshop(tmp_path) as made:
        stored, text, findings = await made.prepare(
            await made.order(document, "msgspec", "anyio")
        )
        with pytest.raises(VerificationError, match="holds nothing of its 2 mentions"):
            await made.workshop.verify(document, text, findings)

        empty = await made.artifacts.put_bytes(msgspec.json.encode(Entities(())))
        other = made.workshop.graph_document(document, stored, Findings(empty, 0))
        await made.graph.write("t#0", other)
        with pytest.raises(VerificationError, match="holds 0 of its 2 mentions"):
            await made.workshop.verify(document, text, findings)
        assert await made.index.count() == 0


async def test_an_index_that_forgets_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forget(*_: object) -> None:
        return None

    (tmp_path / "a.txt").write_text("A note")
    async with workshop(tmp_path) as made:
        monkeypatch.setattr(made.index, "put", forget)
        with pytest.raises(VerificationError, match="index does not hold"):
            await made.ingest(await made.order(source(tmp_path / "a.txt")), "t#0")


async def test_the_way_back_leaves_no_trace(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A note")
    document = source(tmp_path / "a.txt")
    async with workshop(tmp_path) as made:
        order = await made.order(document)
        await made.ingest(order, "t#0")

        await made.workshop.withdraw(document)
        await made.workshop.unindex(document)

        assert await made.manifests.read(document.key) is None
        assert await made.index.count() == 0


async def test_the_way_back_of_a_new_version_leads_to_the_old_one(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.txt"
    async with workshop(tmp_path) as made:
        for version in ("1", "2"):
            path.write_text(f"version-{version}")
            changed = msgspec.structs.replace(source(path), fingerprint=version)
            await made.ingest(await made.order(changed), f"{version}#0")
            document = changed

        await made.workshop.withdraw(document)
        await made.workshop.unindex(document)

        manifest = await made.manifests.read(document.key)
        assert manifest is not None
        assert manifest.submission.endswith("@1")
        found = await made.index.get(document.key)
        assert found is not None
        assert found[1] == "version-1"


async def test_a_damaged_document_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(pdf()[:100])
    async with workshop(tmp_path) as made:
        order = await made.order(source(tmp_path / "a.pdf", "pdf"))
        with pytest.raises(InvalidDocumentError, match=r"a\.pdf: is a damaged PDF"):
            await made.prepare(order)
