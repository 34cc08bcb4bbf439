"""What can go wrong with a pipeline, a class per situation."""

from ...events.errors import DramaturgError
from ..runtime import CommandRejectedError


class PipelineError(DramaturgError):
    """The root of the pipelines' errors."""


class ItemNotOpenError(PipelineError, CommandRejectedError):
    """The item has ended, is a dead letter, or never was."""

    def __init__(self, item: str) -> None:
        super().__init__(
            f"item {item!r} is not open: look its stream up; a dead letter is "
            "redriven at its queue",
        )


class ItemStateError(PipelineError, CommandRejectedError):
    """What was asked for does not fit the place where the item is."""

    def __init__(self, item: str, place: str, wish: str) -> None:
        super().__init__(f"item {item!r} is {place}: it cannot be {wish} now")


class NoSuchStageError(PipelineError, CommandRejectedError):
    """The pipeline has no stage of this name."""

    def __init__(self, stream: str, stage: str) -> None:
        super().__init__(f"{stream!r} has no stage {stage!r}: name one it declares")


class PipelineFullError(PipelineError, CommandRejectedError):
    """As many items are open as the pipeline admits."""

    def __init__(self, pipeline: str, in_flight_max: int) -> None:
        super().__init__(
            f"pipeline {pipeline!r} has {in_flight_max} items open, its limit: "
            "submit with wait=True, or later, or raise in_flight_max",
        )


class DeclarationError(PipelineError):
    """A pipeline cannot be run as it was declared."""


class AttemptTimeoutError(PipelineError, TimeoutError):
    """An attempt took longer than its stage allows."""

    def __init__(self, stage: str, timeout_s: float) -> None:
        super().__init__(
            f"an attempt of stage {stage!r} was cancelled after {timeout_s:g} s: "
            "make it faster, or raise the stage's timeout_s",
        )


class ResultTooLargeError(PipelineError, ValueError):
    """A stage returned more than an event should hold."""

    def __init__(self, stage: str, size_bytes: int, bytes_max: int) -> None:
        super().__init__(
            f"the result of stage {stage!r} has {size_bytes} bytes, {bytes_max} are "
            "allowed: keep it as an artifact and return its address",
        )
