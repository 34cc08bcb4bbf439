"""Whether the WAL beside a log lost frames in its middle.

SQLite reads a WAL up to the first frame whose checksum is wrong and takes what
follows for the rest of an unfinished commit, without a word. Here each commit is
fsynced before the next one begins, so that a crash can spoil the last commit alone:
commits after the one that is spoilt say that stored bytes were changed.

The format is that of https://www.sqlite.org/fileformat2.html#walformat.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec

from .beside import beside

HEADER = struct.Struct(">8I")
"""Magic, version, page size, checkpoint, two salts, two checksums."""
FRAME = struct.Struct(">6I")
"""Page, size of the file after a commit (else 0), two salts, two checksums."""
MAGICS = {0x377F0682: "<", 0x377F0683: ">"}
"""How checksums read their words: in little- or big-endian order."""
_PAGE_SIZE = 4096
"""What SQLite takes for a new file, where the header does not tell."""
_MASK = 0xFFFFFFFF
_SALTS = slice(8, 16)


class WalDamage(msgspec.Struct, frozen=True):
    """Frames that were committed and cannot be read any more."""

    frame: int
    """The first one that is not as it was written, from 1; 0: the header before them."""
    frames: int
    """How many frames there are."""
    commits: int
    """How many commits end at it or after it: the first may never have been done."""

    def __str__(self) -> str:
        """Say where and what."""
        where = f"frame {self.frame} of {self.frames}" if self.frame else "the header"
        return (
            f"{where} of its WAL is not as it was written, and {self.commits - 1} "
            "commits or more after it cannot be read"
        )


class _Frame(msgspec.Struct, frozen=True, gc=False):
    number: int
    sound: bool
    commits: bool


def wal_of(path: Path) -> Path:
    """Return where the WAL of a file is."""
    return beside(path, "-wal")


def wal_damage(path: Path) -> WalDamage | None:
    """Return what is wrong with the WAL beside the log at `path`.

    None if it is sound, absent, or spoilt in no more than its last commit. It takes
    about 20 ms for a megabyte. Raises `OSError`.
    """
    wal = wal_of(path)
    if not wal.exists():
        return None
    with wal.open("rb") as file:
        return _damage(file)


def _damage(file: BinaryIO) -> WalDamage | None:
    bad: int | None = None
    frames = commits = 0
    for frame in _frames(file):
        frames = frame.number
        if bad is None and not frame.sound:
            bad = frame.number
        if bad is not None:
            commits += frame.commits
    return WalDamage(bad, frames, commits) if bad is not None and commits > 1 else None


def _frames(file: BinaryIO) -> Iterator[_Frame]:
    """Go through the header, as frame 0, and the frames of the WAL's present round.

    A round is what has the same salts. Without a header that can be believed they
    are those of the first frame.
    """
    head = file.read(HEADER.size)
    if len(head) < HEADER.size:
        return
    magic, _, page_size, *_, one, two = HEADER.unpack(head)
    order = MAGICS.get(magic, "<")
    known = _checksum(order, head[:24], (0, 0))
    sound = magic in MAGICS and known == (one, two)
    yield _Frame(0, sound, commits=False)
    salts = head[16:24] if sound else b""
    if not sound:
        page_size = _PAGE_SIZE
    number = 0
    while len(frame := file.read(FRAME.size + page_size)) == FRAME.size + page_size:
        salts = salts or frame[_SALTS]
        if frame[_SALTS] != salts:
            return
        number += 1
        _, size, *_, one, two = FRAME.unpack_from(frame)
        if sound:
            known = _checksum(order, frame[:8], known)
            known = _checksum(order, frame[FRAME.size :], known)
            sound = known == (one, two)
        yield _Frame(number, sound, commits=size > 0)


def _checksum(order: str, data: bytes, before: tuple[int, int]) -> tuple[int, int]:
    """Go on with SQLite's checksum: two sums that feed each other."""
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    one, two = before
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & _MASK
        two = (two + second + one) & _MASK
    return one, two
