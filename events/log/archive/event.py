"""The events that tell how events left the log's table."""

from ...event import Event

STREAM = "log/archive"
"""The stream of the segments, an event for each."""


class Archived(Event, tag="log.archived", version=1):
    """Events were moved to a segment, byte for byte."""

    segment: str
    """Its name."""
    digest: str
    """SHA-256 of its bytes, in lower-case hexadecimal."""
    size_bytes: int
    index_at: int
    """At which byte its index begins."""
    first: int
    """The lowest position in it."""
    last: int
    """The highest position; between the two stand others that are elsewhere."""
    events: int
    streams: int
    """How many streams these events are of."""


RETENTION = "log/retention"
"""The stream of the runs in which a log archived by itself."""


class RetentionRan(Event, tag="log.retention_ran", version=1):
    """The log looked for what ended long ago, and archived it."""

    older_than_us: int
    """So long ago it must have ended."""
    every_us: int
    """The time from one run to the next."""
    streams: int
    events: int
    """How many events were moved; an event `log.archived` tells of each segment."""
    segments: int
    size_bytes: int
    """How large the segments are together."""
    took_us: int
    failure: str = ""
    """What went wrong on the way; empty: nothing did."""


EVENTS: tuple[type[Event], ...] = (Archived, RetentionRan)
