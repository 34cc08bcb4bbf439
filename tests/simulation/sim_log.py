"""The faulty log whose every durable append is taken down in the book."""

from collections.abc import Callable
from hashlib import blake2b
from random import Random

import msgspec

from dramaturg.actors.runtime import Clock
from dramaturg.events.log import Appended, LogError, Recorded, StreamHead
from dramaturg.events.log.encoding import EventEncoder
from dramaturg.events.log.memory import MemoryLog
from dramaturg.events.log.pending import Pending
from dramaturg.events.vocabulary import vocabulary
from dramaturg.testing import FaultyLog
from dramaturg.testing.faults import Fault, Faults, Slow

from .book import Book, digest_of
from .promise import Row, holds

REGISTRY = vocabulary()
ENCODER = EventEncoder(REGISTRY)
"""Shared, for it takes its time to work the classes out."""


class SimLog(FaultyLog):
    """Tells the book of appends as they become durable."""

    def __init__(
        self,
        book: Book,
        faults: Faults,
        clock: Clock,
        reads: Callable[[], float] | None,
    ) -> None:
        self.book = book
        self.trace: Callable[[str], object] | None = None
        super().__init__(REGISTRY, faults, clock=clock, reads=reads)
        self._backlog.encode = ENCODER.encode

    def twin(self, clock: Clock, faults: Faults) -> "SimLog":
        return SimLog(self.book, faults, clock, self._reads)

    def _happen(self, fault: Fault, group: int) -> None:
        if self.trace is not None and not isinstance(fault, Slow):
            self.trace(f"      the log: {fault}, {group} appends")
        super()._happen(fault, group)

    def _apply(self, pending: Pending) -> Appended | LogError:
        before = len(self._store.rows)
        outcome = super()._apply(pending)
        after = len(self._store.rows)
        rows = [self.row(n) for n in range(before + 1, after + 1)]
        if self.trace is not None:
            for row in rows:
                self.trace(f"{self._clock.now_s():9.3f} {row}")
            if not rows:
                self.trace(f"{self._clock.now_s():9.3f} refused: {outcome}")
        if rows:
            self.book.append(rows)
        return outcome

    def row(self, position: int) -> Row:
        """Return a durable event as it is kept."""
        row = self._store.rows[position - 1]
        data = msgspec.json.decode(row.data)
        committed = row.header.committed
        return Row(position, row.stream, row.version, row.event.tag, data, committed)

    def verify(self) -> None:
        """Go through all that is kept: it is what became durable, in that order."""
        twin = blake2b(digest_size=16)
        for position in range(1, len(self._store.rows) + 1):
            twin.update(digest_of(self.row(position)))
        same = twin.digest() == self.book.chain.digest()
        holds(same, 7, "the log is not what was written")

    async def peek(self, stream: str) -> list[Recorded]:
        """Read a stream without a fault."""
        return await MemoryLog.read_stream(self, stream)

    async def peek_open(self, prefix: str) -> list[StreamHead]:
        """List open streams without a fault."""
        return await MemoryLog.open_streams(self, prefix)


def reads(chance: Random, most_s: float) -> Callable[[], float]:
    """Return how long readings take."""
    return lambda: chance.random() * most_s if chance.random() < 0.5 else 0.0
