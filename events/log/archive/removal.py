"""Takes archived events out of the log's table."""

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import astuple

from ..api import Done, StreamAppend
from .segment import Packed

if TYPE_CHECKING:
    import sqlite3  # the other engine does without


class Removal(msgspec.Struct, frozen=True):
    """Rows to be deleted, in the transaction of the event that says where they are."""

    append: StreamAppend
    done: Done
    """Told what became of `append`; only if it is written the rows go."""
    packed: Packed
    positions: Sequence[int]
    streams: Sequence[str]
    """Streams whose snapshots go too, if they are closed still."""
    size_bytes: int
    """How long the documents are that go."""

    def apply(self, db: "sqlite3.Connection") -> None:
        """Delete the rows and note the segment, in the transaction that is open."""
        db.execute(
            "INSERT INTO segments(segment, first, last, events, size_bytes, index_at, "
            "digest) VALUES (?,?,?,?,?,?,?)",
            astuple(self.packed.segment),
        )
        gone = db.executemany(
            "DELETE FROM events WHERE position = ?",
            [(position,) for position in self.positions],
        ).rowcount
        assert gone == len(self.positions), "every archived event was there, once"
        db.executemany(
            "DELETE FROM snapshots WHERE stream = ? AND EXISTS "
            "(SELECT 1 FROM streams s WHERE s.stream = snapshots.stream AND NOT s.open)",
            [(stream,) for stream in self.streams],
        )


Removals = deque[Removal]
"""Those whose append is on its way."""
