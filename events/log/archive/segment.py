"""A segment: archived events, compressed, with an index of its own.

It is made of gzip members one after the other, so that `zcat` prints it: the events as
lines of JSON by their positions, some hundred kilobytes of them to a member, and in the
last member the index, `{"blocks":[{"first":..,"last":..,"at":..},...]}`: which positions
each member holds, and at which byte it begins.
"""

import gzip
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple, Protocol

import msgspec

from ..errors import MALFORMED, LogDamagedError
from ..lines import decode_line, encode_line
from ..rows import Row

BLOCK_BYTES = 256 << 10
"""So much text is compressed together. Larger blocks are hardly smaller on the disk
(15 % of the text against 15 %, 18 % at a quarter of it), and slower to seek in."""

LEVEL = 6
"""zlib's; xz takes three times as long to read for four fifths of the size."""

SUFFIX = ".ndjson.gz"


class Segment(msgspec.Struct, frozen=True):
    """What the log knows of a segment: a row of its table of segments."""

    segment: str
    """Its name: first and last position and the start of its digest."""
    first: int
    last: int
    events: int
    size_bytes: int
    index_at: int
    """At which byte the index begins."""
    digest: bytes
    """SHA-256 of all its bytes."""


class Block(msgspec.Struct, frozen=True):
    """A gzip member with the events from `first` to `last`, at byte `at`."""

    first: int
    last: int
    at: int


class _Index(msgspec.Struct, frozen=True):
    blocks: tuple[Block, ...]


_decode_index = msgspec.json.Decoder(_Index).decode


class Packed(NamedTuple):
    """A segment, and its bytes."""

    segment: Segment
    members: Sequence[bytes]
    """The gzip members: the blocks, and last the index."""


def packed(rows: Iterable[Row]) -> Packed:
    """Compress events, given by their positions; at least one.

    The same events make the same segment.
    """
    blocks: list[Block] = []
    members: list[bytes] = []
    lines: list[bytes] = []
    size = events = first = last = at = 0

    def end_block() -> None:
        nonlocal at
        blocks.append(Block(first, last, at))
        members.append(gzip.compress(b"".join(lines), LEVEL, mtime=0))
        at += len(members[-1])
        lines.clear()

    for row in rows:
        if not lines:
            first, size = row.position, 0
        last = row.position
        events += 1
        lines.append(encode_line(row))
        size += len(lines[-1])
        if size >= BLOCK_BYTES:
            end_block()
    if lines:
        end_block()
    index = msgspec.json.encode(_Index(tuple(blocks))) + b"\n"
    members.append(gzip.compress(index, LEVEL, mtime=0))
    digest = sha256()
    for member in members:
        digest.update(member)
    first = blocks[0].first
    name = f"{first}-{last}-{digest.hexdigest()[:16]}{SUFFIX}"
    size_bytes = at + len(members[-1])
    segment = Segment(name, first, last, events, size_bytes, at, digest.digest())
    return Packed(segment, members)


class SegmentSource(Protocol):
    """Where the bytes of segments are kept. Blocking.

    Raises `LogDamagedError` for what is not there, and what reading there raises.
    """

    def named(self, segment: str) -> str:
        """Return what a segment is called in messages."""
        ...

    def read(self, segment: str, at: int, end: int) -> bytes:
        """Return the bytes of a gzip member, from `at` to `end`."""
        ...

    def digest(self, segment: str) -> bytes:
        """Return SHA-256 of all bytes of a segment."""
        ...


def unreadable(name: str, why: object) -> LogDamagedError:
    """Return the error of a segment of which something cannot be read."""
    said = getattr(why, "strerror", None) or why  # without the name once more
    return LogDamagedError(
        f"{name}, to which events were archived, cannot be read ({said}): restore it "
        "from a backup",
    )


_POSITION_AT = len(b'{"position":')


class BlockText:
    """The lines of a block, of which few are decoded if few are wanted.

    Raises `ValueError` if they are none.
    """

    __slots__ = ("_lines", "_positions")

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        start = _POSITION_AT
        self._positions = [int(line[start : line.index(b",")]) for line in lines]

    def rows(self, after: int, until: int, limit: int) -> list[Row]:
        """Return at most `limit` events with after < position <= until."""
        first = bisect_right(self._positions, after)
        last = min(bisect_right(self._positions, until), first + limit)
        return [decode_line(line)[0] for line in self._lines[first:last]]


class SegmentReader:
    """Reads a segment. Raises `LogDamagedError` where it is not whole."""

    def __init__(self, source: SegmentSource, segment: Segment) -> None:
        self._source = source
        self._name = segment.segment
        self._ends = segment.index_at, segment.size_bytes
        index = self._member(*self._ends)
        try:
            self.blocks = _decode_index(index).blocks
        except MALFORMED as error:
            raise self._damaged(error) from error

    def text(self, block: int) -> "BlockText":
        """Return the text of a block."""
        after = block + 1
        at = self.blocks[block].at
        end = self.blocks[after].at if after < len(self.blocks) else self._ends[0]
        lines = self._member(at, end).splitlines()
        try:
            return BlockText(lines)
        except ValueError as error:
            raise self._damaged(error) from error

    def _member(self, at: int, end: int) -> bytes:
        try:
            return gzip.decompress(self._source.read(self._name, at, end))
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> LogDamagedError:
        return unreadable(self._source.named(self._name), error)
