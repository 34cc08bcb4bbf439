"""The segments of a log in PostgreSQL, which are rows of its own tables."""

from collections.abc import Callable
from hashlib import sha256
from typing import Any

from ..archive.segment import unreadable

Query = Callable[[str, Any], list[Any]]
"""Returns all rows of a query, in which `?` is a value."""

_BLOCK = "SELECT bytes FROM segment_blocks WHERE segment = ? AND at = ?"
_BLOCKS = "SELECT at FROM segment_blocks WHERE segment = ? ORDER BY at"


class SegmentTable:
    """The bytes of the segments of the log `log`; a `SegmentSource`. Blocking."""

    def __init__(self, log: str, query: Query) -> None:
        self._log = log
        self._query = query

    def named(self, segment: str) -> str:
        """Return what a segment is called in messages."""
        return f"segment {segment} of {self._log}"

    def read(self, segment: str, at: int, end: int) -> bytes:
        """Return the bytes of a block."""
        for (block,) in self._query(_BLOCK, (segment, at)):
            return bytes(block)
        why = f"the block of its bytes {at} to {end} is missing"
        raise unreadable(self.named(segment), why)

    def digest(self, segment: str) -> bytes:
        """Return SHA-256 of a segment's bytes."""
        digest, end = sha256(), 0
        for (at,) in self._query(_BLOCKS, (segment,)):
            if at != end:
                why = f"the block at its byte {end} is missing or of another length"
                raise unreadable(self.named(segment), why)
            ((block,),) = self._query(_BLOCK, (segment, at))
            digest.update(block)
            end += len(block)
        return digest.digest()
