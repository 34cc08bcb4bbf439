"""What the decider of a transaction is told: news from steps, clocks and people."""

from typing import Literal

import msgspec

from ...events.pipelines import NOTHING

Found = Literal["done", "absent", "unknown"]
"""What a resource says about the effect of a step in doubt."""

Resolution = Literal["retry", "skip", "commit", "roll_back"]
"""What a person decides about a stuck transaction; the last two declare its end."""


class News(msgspec.Struct, frozen=True, gc=False):
    """Something that the decider is told about one transaction."""


class Prepared(News, frozen=True, gc=False):
    """A step knows how it would be taken back, and may start."""

    step: int
    undo: msgspec.Raw


class Succeeded(News, frozen=True, gc=False):
    """An attempt of a step reports its success."""

    step: int
    attempt: int
    result: msgspec.Raw


class Failed(News, frozen=True, gc=False):
    """An attempt of a step failed; attempt 0 is its preparation."""

    step: int
    attempt: int
    error: str
    message: str


class Answered(News, frozen=True, gc=False):
    """The resource was asked about a step in doubt."""

    step: int
    found: Found
    result: msgspec.Raw = NOTHING


class Undone(News, frozen=True, gc=False):
    """An attempt of a compensation reports its success."""

    step: int
    attempt: int


class UndoFailed(News, frozen=True, gc=False):
    """An attempt of a compensation failed."""

    step: int
    attempt: int
    error: str
    message: str


class Ticked(News, frozen=True, gc=False):
    """Time has passed: a retry or the deadline may be due."""


class Recovered(News, frozen=True, gc=False):
    """Nobody works on this transaction but for the steps in `running`."""

    running: frozenset[int] = frozenset()


class RollbackWanted(News, frozen=True, gc=False):
    """Somebody wants it to turn back."""

    reason: str


class ResolutionWanted(News, frozen=True, gc=False):
    """Somebody decides about a stuck transaction."""

    resolution: Resolution
    reason: str


AnyNews = (
    Prepared
    | Succeeded
    | Failed
    | Answered
    | Undone
    | UndoFailed
    | Ticked
    | Recovered
    | RollbackWanted
    | ResolutionWanted
)
