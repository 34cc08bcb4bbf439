"""The pipeline put together: log, actors and stores, opened and closed in order."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from anyio.to_thread import run_sync

from ...actors.breakers import Breaker, Breakers, Outcomes
from ...actors.chronicle import chronicled
from ...actors.dead_letters import DeadLetterActor, Gate, GateKeeper
from ...actors.pipelines import start_pipeline
from ...actors.runtime import ActorSystem, Ref, SupervisorSpec
from ...actors.transactions import Coordinator
from ...events import vocabulary
from ...events.log import EventLog
from ...events.log.artifacts import ArtifactStore
from ...events.log.sqlite import SqliteLog
from .catalogue import Catalogue, open_catalogue
from .chaos import ChaosGraph
from .errors import GraphError, InvalidDocumentError, VerificationError
from .graph import Graph, LadybugGraph, open_graph
from .graph_connection import torn_wal
from .index import open_index
from .job import DocumentJob
from .manifest import Manifests
from .population import COORDINATOR, Population
from .settings import BREAKER, QUEUE, DocumentSettings, Layout
from .stages import Stages
from .workshop import Workshop


@asynccontextmanager
async def open_documents(
    data: Path,
    settings: DocumentSettings | None = None,
    *,
    log: EventLog | None = None,
) -> AsyncGenerator[DocumentJob, None]:
    """Open the document pipeline that keeps everything in the folder `data`.

    What an earlier run left unfinished goes on at once. `log` is an open log to be
    used instead of the one in the folder.

    Raises `LogLockedError` when another process has the folder, `LogError`,
    `GraphError` and the like when something in it cannot be used.
    """
    settings = settings or DocumentSettings()
    layout = Layout(data)
    await run_sync(lambda: data.mkdir(parents=True, exist_ok=True))
    if log is not None:
        async with _open_stores(layout, settings, log) as job:
            yield job
    else:
        async with (
            SqliteLog(layout.log, vocabulary()) as own,
            _open_stores(layout, settings, own) as job,
        ):
            yield job


@asynccontextmanager
async def _open_stores(
    layout: Layout, settings: DocumentSettings, log: EventLog
) -> AsyncGenerator[DocumentJob, None]:
    began = log.position
    artifacts = ArtifactStore(layout.artifacts)
    await artifacts.sweep()
    manifests = Manifests(layout.manifests)
    await _require_graph(layout, manifests)
    async with (
        open_graph(layout.graph, artifacts) as graph,
        open_index(layout.index) as index,
        open_catalogue(layout.catalogue) as catalogue,
        ActorSystem(log=log, name="documents") as system,
        chronicled(system),
    ):
        await _require_documents(layout, graph, catalogue)
        guarded: Graph = graph
        if settings.chaos_rate:
            guarded = ChaosGraph(
                graph,
                settings.chaos_rate,
                settings.chaos_seed,
                now_s=system.clock.now_s,
                burst_mean_s=settings.chaos_burst_s,
            )
        workshop = Workshop(
            artifacts,
            guarded,
            index,
            manifests,
            size_bytes_max=settings.size_bytes_max,
        )
        await workshop.restore_index()
        population = Population(guarded, catalogue, graph_timeout_s=settings.call_s)
        breaker = await _open_breaker(system, settings)
        coordinator = await _start_coordinator(system, population, settings, log)
        letters = await _start_letters(system, breaker, settings)
        pipeline = await start_pipeline(
            system,
            Stages(workshop, population).pipeline(settings),
            dead_letters=letters,
            breakers={BREAKER: breaker},
        )
        yield DocumentJob(
            settings,
            pipeline=pipeline,
            breaker=breaker,
            coordinator=coordinator,
            letters=letters,
            log=log,
            artifacts=artifacts,
            catalogue=catalogue,
            index=index,
            require_alive=graph.require_alive,
            began=began,
        )


async def _require_graph(layout: Layout, manifests: Manifests) -> None:
    """Refuse to go on in an empty graph, or catalogue, in the place of one that is lost.

    What the log says is done is not done again, so they would stay without it.
    """
    done = len(await manifests.paths())
    for path in (layout.graph, layout.catalogue):
        if done and not await run_sync(path.exists):
            raise GraphError(
                f"{path} is gone, with {done} documents in it: restore it from a "
                "backup, or ingest them into another data folder"
            )


async def _require_documents(
    layout: Layout, graph: LadybugGraph, catalogue: Catalogue
) -> None:
    """If the end of the graph's log was torn, see that it was nobody's document.

    A document is in the graph before it is in the catalogue, and longer.
    """
    torn = torn_wal(layout.graph)
    if not await run_sync(torn.exists):
        return
    missing = await catalogue.keys() - await graph.keys()
    if missing:
        raise GraphError(
            f"{len(missing)} documents are gone from {layout.graph}, {min(missing)!r} "
            f"for one: its log was damaged, and is kept in {torn}. Restore the graph "
            "from a backup, or ingest into another data folder"
        )
    await run_sync(torn.unlink)


async def _open_breaker(system: ActorSystem, settings: DocumentSettings) -> Breaker:
    outcomes = Outcomes(ignored=(InvalidDocumentError, VerificationError))
    return await Breakers(system).open(BREAKER, settings.breaker(), outcomes)


async def _start_coordinator(
    system: ActorSystem,
    population: Population,
    settings: DocumentSettings,
    log: EventLog,
) -> Coordinator:
    spec = Coordinator.spec(COORDINATOR, population.steps, settings.limits())
    await system.spawn(SupervisorSpec(id="transactions", children=[spec]))
    ref = system.ref(f"/transactions/{COORDINATOR}")
    coordinator = Coordinator(ref, population.steps, log)
    population.bind(coordinator, log)
    return coordinator


async def _start_letters(
    system: ActorSystem, breaker: Breaker, settings: DocumentSettings
) -> Ref:
    """Start the dead letter queue, whose redrives heed the breaker."""
    spec = DeadLetterActor.spec(QUEUE, settings.queue(), gate=gate_of(breaker))
    await system.spawn(SupervisorSpec(id="dead-letters", children=[spec]))
    return system.ref(f"/dead-letters/{QUEUE}")


def gate_of(breaker: Breaker) -> GateKeeper:
    """Return what tells redrives how many of them the breaker lets through."""

    def gate(target: str) -> Gate:
        if target != breaker.name or not breaker.machine.generation.gated:
            return Gate()
        if breaker.refusal() is not None:
            return Gate("open")
        return Gate("half_open", breaker.machine.state.config.half_open_permitted)

    return gate
