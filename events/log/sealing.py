"""What of a log no seal covers yet, folded as it comes."""

from collections.abc import Sequence
from typing import Protocol

from .api import Recorded, StreamAppend, StreamHead
from .errors import LogDamagedError
from .seal import STREAM, MerkleTree, Sealed

PAGE = 500
"""Digests read and folded at a time: about a millisecond's work."""


class DigestReader(Protocol):
    """What a seal is made from; a `LogReader` is one."""

    def head(self, stream: str) -> StreamHead | None:
        """Return where a stream ends."""
        ...

    def read(
        self, after: int = 0, until: int | None = None, *, limit: int = 1000
    ) -> list[Recorded]:
        """Read events."""
        ...

    def digests(
        self, after: int, until: int, *, limit: int
    ) -> Sequence[tuple[int, bytes]]:
        """Read positions and digests with after < position <= until."""
        ...


class Sealing:
    """The next seal in the making.

    Every event's digest is read once, soon after it was written, and folded into a
    Merkle tree, so that sealing a log of any length costs the same. Blocking: its
    reads are for a thread.
    """

    def __init__(self, reader: DigestReader) -> None:
        """Find the last seal."""
        self._version, self._at, self._first = 0, 0, 1
        head = reader.head(STREAM)
        if head is not None:
            (last,) = reader.read(head.position - 1, limit=1)
            if not isinstance(last.event, Sealed):
                raise LogDamagedError(
                    f"stream {STREAM!r} ends at position {head.position} with "
                    f"something that is no seal: {last.event!r}",
                )
            self._version, self._at = head.version, head.position
            self._first = last.event.last + 1
        self.position = self._first - 1
        """How far digests have been folded."""
        self._tree = MerkleTree()

    def unsealed(self, end: int) -> int:
        """Return how many events up to `end` no seal covers, besides the last seal."""
        return end - self._first + 1 - (self._at >= self._first)

    def advance(self, reader: DigestReader, until: int) -> None:
        """Fold one page of events up to position `until`, which must be beyond.

        Raises `LogDamagedError` when there is none.
        """
        page = reader.digests(self.position, until, limit=PAGE)
        if not page:
            raise LogDamagedError(
                f"no event stands after position {self.position}, though the log goes "
                f"on to {until}: verify it and restore it from a backup",
            )
        self.fold([digest for _, digest in page])

    def fold(self, digests: Sequence[bytes]) -> None:
        """Fold the digests of the next events, which whoever wrote them still has."""
        self._tree.add(digests)
        self.position += len(digests)

    @property
    def append(self) -> StreamAppend:
        """The append that seals what was folded.

        The seal stands somewhere after the events it covers, and the next one covers
        it: so the last seal of all vouches for the whole log.
        """
        sealed = Sealed(self._first, self.position, self._tree.root.hex())
        return StreamAppend(STREAM, self._version, (sealed,))

    def sealed(self, position: int) -> None:
        """Begin the next seal; this one was appended at `position`."""
        self._version += 1
        self._at = position
        self._first = self.position + 1
        self._tree = MerkleTree()
