"""The actors of a pipeline and who supervises whom."""

from collections.abc import Mapping

from ..runtime import (
    ActorSystem,
    ChildSpec,
    Mailbox,
    NoSuchActorError,
    Ref,
    StartChild,
    SupervisorSpec,
)
from .actor import PipelineActor
from .control_actor import ControlActor
from .crew import Crew
from .errors import DeclarationError
from .pipeline import Guard, Pipeline, Stage
from .running import RunningPipeline
from .worker import StageWorker

Breakers = Mapping[str, Guard]
SUPERVISOR = "pipelines"
"""Who supervises all pipelines of a system; `/pipelines/<name>` is one of them."""
START_S = 60.0
"""How long the open items may take to be read back."""
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
    spec = pipeline_spec(pipeline, crew, dead_letters, breakers or {})
    try:
        supervisor = system.ref(f"/{SUPERVISOR}")
    except NoSuchActorError:
        supervisor = await system.spawn(SupervisorSpec(id=SUPERVISOR))
    await supervisor.ask(StartChild(spec), START_S)
    system.at_end(crew.desk.close)
    return RunningPipeline(system, pipeline, crew)


def pipeline_spec(
    pipeline: Pipeline,
    crew: Crew,
    dead_letters: Ref | None,
    breakers: Breakers,
) -> SupervisorSpec:
    """Return the spec of a pipeline's supervisor and all that is under it.

    Each of its actors is restarted alone: the owner of the items finds the attempts
    that go on at the workers, and counts as lost what a crashed worker ran.
    """
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
    return SupervisorSpec(id=pipeline.name, children=(items, control, *workers))


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
