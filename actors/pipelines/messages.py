"""What the actors of a pipeline say to each other, and what can be asked of them."""

from typing import Literal

import msgspec

from ...events.event import Event, UnknownEvent
from ...events.pipelines import NOTHING, Failure, PipelineDeclared
from ..dead_letters.messages import TakeBack
from ..runtime import Ask, Message
from .item import Item

# Stage workers report to the pipeline.


class Outcome(Message):
    """Which attempt it is about; a report of another attempt is out of date."""

    stream: str
    stage: str
    attempt: int
    undoing: bool = False
    redrives: int = 0
    """In which of the item's lives it began."""


class StageSucceeded(Outcome):
    """The attempt succeeded."""

    result: msgspec.Raw = NOTHING
    took_us: int = 0


class StageFailed(Outcome, kw_only=True):
    """The attempt failed; `retry_in_us` was drawn, None: trying again is no use."""

    failure: Failure
    retry_in_us: int | None
    took_us: int = 0


class StageRejected(Outcome, kw_only=True):
    """The stage's breaker let the attempt not pass."""

    wait_us: int
    """How long it is put off, with its draw."""
    breaker: str


class StageAborted(Outcome):
    """The attempt was stopped because its item was cancelled."""


class AttemptUnknown(Outcome):
    """The worker was asked about an attempt that it does not make (any more)."""


class ItemProgressed(Outcome, kw_only=True):
    """The attempt tells how far its item has come."""

    percent: int


class WorkerStarted(Message):
    """A stage has a new worker; what the one before it ran is lost."""

    stage: str
    generation: int


# The pipeline tells its stage workers.


class RunAttempt(Message):
    """Make an attempt and report."""

    item: Item
    stage: str
    attempt: int
    undoing: bool
    generation: int
    """The worker it is meant for; a later one knows that it was counted as lost."""


class AbortAttempt(Message):
    """Stop an attempt, since its item was cancelled, and report."""

    stream: str


class CheckAttempt(Message):
    """Report `AttemptUnknown` unless this very attempt is being made."""

    stream: str
    stage: str
    attempt: int
    undoing: bool
    redrives: int


# The pipeline tells itself.


class Fill(Message):
    """Give free slots to items that wait."""


class StartItem(Message):
    """Start the next attempt at an item, if its stage still has room."""

    stream: str


class AttemptLost(Outcome):
    """The worker that made an attempt is gone, or the whole process was."""


class Wake(Message):
    """The time of an item has come."""

    stream: str


class Unblock(Message):
    """The breaker of a stage may let calls pass again."""

    stage: str


class AskForRoom(Message):
    """Ask the dead letter queue whether it takes one more."""

    stream: str


class RoomChecked(Message):
    """The dead letter queue has answered."""

    stream: str
    room: bool


# What users ask.


class Submitted(msgspec.Struct, frozen=True, gc=False):
    """Where submitted work is."""

    item: str
    """The item's id."""
    stream: str
    is_new: bool = True
    """False: work with this key was submitted before, and this is it."""


class Submit(Ask[Submitted]):
    """Accept a piece of work; answered once it is durable."""

    item: str
    key: str = ""
    payload: msgspec.Raw = NOTHING
    owner: str = ""
    priority: int = 0
    due_us: int = 0
    corr: str = ""
    """The correlation id that all of the item's events get."""


class PauseItem(Ask[None]):
    """Start no further attempt of an item."""

    item: str
    reason: str


class ResumeItem(Ask[None]):
    """Let a paused item go on."""

    item: str
    reason: str = ""


class CancelItem(Ask[None]):
    """Undo what an item did and end it."""

    item: str
    reason: str


class ResolveItem(Ask[None]):
    """Say how a stuck item goes on."""

    item: str
    choice: Literal["retry", "skip"]
    reason: str


class GetItem(Ask[Item | None]):
    """Get an item if it is open, or has ended a moment ago."""

    stream: str


class StageFigures(msgspec.Struct, frozen=True, gc=False):
    """What a stage does and has done since the pipeline was started."""

    running: int
    waiting: int
    done: int
    failed: int
    put_off: int
    took_us: int
    """Of all successful attempts together."""
    has_worker: bool
    is_paused: bool
    is_blocked: bool
    """Whether its breaker does not let calls pass."""


class Figures(msgspec.Struct, frozen=True, gc=False):
    """What a pipeline does and has done since it was started."""

    pipeline: str
    open: int
    busy: int
    """Open items that go on by themselves: neither paused nor stuck."""
    places: dict[str, int]
    ended: dict[str, int]
    """Items that have come to an end or become dead letters, by place."""
    stages: dict[str, StageFigures]
    is_paused: bool


class GetFigures(Ask[Figures]):
    """Answered once all that was decided before is durable."""


# Dead letters come back.


class Reopened(Message):
    """The stream of a dead letter was read again."""

    take_back: TakeBack
    events: tuple[Event | UnknownEvent, ...]


class ReopenFailed(Message):
    """The stream of a dead letter could not be read."""

    take_back: TakeBack
    error: Exception


class Redrive(Message):
    """Let a dead letter go on."""

    take_back: TakeBack
    events: tuple[Event, ...]
    """All that its stream holds."""


# The pipeline as a whole.


class PausePipeline(Ask[None]):
    """Start no attempt of any item."""

    reason: str


class ResumePipeline(Ask[None]):
    """Go on."""

    reason: str = ""


class PauseStage(Ask[None]):
    """Start no attempt of one stage."""

    stage: str
    reason: str


class ResumeStage(Ask[None]):
    """Let a stage go on."""

    stage: str
    reason: str = ""


ControlCommand = PausePipeline | ResumePipeline | PauseStage | ResumeStage


class Declare(Message):
    """Record how the pipeline is declared now."""

    declared: PipelineDeclared


class ControlChanged(Message):
    """What is paused has changed; the crew knows how it is now."""
