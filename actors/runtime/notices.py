"""What the runtime publishes on a system's event stream, beside dead messages."""

import msgspec


class ActorFailed(msgspec.Struct, frozen=True):
    """An actor raised; its supervisor deals with it."""

    path: str
    error: BaseException
    message: object
    """What it was working on; None: nothing."""


class ActorRestarted(msgspec.Struct, frozen=True):
    """A new instance has taken the place of one that went down."""

    path: str
    restarts: int


class ActorStopped(msgspec.Struct, frozen=True):
    """An actor is gone for good."""

    path: str
    error: BaseException | None
    """What it died of; None: it stopped in an orderly way."""


class LoopBlocked(msgspec.Struct, frozen=True):
    """The loop gave no sign of life for too long; told in development mode only."""

    path: str | None
    """The actor whose handler was running; None: it was none of the system's."""
    message: object
    """What it was working on."""
    where: str
    """The line that was being run: file, number and function."""
    stack: str
    """How it came there from the handler, innermost last."""
