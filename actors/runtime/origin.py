"""Where a message comes from: the context that travels in its envelope."""

import msgspec


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Who caused a message and why; it passes on to all that the message causes.

    It costs nothing where there is none. Whatever an actor tells, asks, arms or
    runs while it works on a message carries that message's origin, and events it
    decides have it in their header.
    """

    corr: str = ""
    """The correlation id: one per request from outside."""
    by: str = ""
    """The principal on whose behalf this happens."""
    owner: str = ""
    """Whose data it is."""
    cause: tuple[str, int] | None = None
    """Stream and version of the event that led to this."""
    deadline_s: float | None = None
    """When nobody will want the outcome any more, on the system's monotonic clock."""


NOWHERE = Origin()
"""The origin of a message that nobody gave one."""
