"""The actor of a pipeline as a whole: pauses, and the declaration."""

from ...events.event import Event
from ..runtime import (
    ActorContext,
    Decision,
    EventSourced,
    Message,
    UnhandledMessageError,
)
from . import control
from .control import Control
from .crew import Crew
from .messages import (
    ControlChanged,
    Declare,
    PausePipeline,
    PauseStage,
    ResumePipeline,
    ResumeStage,
)
from .pipeline import Pipeline


class ControlActor(EventSourced[Control]):
    """Owns `pipeline/<name>`; what is paused there holds from the next attempt on."""

    fold = control.FOLD
    personal = False

    def __init__(self, pipeline: Pipeline, crew: Crew) -> None:
        self.stream = pipeline.stream
        self._pipeline = pipeline
        self._crew = crew

    def decide(self, state: Control, command: Message, ctx: ActorContext) -> Decision:
        """Pause, resume, or record the declaration."""
        match command:
            case PausePipeline() | ResumePipeline() | PauseStage() | ResumeStage():
                return Decision(control.decide(state, command))
            case Declare():
                return Decision(control.declare(state, command.declared))
            case _:
                raise UnhandledMessageError(ctx.self.path, command)

    def react(self, event: Event, ctx: ActorContext) -> None:
        """Tell the owner of the items what is paused."""
        del event
        self.resume(self.state, ctx)

    def resume(self, state: Control, ctx: ActorContext) -> None:
        """Tell the owner of the items what is paused; record a new declaration."""
        self._crew.control = ctx.self
        self._crew.paused = state.paused
        self._crew.held = tuple(state.held)
        self._crew.pipeline.tell(ControlChanged())
        declared = self._pipeline.declared()
        if state.declared != declared:
            ctx.self.tell(Declare(declared))
