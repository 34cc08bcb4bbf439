"""The event by which events leave the log's table."""

from ...event import Event

STREAM = "log/archive"
"""The stream of these events."""


class Archived(Event, tag="log.archived", version=1):
    """Events were moved to a file beside the log, byte for byte."""

    segment: str
    """The file's name."""
    digest: str
    """SHA-256 of the file, in lower-case hexadecimal."""
    size_bytes: int
    index_at: int
    """At which byte of the file its index begins."""
    first: int
    """The lowest position in it."""
    last: int
    """The highest position; between the two stand others that are elsewhere."""
    events: int
    streams: int
    """How many streams these events are of."""


EVENTS: tuple[type[Event], ...] = (Archived,)
