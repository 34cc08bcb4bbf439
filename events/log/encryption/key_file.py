"""The file in which keys lie: a line each, so that one can be destroyed in place.

    {"status":"live","key":"64 hexadecimal digits","name":"aes-256-gcm:...","owner":"ann"}

A key is destroyed by two writes over its own line, each synced: `dead` where `live`
stands, and zeros where the key does. Cut short between the two, it is dead already,
and whoever opens the file for writing finishes it. The line stays, as a tombstone. The
name is taken from the key by SHA-256, so a key that was damaged is noticed.
"""

import fcntl
import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Literal

import msgspec

from ...durable import sync_folder
from ..errors import MALFORMED, LogDamagedError
from .ciphertext import PREFIX

_STATUS_AT = len('{"status":"')
_KEY_AT = len('{"status":"live","key":"')
_NOTHING = b"0" * 64


class KeyLine(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    """A line of the file."""

    status: Literal["live", "dead"]
    key: str
    name: str
    owner: str

    @property
    def secret(self) -> bytes | None:
        """The key; None: it was destroyed. Raises `LogDamagedError` if it is another."""
        if self.status == "dead":
            return None
        with_name = _bytes(self.key)
        if name_of(with_name) != self.name:
            raise LogDamagedError(
                f"the key {self.name} of {self.owner!r} is not as it was written: "
                "restore the key file from a copy",
            )
        return with_name


_decode = msgspec.json.Decoder(KeyLine).decode
_encode = msgspec.json.Encoder().encode


def name_of(secret: bytes) -> str:
    """Return the name of a key, which tells nothing about it."""
    return PREFIX + sha256(b"dramaturg key " + secret).hexdigest()[:32]


def read_lines(path: Path) -> list[KeyLine]:
    """Return the lines of a key file; one that a crash cut off is no line.

    Raises `FileNotFoundError`, `OSError` and `LogDamagedError`.
    """
    return [line for _, line in _lines(path, path.read_bytes())]


@contextmanager
def writing(path: Path) -> "Generator[KeyFile, None, None]":
    """Open a key file, which is made if need be, while nobody else writes it.

    What a crash left half done in it is finished first. Raises `OSError` and
    `LogDamagedError`.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        if not os.fstat(fd).st_size:  # made now, or by one who was killed just then
            sync_folder(Path(os.path.realpath(path)).parent)
        file = KeyFile(path, fd)
        file.repair()
        yield file
    finally:
        os.close(fd)


class KeyFile:
    """A key file that is open for writing."""

    def __init__(self, path: Path, fd: int) -> None:
        self._path = path
        self._fd = fd

    def lines(self) -> list[tuple[int, KeyLine]]:
        """Return all lines and at which byte each begins."""
        return list(_lines(self._path, self._contents()))

    def repair(self) -> None:
        """Cut off half a line, and finish what was being destroyed."""
        contents = self._contents()
        whole = contents.rfind(b"\n") + 1
        if whole < len(contents):
            os.ftruncate(self._fd, whole)
            os.fsync(self._fd)
        self.destroy(
            start
            for start, line in self.lines()
            if line.status == "dead" and line.key != _NOTHING.decode()
        )

    def add(self, owner: str, secret: bytes) -> None:
        """Add a key; it is durable when this returns."""
        line = KeyLine("live", secret.hex(), name_of(secret), owner)
        end = os.fstat(self._fd).st_size
        text = _encode(line) + b"\n"
        try:
            while text:  # a full disk takes a part, and then raises
                written = os.pwrite(self._fd, text, os.fstat(self._fd).st_size)
                text = text[written:]
            os.fsync(self._fd)
        except OSError:
            os.ftruncate(self._fd, end)
            raise

    def destroy(self, starts: Iterable[int]) -> None:
        """Overwrite the keys in the lines at these bytes; durable when this returns."""
        starts = [*starts]
        for text, at in ((b"dead", _STATUS_AT), (_NOTHING, _KEY_AT)):
            for start in starts:
                os.pwrite(self._fd, text, start + at)
            if starts:
                os.fsync(self._fd)

    def _contents(self) -> bytes:
        return os.pread(self._fd, os.fstat(self._fd).st_size, 0)


def _lines(path: Path, contents: bytes) -> Generator[tuple[int, KeyLine], None, None]:
    start = 0
    for text in contents.splitlines(keepends=True):
        if text.endswith(b"\n"):
            try:
                yield start, _decode(text)
            except MALFORMED as error:
                raise LogDamagedError(
                    f"{path} is no key file, or damaged at byte {start} ({error}): "
                    "restore it from a copy",
                ) from error
        start += len(text)


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""
