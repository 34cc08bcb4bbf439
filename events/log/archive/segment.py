"""A segment: a compressed file of archived events, with an index of its own.

It is made of gzip members one after the other, so that `zcat` prints it: the events as
lines of JSON by their positions, some hundred kilobytes of them to a member, and in the
last member the index, `{"blocks":[{"first":..,"last":..,"at":..},...]}`: which positions
each member holds, and at which byte it begins.
"""

import gzip
import os
import zlib
from bisect import bisect_right
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec

from ...durable import sync_folder
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
    """The file's name: first and last position and the start of its digest."""
    first: int
    last: int
    events: int
    size_bytes: int
    index_at: int
    """At which byte the index begins."""
    digest: bytes
    """SHA-256 of the file."""


class Block(msgspec.Struct, frozen=True):
    """A gzip member with the events from `first` to `last`, at byte `at`."""

    first: int
    last: int
    at: int


class _Index(msgspec.Struct, frozen=True):
    blocks: tuple[Block, ...]


_decode_index = msgspec.json.Decoder(_Index).decode


def folder_of(log: Path) -> Path:
    """Return the folder of a log's segments, beside it."""
    return log.with_name(f"{log.name}-segments")


def write_segment(folder: Path, rows: Iterable[Row]) -> Segment:
    """Write events, by their positions, to a durable file; at least one.

    It is written under another name, fsynced and renamed, so a file with the name of a
    segment is whole. The same events make the same file.
    """
    folder.mkdir(exist_ok=True)
    temporary = folder / f"{os.getpid()}.tmp"
    with temporary.open("wb") as file:
        blocks, events = _write_blocks(file, rows)
        index_at = file.tell()
        _write_member(file, msgspec.json.encode(_Index(tuple(blocks))) + b"\n")
        size_bytes = file.tell()
        file.flush()
        os.fsync(file.fileno())
    digest = file_digest(temporary)
    first, last = blocks[0].first, blocks[-1].last
    name = f"{first}-{last}-{digest.hex()[:16]}{SUFFIX}"
    temporary.rename(folder / name)
    for changed in (folder, folder.parent):
        sync_folder(changed)
    return Segment(name, first, last, events, size_bytes, index_at, digest)


def _write_blocks(file: BinaryIO, rows: Iterable[Row]) -> tuple[list[Block], int]:
    blocks: list[Block] = []
    lines: list[bytes] = []
    size = events = first = last = 0

    def end_block() -> None:
        blocks.append(Block(first, last, file.tell()))
        _write_member(file, b"".join(lines))
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
    return blocks, events


def _write_member(file: BinaryIO, text: bytes) -> None:
    file.write(gzip.compress(text, LEVEL, mtime=0))


def file_digest(path: Path) -> bytes:
    """Return SHA-256 of a file's contents."""
    digest = sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.digest()


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


class SegmentFile:
    """A segment that is read. Raises `LogDamagedError` for one that is not whole."""

    def __init__(self, folder: Path, segment: Segment) -> None:
        self._path = folder / segment.segment
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
            with self._path.open("rb") as file:
                file.seek(at)
                return gzip.decompress(file.read(end - at))
        except (OSError, EOFError, zlib.error) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> LogDamagedError:
        return LogDamagedError(
            f"{self._path}, to which events were archived, cannot be read ({error}): "
            "restore it from a backup",
        )
