"""Reads a log page by page up to a position."""

from collections.abc import Iterator

from ..events.log import LogDamagedError, Reader, Recorded

PAGE = 1000
"""Events read at a time."""


def pages(reader: Reader, after: int, end: int) -> Iterator[list[Recorded]]:
    """Yield the events with after < position <= end, never none at a time.

    Raises `LogDamagedError` when the log says that it goes on and it does not.
    """
    while after < end:
        page = reader.read(after, end, limit=PAGE)
        if not page or page[-1].position <= after:
            raise LogDamagedError(
                f"no event stands after position {after}, though the log is said to "
                f"go on to {end}: verify it and restore it from a backup",
            )
        after = page[-1].position
        yield page
