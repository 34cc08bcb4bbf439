"""The folder beside a log file in which its segments are."""

import os
from collections.abc import Iterable
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from ...durable import sync_folder
from ..beside import beside
from .segment import SUFFIX, Packed, unreadable


def folder_of(log: Path) -> Path:
    """Return the folder of a log's segments, beside it. Blocking."""
    return beside(log, "-segments")


class SegmentFolder:
    """The segments of the file `log`; a `SegmentSource`. Blocking."""

    def __init__(self, log: Path) -> None:
        self._log = log

    @cached_property
    def _folder(self) -> Path:
        return folder_of(self._log)

    def named(self, segment: str) -> str:
        """Return the path of a segment."""
        return str(self._folder / segment)

    def read(self, segment: str, at: int, end: int) -> bytes:
        """Return some of the bytes of a segment."""
        try:
            with (self._folder / segment).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(at)
                return file.read(min(end, size) - at)  # the row may say anything
        except (OSError, ValueError) as error:
            raise unreadable(self.named(segment), error) from error

    def digest(self, segment: str) -> bytes:
        """Return SHA-256 of a segment's bytes."""
        digest = sha256()
        try:
            with (self._folder / segment).open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
        except (OSError, ValueError) as error:
            raise unreadable(self.named(segment), error) from error
        return digest.digest()

    def write(self, packed: Packed) -> None:
        """Write a segment to a durable file. Raises `OSError`.

        It is written under another name, fsynced and renamed, so a file with the name
        of a segment is whole.
        """
        folder = self._folder
        folder.mkdir(exist_ok=True)
        temporary = folder / f"{os.getpid()}.tmp"
        with temporary.open("wb") as file:
            file.writelines(packed.members)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(folder / packed.segment.segment)
        for changed in (folder, folder.parent):
            sync_folder(changed)

    def clean(self, known: Iterable[str]) -> None:
        """Delete what an archiver that was killed has left: all but these segments."""
        if not self._folder.exists():
            return
        kept = set(known)
        for file in self._folder.iterdir():
            if file.suffix == ".tmp" or (
                file.name.endswith(SUFFIX) and file.name not in kept
            ):
                file.unlink()
