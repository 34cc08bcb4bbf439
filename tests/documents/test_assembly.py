"""The whole pipeline, over real documents, bad ones, a bad graph and a restart."""

import asyncio
from collections import Counter
from pathlib import Path

import anyio
import msgspec
import pytest
from anyio.to_thread import run_sync

from dramaturg.actors.breakers import Breaker, BreakerConfig, Clocks
from dramaturg.actors.retries import PermanentError
from dramaturg.applications.documents import (
    Corpus,
    DocumentSettings,
    from_paths,
    open_documents,
    open_for_questions,
)
from dramaturg.applications.documents import job as job_module
from dramaturg.applications.documents.assembly import gate_of
from dramaturg.applications.documents.errors import GraphError
from dramaturg.applications.documents.graph import open_graph
from dramaturg.applications.documents.graph_connection import torn_wal
from dramaturg.applications.documents.job import Summary
from dramaturg.applications.documents.settings import BREAKER, Layout
from dramaturg.events import vocabulary
from dramaturg.events.log import LogLockedError
from dramaturg.events.log.artifacts import ArtifactStore
from dramaturg.events.log.memory import MemoryLog

from .making import pdf, word

pytestmark = pytest.mark.asyncio

QUICK = DocumentSettings(redrive_s=0.1, cooldown_s=0.05)
GOOD = {
    "a.txt": b"A note on msgspec 0.18",
    "b.md": b"# A heading\n\nabout `rich`",
    "c.rst": b"Title\n=====\n",
    "d.html": b"<p>Hello</p>",
    "e.pdf": pdf("A paper"),
    "f.docx": word("A letter"),
}


def corpus(folder: Path, files: dict[str, bytes]) -> Corpus:
    folder.mkdir(exist_ok=True)
    for name, contents in files.items():
        (folder / name).write_bytes(contents)
    return from_paths([folder])


async def made(folder: Path, files: dict[str, bytes]) -> Corpus:
    return await run_sync(corpus, folder, files)


async def run(
    data: Path, documents: Corpus, settings: DocumentSettings = QUICK
) -> Summary:
    async with open_documents(data, settings) as job:
        return await job.ingest(documents)


async def in_graph(data: Path) -> Counter[str]:
    async with open_for_questions(Layout(data).graph) as graph:
        found = await graph.ask_cypher("MATCH (d:Document) RETURN d.title")
    return Counter(title for (title,) in found.rows)


async def test_documents_of_every_kind_are_ingested(tmp_path: Path) -> None:
    documents = await made(tmp_path / "in", GOOD)

    summary = await run(tmp_path / "var", documents)

    assert (summary.documents, summary.done, summary.failed) == (6, 6, ())
    assert (summary.indexed, summary.catalogued, summary.stuck) == (6, 6, 0)
    assert await in_graph(tmp_path / "var") == Counter(GOOD.keys())
    manifests = [
        p for p in Layout(tmp_path / "var").manifests.rglob("*") if p.is_file()
    ]
    assert len(manifests) == 6
    assert not [p for p in (tmp_path / "var").rglob("*temporary*") if p.is_file()]


async def test_what_is_done_is_not_done_again(tmp_path: Path) -> None:
    documents = await made(tmp_path / "in", GOOD)
    await run(tmp_path / "var", documents)
    more = await made(tmp_path / "in", {"g.txt": b"One more"})

    summary = await run(tmp_path / "var", more)

    assert (summary.known, summary.submitted, summary.done) == (6, 1, 1)
    assert (summary.indexed, summary.catalogued) == (7, 7)


async def test_a_changed_document_takes_the_place_of_its_earlier_version(
    tmp_path: Path,
) -> None:
    await run(tmp_path / "var", await made(tmp_path / "in", {"a.txt": b"first"}))

    changed = await made(tmp_path / "in", {"a.txt": b"second version"})
    async with open_documents(tmp_path / "var", QUICK) as job:
        summary = await job.ingest(changed)
        assert [hit.title for hit in await job.index.find("second")] == ["a.txt"]
        assert await job.index.find("first") == ()

    assert (summary.submitted, summary.indexed, summary.catalogued) == (1, 1, 1)
    assert await in_graph(tmp_path / "var") == Counter({"a.txt": 1})


async def test_bad_documents_are_dead_letters_and_the_others_finish(
    tmp_path: Path,
) -> None:
    bad = {
        "empty.txt": b"",
        "zero.pdf": b"",
        "damaged.pdf": pdf()[:200],
        "locked.pdf": pdf(locked_by="snail"),
        "damaged.docx": word("Hello")[:900],
        "wrong.txt": bytes(range(1, 32)) * 20,
        "gone.txt": b"x",
        "large.txt": b"x" * 2000,
    }
    documents = await made(tmp_path / "in", GOOD | bad)
    (tmp_path / "in" / "gone.txt").unlink()
    settings = DocumentSettings(redrive_s=0.1, size_bytes_max=40_000)
    await run_sync((tmp_path / "in" / "large.txt").write_bytes, b"x" * 40_001)

    summary = await run(tmp_path / "var", documents, settings)

    assert (summary.done, summary.indexed, summary.catalogued) == (6, 6, 6)
    reasons = {
        Path(failed.key.partition("@")[0]).name: failed for failed in summary.failed
    }
    assert set(reasons) == set(bad)
    assert {failed.error for failed in summary.failed} == {"InvalidDocumentError"}
    assert "is empty" in reasons["zero.pdf"].message
    assert "is a damaged PDF" in reasons["damaged.pdf"].message
    assert "is encrypted" in reasons["locked.pdf"].message
    assert "is a damaged DOCX" in reasons["damaged.docx"].message
    assert "holds no text" in reasons["wrong.txt"].message
    assert "is no longer at" in reasons["gone.txt"].message
    assert "40,001 bytes, over the limit" in reasons["large.txt"].message
    assert all("\n" not in failed.message for failed in summary.failed)


