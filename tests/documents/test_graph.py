"""The graph: a document at a time, taken back without a trace, safe after a crash."""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anyio.to_thread import run_sync

from dramaturg.actors.retries import Classifier
from dramaturg.actors.transactions.errors import FencedError
from dramaturg.applications.documents import graph as graph_module
from dramaturg.applications.documents.entities import Entities, Mention, find
from dramaturg.applications.documents.errors import (
    GraphError,
    GraphUnavailableError,
)
from dramaturg.applications.documents.gazetteer import Gazetteer
from dramaturg.applications.documents.graph import (
    GraphDocument,
    LadybugGraph,
    open_graph,
)
from dramaturg.applications.documents.graph_connection import (
    GraphConnection,
    torn_wal,
)
from dramaturg.applications.documents.metadata import read_metadata
from dramaturg.applications.documents.questions import QUESTIONS
from dramaturg.events.log.artifacts import ArtifactStore

from .making import METADATA

pytestmark = pytest.mark.asyncio

EVERYTHING = find(
    "Copyright (c) 2020 Jane Doe\nmsgspec 0.18 under the MIT License, https://x.org",
    Gazetteer(["msgspec"]),
    metadata=read_metadata(METADATA.encode(), "x"),
    belongs_to="snail-mail",
)


class Bench:
    """A graph and its artifacts, with the little that the tests do to them."""

    def __init__(self, graph: LadybugGraph, artifacts: ArtifactStore) -> None:
        self.graph = graph
        self.artifacts = artifacts

    async def document(self, key: str, entities: Entities) -> GraphDocument:
        artifact = await self.artifacts.put_bytes(msgspec.json.encode(entities))
        return GraphDocument(key, "text", key.title(), "content", artifact)

    async def write(self, step: str, key: str, entities: Entities) -> GraphDocument:
        document = await self.document(key, entities)
        await self.graph.write(step, document)
        return document

    async def counts(self) -> dict[str, int]:
        found = await self.graph.query(QUESTIONS["contents"].cypher, rows_max=99)
        return {kind: count for kind, count in found.rows if kind != "Step"}


@asynccontextmanager
async def bench(folder: Path) -> AsyncGenerator[Bench, None]:
    artifacts = ArtifactStore(folder / "artifacts")
    async with open_graph(folder / "deep" / "graph.lbug", artifacts) as graph:
        yield Bench(graph, artifacts)


def mentioning(*names: str) -> Entities:
    return Entities(tuple(Mention("distribution", name, 1) for name in sorted(names)))


