"""What happens to the actors of a system: lives, failures, restarts, and counts.

All of it stands in one stream per system, `system/<name>`. Nothing is written per
message: how busy actors are is told by censuses, each with only what has changed.
"""

import msgspec

from .event import Event


class ActorCount(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One actor at the moment of a census."""

    path: str
    kind: str = ""
    """The name of its class; empty while it is down."""
    state: str = "running"
    depth: int = 0
    """Messages that waited."""
    capacity: int = 1000
    """How many may."""
    dropped: int = 0
    """Messages that found the mailbox full so far: dropped, or refused to the sender."""
    handled: int = 0
    """Messages worked off so far, over all restarts."""
    restarts: int = 0


class SystemStarted(Event, tag="system.started", version=1):
    """A system came up; whatever stood in its stream before is gone."""

    at_us: int
    pid: int
    """Which process it lives in."""


class ActorsCounted(Event, tag="system.counted", version=1):
    """A census: actors that are new or differ from the last one, and those gone."""

    at_us: int
    counts: tuple[ActorCount, ...] = ()
    gone: tuple[str, ...] = ()
    """Paths of actors that are no more."""
    omitted: int = 0
    """Actors beyond the census's limit, at least."""
    untold: int = 0
    """Failures and restarts since the last census that were too many to be written."""


class ActorFailed(Event, tag="actor.failed", version=1):
    """An actor raised."""

    at_us: int
    path: str
    error: str
    """The class of the exception."""
    reason: str = ""
    """Its text, cut at a limit."""
    message: str = ""
    """The class of the message it worked on; empty: none."""


class ActorRestarted(Event, tag="actor.restarted", version=1):
    """A new instance has taken the place of one that went down."""

    at_us: int
    path: str
    restarts: int
    """How often so far."""


class ActorStopped(Event, tag="actor.stopped", version=1):
    """An actor died for good of an error; orderly ends are told by the next census."""

    at_us: int
    path: str
    error: str
    reason: str = ""


class SystemStopped(Event, tag="system.stopped", version=1, closes=True):
    """A system has gone down in order. After a crash there is no such event."""

    at_us: int


EVENTS: tuple[type[Event], ...] = (
    ActorFailed,
    ActorRestarted,
    ActorStopped,
    ActorsCounted,
    SystemStarted,
    SystemStopped,
)