@pytest.mark.timeout(120)  # how much of it falls into bad times is not for us to say
async def test_everything_finishes_although_the_graph_fails_in_bursts(
    tmp_path: Path,
) -> None:
    files = {
        f"{number}.txt": f"Note {number} on msgspec".encode() for number in range(25)
    }
    documents = await made(tmp_path / "in", files)
    chaos = DocumentSettings(
        redrive_s=0.1,
        cooldown_s=0.05,
        graph_timeout_s=0.5,  # a busy machine takes its time, too
        chaos_rate=0.3,
        chaos_seed=3,
        chaos_burst_s=0.2,
    )

    async with open_documents(tmp_path / "var", chaos) as job:
        summary = await job.ingest(documents)
        progress = await job.progress()

    assert summary.failed == ()
    assert (summary.done, summary.indexed, summary.catalogued) == (25, 25, 25)
    stages = progress.pipeline.stages
    assert stages["populate"].failed + stages["verify"].failed > 0
    assert await in_graph(tmp_path / "var") == Counter(files.keys())


async def test_what_was_interrupted_goes_on(tmp_path: Path) -> None:
    files = {f"{number}.txt": b"Note %d" % number for number in range(30)}
    documents = await made(tmp_path / "in", files)
    few = msgspec.structs.replace(documents, sources=documents.sources[:5])
    with anyio.CancelScope() as scope:
        async with open_documents(tmp_path / "var", QUICK) as job:
            await job.ingest(few)
            await job.submit(documents)
            scope.cancel()
            await anyio.sleep_forever()

    summary = await run(tmp_path / "var", documents)

    assert (summary.known, summary.submitted) == (30, 0)
    assert summary.done > 0
    assert (summary.indexed, summary.catalogued) == (30, 30)
    assert await in_graph(tmp_path / "var") == Counter(files.keys())


async def test_what_a_failed_document_left_behind_is_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise PermanentError("the index is broken for good")

    documents = await made(tmp_path / "in", {"a.txt": b"A note"})
    async with open_documents(tmp_path / "var", QUICK) as job:
        with monkeypatch.context() as patch:
            patch.setattr(job.index, "put", fail)
            summary = await job.ingest(documents)

        (failed,) = summary.failed
        assert (failed.stage, failed.error) == ("verify", "PermanentError")
        assert (summary.indexed, summary.catalogued) == (0, 0)

    assert await in_graph(tmp_path / "var") == Counter()


async def test_a_graph_whose_log_was_torn_has_every_document_of_the_catalogue(
    tmp_path: Path,
) -> None:
    layout = Layout(tmp_path / "var")
    torn = torn_wal(layout.graph)
    await run(tmp_path / "var", await made(tmp_path / "in", {"a.txt": b"A note"}))
    await run_sync(torn.touch)
    async with open_documents(tmp_path / "var", QUICK):
        assert not await run_sync(torn.exists)

    async with open_graph(layout.graph, ArtifactStore(layout.artifacts)) as graph:
        await graph.query("MATCH (d:Document) DETACH DELETE d", rows_max=1)
    await run_sync(torn.touch)
    for _ in range(2):  # until somebody has done something about it
        with pytest.raises(
            GraphError, match=r"1 documents are gone from .*graph\.lbug"
        ):
            async with open_documents(tmp_path / "var", QUICK):
                pass


async def test_a_second_process_is_refused(tmp_path: Path) -> None:
    async with open_documents(tmp_path / "var", QUICK):
        with pytest.raises(LogLockedError):
            async with open_documents(tmp_path / "var", QUICK):
                pass


async def test_a_host_may_bring_its_own_log(tmp_path: Path) -> None:
    documents = await made(tmp_path / "in", {"a.txt": b"A note"})
    async with (
        MemoryLog(vocabulary()) as log,
        open_documents(tmp_path / "var", QUICK, log=log) as job,
    ):
        summary = await job.ingest(documents)

    assert summary.done == 1
    assert not Layout(tmp_path / "var").log.exists()


async def test_while_the_log_cannot_be_written_an_ingestion_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: asyncio.Queue[str] = asyncio.Queue()

    class Told:
        def warning(self, event: str, *, error: str) -> None:
            refused.put_nowait(f"{event}: {error}")

    monkeypatch.setattr(job_module, "_log", Told())
    documents = await made(tmp_path / "in", {"a.txt": b"A note", "b.txt": b"Another"})
    async with (
        MemoryLog(vocabulary()) as log,
        open_documents(tmp_path / "var", QUICK, log=log) as job,
    ):
        log.fail()
        ingestion = asyncio.ensure_future(job.ingest(documents))
        told = await refused.get()
        log.recover()
        await ingestion
        log.fail()  # the pipeline is rebuilt, and has ended nothing since
        log.recover()
        summary = await job.ingest(documents)

    assert told.startswith("documents.waiting: ")
    assert (summary.submitted, summary.known, summary.done) == (2, 2, 2)


async def test_redrives_heed_the_breaker() -> None:
    now_s = 0.0
    config = BreakerConfig(
        window="consecutive", failures_max=1, cooldown_s=1.0, half_open_permitted=2
    )
    breaker = Breaker(BREAKER, config, clocks=Clocks(lambda: now_s))
    gate = gate_of(breaker)
    assert gate(BREAKER).state == "closed"

    breaker.failed(await breaker.acquire(), OSError("down"))
    assert gate(BREAKER).state == "open"
    assert gate("another").state == "closed"

    now_s = 2.0
    assert gate(BREAKER).state == "half_open"
    assert gate(BREAKER).permitted == 2