async def test_what_is_read_back_is_what_was_written(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        await on.write("t#0", "snail", EVERYTHING)

        assert await on.graph.read("snail") == EVERYTHING
        assert EVERYTHING.described is not None
        assert {each.kind for each in EVERYTHING.mentions} == {
            "distribution",
            "version",
            "licence",
            "person",
            "address",
        }


async def test_a_document_that_says_nothing_is_there_all_the_same(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        await on.write("t#0", "empty", Entities(()))

        assert await on.graph.read("empty") == Entities(())
        assert await on.graph.read("other") is None
        assert await on.counts() == {"Document": 1}


async def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        document = await on.write("t#0", "snail", EVERYTHING)
        before = await on.counts()

        first = await on.graph.write("t#0", document)
        await on.graph.write("t#1", document)

        assert await on.counts() == before
        assert await on.graph.read("snail") == EVERYTHING
        assert msgspec.json.decode(first) == document.entities.digest


async def test_a_new_version_replaces_the_old_one(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        await on.write("t#0", "snail", EVERYTHING)
        await on.write("u#0", "snail", mentioning("anyio"))

        assert await on.graph.read("snail") == mentioning("anyio")
        assert await on.counts() == {"Document": 1, "Distribution": 1}


async def test_what_others_say_stays_when_a_document_is_taken_back(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        first = await on.write("t#0", "first", EVERYTHING)
        await on.write("u#0", "second", EVERYTHING)
        await on.write("v#0", "third", mentioning("anyio", "rich"))

        await on.graph.undo("t#0", first)

        assert await on.graph.read("first") is None
        assert await on.graph.read("second") == EVERYTHING
        assert await on.graph.read("third") == mentioning("anyio", "rich")


async def test_taking_back_leaves_no_trace(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        document = await on.write("t#0", "snail", EVERYTHING)

        await on.graph.undo("t#0", document)
        await on.graph.undo("t#0", document)

        assert await on.counts() == {}


async def test_taking_back_brings_the_earlier_version_back(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        await on.write("t#0", "snail", mentioning("anyio"))
        later = await on.write("u#0", "snail", EVERYTHING)

        await on.graph.undo("u#0", later)

        assert await on.graph.read("snail") == mentioning("anyio")
        standing = await on.graph.find("snail")
        assert standing is not None
        assert standing.step == "t#0"
        assert await on.counts() == {"Document": 1, "Distribution": 1}


async def test_a_document_that_was_written_since_is_left_alone(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        early = await on.write("t#0", "snail", mentioning("anyio"))
        await on.write("u#0", "snail", mentioning("rich"))

        await on.graph.undo("t#0", early)

        assert await on.graph.read("snail") == mentioning("rich")


async def test_a_late_write_of_what_was_taken_back_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        document = await on.document("snail", EVERYTHING)
        await on.graph.undo("t#0", document)

        with pytest.raises(FencedError, match="t#0 comes too late"):
            await on.graph.write("t#0", document)

        assert await on.counts() == {}
        await on.graph.write("u#0", document)
        assert await on.graph.read("snail") == EVERYTHING


async def test_a_step_can_be_asked_about(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        assert (await on.graph.look("t#0"))[0] == "absent"
        document = await on.write("t#0", "snail", EVERYTHING)
        found, result = await on.graph.look("t#0")
        assert (found, msgspec.json.decode(result)) == (
            "done",
            document.entities.digest,
        )
        await on.graph.undo("t#0", document)
        assert (await on.graph.look("t#0"))[0] == "unknown"


async def test_a_write_that_fails_in_the_middle_is_no_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise GraphUnavailableError("the disk is full")

    async with bench(tmp_path) as on:
        with monkeypatch.context() as patch:
            patch.setattr(graph_module, "write_entities", fail)
            with pytest.raises(GraphUnavailableError):
                await on.write("t#0", "snail", EVERYTHING)

        assert await on.graph.read("snail") is None
        assert await on.counts() == {}
        assert (await on.graph.look("t#0"))[0] == "absent"


async def test_a_wrong_statement_is_refused_and_the_graph_goes_on(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        for wrong in ("MATCH (", "MATCH (n:Nothing) RETURN n", "RETURN 1; RETURN 2"):
            with pytest.raises(GraphError):
                await on.graph.query(wrong, rows_max=1)

        found = await on.graph.query("UNWIND [1, 2, 3] AS x RETURN x", rows_max=2)
        assert (found.columns, found.rows, found.more) == (("x",), ((1,), (2,)), True)


async def test_a_statement_that_takes_too_long_is_interrupted(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    path = tmp_path / "graph.lbug"
    async with open_graph(path, store) as graph:
        connection: Any = graph._connection  # pyright: ignore[reportPrivateUsage]
        connection._connection.set_query_timeout(50)  # not those of the opening
        with pytest.raises(GraphUnavailableError, match="was interrupted") as caught:
            await graph.query(
                "UNWIND range(1, 100000) AS a UNWIND range(1, 100000) AS b "
                "RETURN sum(a * b)",
                rows_max=1,
            )

    assert Classifier().classify(caught.value).error_class == "transient"


async def test_half_a_commit_at_the_end_of_its_log_is_no_damage(
    tmp_path: Path,
) -> None:
    def torn() -> Path:
        """Return a copy of the graph as a crash in the last commit would leave it."""
        copy = Path(shutil.copytree(tmp_path / "graph", tmp_path / "torn"))
        (wal,) = copy.glob("*.wal")
        wal.write_bytes(wal.read_bytes()[:-20])
        return copy / "graph.lbug"

    path = tmp_path / "graph" / "graph.lbug"
    artifacts = ArtifactStore(tmp_path / "artifacts")
    async with open_graph(path, artifacts) as graph:
        bench = Bench(graph, artifacts)
        await bench.write("step-1", "first", EVERYTHING)
        await bench.write("step-2", "second", EVERYTHING)
        crashed = await run_sync(torn)
    async with open_graph(crashed, artifacts) as graph:
        assert await graph.keys() == {"first"}
        await Bench(graph, artifacts).write("step-2", "second", EVERYTHING)
    async with open_graph(crashed, artifacts) as graph:
        assert await graph.keys() == {"first", "second"}

    assert await run_sync(torn_wal(crashed).exists)


async def test_only_one_process_may_write(tmp_path: Path) -> None:
    code = (
        "import ladybug, sys; held = ladybug.Database(sys.argv[1]); "
        "print(flush=True); input()"
    )
    other = await run_sync(start, code, str(tmp_path / "g"))
    try:
        assert other.stdout is not None
        await run_sync(other.stdout.readline)

        with pytest.raises(GraphUnavailableError, match=f"by process {other.pid}"):
            async with open_graph(tmp_path / "g", ArtifactStore(tmp_path)):
                pass
    finally:
        await run_sync(other.communicate, "\n")


async def test_a_file_that_is_no_graph_is_named(tmp_path: Path) -> None:
    (tmp_path / "g").write_bytes(b"x" * 5000)

    with pytest.raises(GraphError, match="is no graph: restore it"):
        async with open_graph(tmp_path / "g", ArtifactStore(tmp_path)):
            pass


async def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "g").mkdir()

    with pytest.raises(GraphUnavailableError, match="cannot be opened"):
        async with open_graph(tmp_path / "g", ArtifactStore(tmp_path)):
            pass


WRITER = """
import sys
from pathlib import Path
from typing import Any
from dramaturg.applications.documents.entities import Entities, Mention
from dramaturg.applications.documents.graph import GraphDocument, LadybugGraph
from dramaturg.applications.documents import graph as module
from dramaturg.applications.documents.graph_connection import GraphConnection
from dramaturg.events.log.artifacts import Artifact

connection = GraphConnection(Path(sys.argv[1]), statement_timeout_s=30)
module._prepare(connection)
graph = LadybugGraph(connection, None, None)
for number in range(int(sys.argv[2]), 1_000_000):
    names = sorted({f"name-{number * factor % 50}" for factor in range(1, 9)})
    entities = Entities(tuple(Mention("distribution", name, 1) for name in names))
    document = GraphDocument(f"k{number}", "text", "t", "c", Artifact("", 0))
    graph._write(f"t{number}#0", document, entities)
    print(number, flush=True)
"""


@pytest.mark.kill
@pytest.mark.timeout(120)
async def test_nothing_acknowledged_is_lost_and_no_half_is_kept_after_a_kill(
    tmp_path: Path,
) -> None:
    dice = random.Random(7)
    following = 0
    for _ in range(4):
        following = await run_sync(
            write_and_kill, tmp_path / "g", following, dice.randrange(1, 60)
        )

        connection = await run_sync(
            lambda: GraphConnection(tmp_path / "g", statement_timeout_s=30)
        )
        keys = await run_sync(
            connection.run, "MATCH (d:Document) RETURN d.key ORDER BY d.key"
        )
        edges = await run_sync(
            connection.run,
            "MATCH (d:Document)-[m:MENTIONS]->() RETURN d.key, count(m)",
        )
        steps = await run_sync(connection.run, "MATCH (s:Step) RETURN count(s)")
        await run_sync(connection.close)

        written = {int(key[1:]) for (key,) in keys}
        assert written >= set(range(following))
        following = len(written)
        assert written == set(range(following))
        assert steps == [(following,)]
        assert {int(key[1:]): count for key, count in edges} == {
            number: len({number * factor % 50 for factor in range(1, 9)})
            for number in written
        }


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def write_and_kill(path: Path, first: int, after: int) -> int:
    """Let a process write until it has acknowledged so many, and kill it at once."""
    process = start(WRITER, str(path), str(first))
    assert process.stdout is not None
    last = first - 1
    for _ in range(after):
        last = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    rest, _ = process.communicate()
    return max([last, *map(int, rest.splitlines())]) + 1
