"""Stage 4: one transaction per attempt, found again, undone, and never doubled."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from dramaturg.actors.retries import RetryPolicy
from dramaturg.actors.runtime import ActorSystem
from dramaturg.actors.transactions import (
    Coordinator,
    FencedError,
    Limits,
    TransactionFailedError,
)
from dramaturg.applications.documents import population as module
from dramaturg.applications.documents.catalogue import (
    Catalogue,
    CatalogueEntry,
    CatalogueError,
    open_catalogue,
)
from dramaturg.applications.documents.entities import Entities
from dramaturg.applications.documents.errors import GraphUnavailableError
from dramaturg.applications.documents.graph import NOTHING, Found, GraphDocument
from dramaturg.applications.documents.population import (
    Population,
    TooManyTransactionsError,
)
from dramaturg.events import vocabulary
from dramaturg.events.log.artifacts import Artifact
from dramaturg.events.log.memory import MemoryLog

pytestmark = pytest.mark.asyncio

DOCUMENT = GraphDocument("k", "text", "t", "c", Artifact("d", 1))
ENTRY = CatalogueEntry("k", "text", "t", "", "/t", "c", 1, 2, 3)
LIMITS = Limits(retry=RetryPolicy(attempts_max=2, base_s=0.001, cap_s=0.001))


class ScriptedGraph:
    """A graph in memory that fails as often as it is told to."""

    def __init__(self) -> None:
        self.standing: dict[str, str] = {}
        """The step by which each document was written."""
        self.fenced: set[str] = set()
        self.failing_writes = 0
        self.failing_undos = 0

    async def write(self, key: str, change: GraphDocument) -> msgspec.Raw:
        if key in self.fenced:
            raise FencedError(key)
        if self.failing_writes:
            self.failing_writes -= 1
            raise GraphUnavailableError("not now")
        self.standing[change.key] = key
        return NOTHING

    async def undo(self, key: str, change: GraphDocument) -> None:
        if self.failing_undos:
            self.failing_undos -= 1
            raise GraphUnavailableError("not now")
        self.fenced.add(key)
        if self.standing.get(change.key) == key:
            del self.standing[change.key]

    async def look(self, key: str) -> tuple[Found, msgspec.Raw]:
        if key in self.fenced:
            return "unknown", NOTHING
        return ("done" if key in self.standing.values() else "absent"), NOTHING

    async def read(self, key: str) -> Entities | None:
        raise NotImplementedError(key)


class Setup:
    def __init__(
        self, graph: ScriptedGraph, catalogue: Catalogue, population: Population
    ) -> None:
        self.graph = graph
        self.catalogue = catalogue
        self.population = population

    async def populate(self) -> str:
        found = await self.population.populate("item", DOCUMENT, ENTRY)
        return found.transaction


@asynccontextmanager
async def setup(folder: Path) -> AsyncGenerator[Setup, None]:
    graph = ScriptedGraph()
    async with (
        open_catalogue(folder / "deep" / "catalogue.sqlite") as catalogue,
        MemoryLog(vocabulary()) as log,
        ActorSystem(log=log) as system,
    ):
        population = Population(graph, catalogue, graph_timeout_s=5.0)
        ref = await system.spawn(
            Coordinator.spec(module.COORDINATOR, population.steps, LIMITS)
        )
        population.bind(Coordinator(ref, population.steps, log), log)
        yield Setup(graph, catalogue, population)


async def test_a_document_is_put_into_the_graph_and_the_catalogue(
    tmp_path: Path,
) -> None:
    async with setup(tmp_path) as on:
        transaction = await on.populate()

        assert on.graph.standing == {"k": f"{transaction}#0"}
        assert await on.catalogue.find("k") == ENTRY
        assert await on.catalogue.count() == 1


async def test_an_attempt_that_is_made_again_finds_what_was_done(
    tmp_path: Path,
) -> None:
    async with setup(tmp_path) as on:
        assert await on.populate() == await on.populate()


async def test_a_failing_graph_leaves_nothing_and_the_next_attempt_is_a_new_one(
    tmp_path: Path,
) -> None:
    async with setup(tmp_path) as on:
        on.graph.failing_writes = 1
        with pytest.raises(TransactionFailedError, match="rolled back"):
            await on.populate()
        assert on.graph.standing == {}
        assert await on.catalogue.find("k") is None

        await on.populate()

        assert list(on.graph.standing) == ["k"]
        assert await on.catalogue.find("k") == ENTRY


async def test_what_was_done_can_be_taken_back_and_done_again(tmp_path: Path) -> None:
    async with setup(tmp_path) as on:
        first = await on.populate()

        for _ in range(2):
            await on.population.take_back("item")
            assert on.graph.standing == {}
            assert await on.catalogue.find("k") is None

        assert await on.populate() != first
        assert list(on.graph.standing) == ["k"]


async def test_there_may_be_nothing_to_take_back(tmp_path: Path) -> None:
    async with setup(tmp_path) as on:
        await on.population.take_back("item")
        on.graph.failing_writes = 1
        with pytest.raises(TransactionFailedError):
            await on.populate()
        await on.population.take_back("item")

        assert on.graph.standing == {}


async def stuck(on: Setup) -> None:
    """Leave a transaction that could not be rolled back."""
    on.graph.failing_writes = 1
    on.graph.failing_undos = 2
    with pytest.raises(TransactionFailedError, match="is stuck"):
        await on.populate()


async def test_a_stuck_transaction_is_tried_again_with_its_item(tmp_path: Path) -> None:
    async with setup(tmp_path) as on:
        await stuck(on)

        await on.populate()

        assert list(on.graph.standing) == ["k"]


async def test_a_stuck_transaction_is_tried_again_when_its_item_goes_back(
    tmp_path: Path,
) -> None:
    async with setup(tmp_path) as on:
        await stuck(on)

        await on.population.take_back("item")

        assert len(on.graph.fenced) == 1


@pytest.mark.parametrize("direction", ["on", "back"])
async def test_an_item_waits_for_its_stuck_transaction(
    tmp_path: Path, direction: str
) -> None:
    async with setup(tmp_path) as on:
        await stuck(on)
        on.graph.failing_undos = 2

        back = on.population.take_back("item")
        attempt = on.populate() if direction == "on" else back
        with pytest.raises(TransactionFailedError, match="is stuck"):
            await attempt
        back.close()


async def test_an_item_does_not_begin_transactions_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TRANSACTIONS_MAX", 2)
    async with setup(tmp_path) as on:
        for _ in range(2):
            on.graph.failing_writes = 1
            with pytest.raises(TransactionFailedError):
                await on.populate()

        with pytest.raises(TooManyTransactionsError, match="has begun 2 transactions"):
            await on.populate()


async def test_the_catalogue_brings_an_earlier_entry_back(tmp_path: Path) -> None:
    later = msgspec.structs.replace(ENTRY, content="later")
    async with setup(tmp_path) as on:
        await on.population.populate("first", DOCUMENT, ENTRY)
        await on.population.populate("second", DOCUMENT, later)
        assert await on.catalogue.find("k") == later

        await on.population.take_back("second")
        assert await on.catalogue.find("k") == ENTRY

        await on.population.populate("third", DOCUMENT, later)
        await on.population.take_back("first")
        assert await on.catalogue.find("k") == later


async def test_a_file_that_is_no_catalogue_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "c.sqlite").write_bytes(b"x" * 5000)

    with pytest.raises(CatalogueError, match="not a database"):
        async with open_catalogue(tmp_path / "c.sqlite"):
            pass
