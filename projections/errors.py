"""What can go wrong with reading meaning out of a log, a class per situation."""

from collections.abc import Iterable
from difflib import get_close_matches

from ..events import DramaturgError


class ProjectionError(DramaturgError):
    """The root of the errors of projections and time travel."""


class UnknownStreamError(ProjectionError):
    """The log has no such stream, or had none yet at the position asked for."""

    def __init__(self, stream: str, known: Iterable[str]) -> None:
        near = get_close_matches(stream, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "check its name"
        super().__init__(f"there is no stream {stream!r} in this log: {hint}")
        self.stream = stream
        self.near = near


class StreamNotBegunError(UnknownStreamError):
    """The stream began after the position asked for."""

    def __init__(self, stream: str, at: int, began: int) -> None:
        ProjectionError.__init__(
            self,
            f"stream {stream!r} began at position {began}, after position {at}: "
            f"ask for {began} or later",
        )
        self.stream = stream
        self.near = []


class NoFoldError(ProjectionError):
    """Nothing says how the events of this kind of stream become a state."""

    def __init__(self, kind: str, known: Iterable[str]) -> None:
        super().__init__(
            f"there is no fold for streams {kind!r}, only for "
            f"{', '.join(sorted(known)) or 'none'}: hand one to the timeline",
        )
        self.kind = kind


class BeyondEndError(ProjectionError):
    """The position asked for has not been written yet."""

    def __init__(self, at: int, end: int) -> None:
        super().__init__(
            f"position {at} is not in this log, which has positions 1 to {end}: "
            f"ask for one of them"
            if end
            else f"position {at} is not in this log, which is empty",
        )
        self.at = at
        self.end = end


class CheckpointsError(ProjectionError):
    """The file of checkpoints cannot be used; it can always be built anew."""
