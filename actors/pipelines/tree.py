"""The actors of a pipeline and who supervises whom."""

from collections.abc import Mapping, Sequence

from ..runtime import Actor, ActorSystem, ChildSpec, Mailbox, Ref
from .actor import PipelineActor
from .control_actor import ControlActor
from .crew import Crew
from .errors import DeclarationError
from .pipeline import Guard, Pipeline, Stage
from .running import RunningPipeline
from .worker import StageWorker

Breakers = Mapping[str, Guard]
SLACK = 1000
"""Room in mailboxes for what is not bounded by the pipeline's own limits."""


async def start_pipeline(
    system: ActorSystem,
    pipeline: Pipeline,
    *,
    dead_letters: Ref | None = None,
    breakers: Breakers | None = None,
) -> RunningPipeline:
    """Start a pipeline's actors under the system and return how to use it.

    `dead_letters` is the actor of its dead letter queue; `breakers` are found in
    by stages that name theirs. Raises `DeclarationError` for a name without one.
    """
    crew = Crew()
    await system.spawn(pipeline_spec(pipeline, crew, dead_letters, breakers or {}))
    return RunningPipeline(system, pipeline, crew)


def pipeline_spec(
    pipeline: Pipeline,
    crew: Crew,
    dead_letters: Ref | None,
    breakers: Breakers,
) -> ChildSpec:
    """Return the spec of all the actors of a pipeline, to be started as one child."""
    guards = {stage.name: guard(stage, breakers) for stage in pipeline.stages}
    items = ChildSpec(
        id="items",
        factory=lambda: PipelineActor(pipeline, crew, dead_letters),
        mailbox=Mailbox(4 * pipeline.running_max + pipeline.in_flight_max + SLACK),
    )
    control = ChildSpec(id="control", factory=lambda: ControlActor(pipeline, crew))
    workers = [
        worker_spec(stage, crew, guards[stage.name]) for stage in pipeline.stages
    ]
    return ChildSpec(
        id=pipeline.name,
        factory=lambda: Parent([items, control, *workers]),
        shutdown_s=30.0,
    )


class Parent(Actor):
    """Starts children in order, the first before the others."""

    def __init__(self, children: Sequence[ChildSpec]) -> None:
        self._children = children

    async def starting(self) -> None:
        """Start the children."""
        for child in self._children:
            await self.ctx.spawn(child)


def worker_spec(stage: Stage, crew: Crew, breaker: Guard | None) -> ChildSpec:
    """Return the spec of a stage's worker."""
    return ChildSpec(
        id=stage.name,
        factory=lambda: StageWorker(stage, crew, breaker),
        mailbox=Mailbox(4 * stage.concurrency + SLACK),
    )


def guard(stage: Stage, breakers: Breakers) -> Guard | None:
    """Return the breaker of a stage. Raises `DeclarationError` for an unknown name."""
    if not isinstance(stage.breaker, str):
        return stage.breaker
    breaker = breakers.get(stage.breaker)
    if breaker is None:
        raise DeclarationError(
            f"stage {stage.name!r} is behind breaker {stage.breaker!r}, which is not "
            f"among {sorted(breakers)}: hand it to start_pipeline(breakers=...)",
        )
    return breaker
