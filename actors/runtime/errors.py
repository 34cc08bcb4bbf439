"""What can go wrong between actors, a class per situation."""

from ...events import DramaturgError


class ActorError(DramaturgError):
    """The root of the runtime's errors."""


def first_cause(error: BaseException) -> BaseException:
    """Return what an error that passes others on began with.

    Each message quotes that one alone: a quotation in a quotation would double in
    length with each supervisor, or each linked actor, that it goes through.
    """
    while isinstance(error, (IntensityExceededError, LinkedError, ActorFailedError)):
        error = error.cause
    return error


class AskTimeoutError(ActorError, TimeoutError):
    """No answer came before the deadline; the message may still be worked off."""

    def __init__(self, path: str, message: object, timeout_s: float) -> None:
        super().__init__(
            f"{path} did not answer {type(message).__name__} within {timeout_s:g} s: "
            "ask with a longer timeout_s, or look at what keeps the actor busy",
        )
        self.path = path


class AskCycleError(ActorError):
    """Actors wait for each other's answers in a circle."""

    def __init__(self, path: str, message: object) -> None:
        super().__init__(
            f"asking {path} for {type(message).__name__} would wait for ever, because "
            "it is itself waiting for the asker: tell it instead, or ask in ctx.run",
        )
        self.path = path


class ActorStoppedError(ActorError):
    """The actor has stopped; it will not work off this message."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} has stopped: watch it, or look it up again by path")
        self.path = path


class ActorFailedError(ActorError):
    """The actor failed while it owed an answer; its supervisor deals with it."""

    def __init__(self, path: str, error: BaseException) -> None:
        self.path = path
        self.cause = first_cause(error)
        super().__init__(
            f"{path} failed before it answered ({self.cause!r}): ask again"
        )


class NoSuchActorError(ActorError):
    """No actor lives under this path."""

    def __init__(self, path: str) -> None:
        super().__init__(f"there is no actor {path}: spawn it first")
        self.path = path


class ChildExistsError(ActorError):
    """A parent has a child of this id."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} exists: stop it first, or take another id")
        self.path = path


class TreeTooDeepError(ActorError):
    """An actor stands too far from the root to have children."""

    def __init__(self, path: str, depth_max: int) -> None:
        super().__init__(
            f"{path.count('/')} levels down no actor has children, {depth_max} is the "
            f"limit ({path[:80]}...): spawn it under an actor further up",
        )
        self.path = path


class MailboxFullError(ActorError):
    """The mailbox is at its bound."""

    def __init__(self, path: str, capacity: int) -> None:
        super().__init__(
            f"the mailbox of {path} is full ({capacity} messages): slow down, await "
            "ref.offer(), or give it another capacity or policy in its spec",
        )
        self.path = path


class UnhandledMessageError(ActorError):
    """The actor has no handler for messages of this class."""

    def __init__(self, path: str, message: object) -> None:
        super().__init__(
            f"{path} has no handler for {type(message).__name__}: "
            "add a method with @handles",
        )
        self.path = path


class HandlerError(ActorError):
    """A class of messages cannot be handled as declared."""


class HandlerCancelledError(ActorError):
    """A handler was cancelled, by itself or because it exceeded its time."""


class HandlerTimeoutError(HandlerCancelledError, TimeoutError):
    """A handler was suspended for longer than its actor's spec allows."""

    def __init__(self, path: str, message: object, limit_s: float) -> None:
        super().__init__(
            f"{path} worked on {type(message).__name__} for more than {limit_s:g} s and "
            "was cancelled: do long work in ctx.run, or raise handler_max_s in its spec",
        )
        self.path = path


class StartTimeoutError(ActorError, TimeoutError):
    """An actor was not ready within the time its spec gives it."""

    def __init__(self, path: str, limit_s: float) -> None:
        super().__init__(
            f"{path} was not ready after {limit_s:g} s and its start was cancelled: do "
            "long work in ctx.run once it is up, or raise start_max_s in its spec",
        )
        self.path = path


class CommandRejectedError(ActorError):
    """The actor refuses a command in its present state; only the asker hears of it."""


class SystemClosedError(ActorError):
    """The system is not running."""


class IntensityExceededError(ActorError):
    """A supervisor restarted its children as often as it may, and gives up."""

    def __init__(
        self,
        path: str,
        child: str,
        error: BaseException,
        limits: tuple[int, float],
    ) -> None:
        restarts_max, within_s = limits
        self.cause = first_cause(error)
        super().__init__(
            f"{path} gives up, since its children failed more than {restarts_max} times "
            f"in {within_s:g} s, last {child} ({self.cause!r}): mend what fails, or give "
            "them a backoff",
        )
        self.path = path
        self.child = child


class KilledError(ActorError):
    """The actor was killed; its supervisor decides whether it comes back."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} was killed")
        self.path = path


class LinkedError(ActorError):
    """An actor this one is linked to has ended with an error."""

    def __init__(self, path: str, error: BaseException) -> None:
        self.path = path
        self.cause = first_cause(error)
        super().__init__(f"the linked actor {path} ended: {self.cause!r}")


class StashFullError(ActorError):
    """The actor has put aside as many messages as its mailbox may hold."""

    def __init__(self, path: str, capacity: int) -> None:
        super().__init__(
            f"{path} has stashed {capacity} messages: unstash them, or give its mailbox "
            "more capacity",
        )
        self.path = path


class NameTakenError(ActorError):
    """Another actor is registered under this name."""

    def __init__(self, name: str, path: str) -> None:
        super().__init__(f"{name!r} is {path}: unregister it first, or take another")
        self.name = name


class UnrecoverableError(ActorError):
    """Restarting would fail in the same way; the actor stays stopped until repair."""


class EvolveError(UnrecoverableError):
    """A fold failed on an event; folds must not fail."""

    def __init__(self, stream: str, version: int, tag: str, error: Exception) -> None:
        super().__init__(
            f"the fold of stream {stream!r} failed on event {tag!r} at version "
            f"{version} ({error!r}): correct evolve, then start the actor again",
        )
        self.stream = stream
        self.version = version


class UnknownTagError(UnrecoverableError):
    """An actor's own stream holds an event this code does not know."""

    def __init__(self, stream: str, position: int, tag: str, version: int) -> None:
        super().__init__(
            f"stream {stream!r} holds an unknown event {tag!r} version {version} at "
            f"position {position}: run the code that wrote it, or register its class",
        )
        self.stream = stream
        self.position = position


class StreamGapError(UnrecoverableError):
    """A stream's versions are not contiguous."""

    def __init__(self, stream: str, expected: int, found: int, position: int) -> None:
        super().__init__(
            f"stream {stream!r} continues with version {found} at position {position} "
            f"where {expected} was due: verify the log, then restore a copy",
        )
        self.stream = stream
        self.position = position
