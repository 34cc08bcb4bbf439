"""The pipeline as a whole: what it was declared as, and what of it is paused."""

import msgspec

from ...events.event import Event
from ...events.fold import Fold
from ...events.pipelines import (
    PipelineDeclared,
    PipelinePaused,
    PipelineResumed,
    StageDeclared,
    StagePaused,
    StageResumed,
)
from .errors import NoSuchStageError
from .messages import (
    ControlCommand,
    PausePipeline,
    PauseStage,
    ResumePipeline,
    ResumeStage,
)


class Control(msgspec.Struct, frozen=True, gc=False):
    """What is paused, why, and the stages as they were declared last."""

    stream: str
    paused: bool = False
    reason: str = ""
    held: dict[str, str] = {}
    """Why a stage is paused, by its name."""
    stages: tuple[StageDeclared, ...] = ()
    in_flight_max: int = 0
    dead_letters: str = ""

    @property
    def declared(self) -> PipelineDeclared:
        """The last declaration."""
        return PipelineDeclared(
            stages=self.stages,
            in_flight_max=self.in_flight_max,
            dead_letters=self.dead_letters,
        )


def declare(state: Control, declared: PipelineDeclared) -> tuple[Event, ...]:
    """Record a declaration that differs from the last one."""
    return () if state.declared == declared else (declared,)


def decide(state: Control, command: ControlCommand) -> tuple[Event, ...]:
    """Pause or resume; what is so already needs no event."""
    match command:
        case PausePipeline(reason=reason):
            return () if state.paused else (PipelinePaused(reason=reason),)
        case ResumePipeline(reason=reason):
            return (PipelineResumed(reason=reason),) if state.paused else ()
        case PauseStage(stage=stage, reason=reason):
            if all(stage != known.name for known in state.stages):
                raise NoSuchStageError(state.stream, stage)
            held = stage in state.held
            return () if held else (StagePaused(stage=stage, reason=reason),)
        case ResumeStage(stage=stage, reason=reason):
            held = stage in state.held
            return (StageResumed(stage=stage, reason=reason),) if held else ()


def evolve(state: Control, event: Event) -> Control:
    """Return the pipeline after an event of its stream."""
    replace = msgspec.structs.replace
    match event:
        case PipelineDeclared():
            return replace(
                state,
                stages=event.stages,
                in_flight_max=event.in_flight_max,
                dead_letters=event.dead_letters,
            )
        case PipelinePaused():
            return replace(state, paused=True, reason=event.reason)
        case PipelineResumed():
            return replace(state, paused=False, reason="")
        case StagePaused():
            return replace(state, held={**state.held, event.stage: event.reason})
        case StageResumed():
            held = {s: why for s, why in state.held.items() if s != event.stage}
            return replace(state, held=held)
        case _:
            name = type(event).__name__
            raise AssertionError(f"{name} is no event of a pipeline")


FOLD: Fold[Control] = Fold(
    kind="pipeline",
    state=Control,
    initial=Control,
    evolve=evolve,
)
