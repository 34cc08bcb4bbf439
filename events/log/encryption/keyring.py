"""The keys of a log's owners, in a file of their own outside of the log."""

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import LogDamagedError, LogError, LogUnavailableError
from .ciphertext import NONCE_BYTES, Ciphertext
from .key_file import KeyLine, read_lines, writing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32

Seen = tuple[int, ...]
"""Inode, size and time of change of a file; empty: there is none."""

SNAPSHOTS = ""
"""The owner of the key for snapshots, in whose states owners mix: nobody."""


class KeyMissingError(LogError):
    """Something is encrypted with a key that is not at hand; it was not erased."""


class EncryptionMissingError(LogError):
    """The package that encrypts is not installed."""

    def __init__(self) -> None:
        super().__init__(
            "payloads are encrypted with the package `cryptography`, which is not "
            "installed: install dramaturg[encryption]",
        )


class Keyring:
    """One AES-256-GCM key per owner, in the file `path`, which is made when needed.

    A key is durable before anything is encrypted with it. After an owner's keys were
    destroyed, the owner's next event gets a new one. Whatever is encrypted has a nonce
    of its own by chance, which is sound for 2^32 events of an owner. Blocking, and for
    any thread. Raises `EncryptionMissingError` when made without the package.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._cipher = _cipher_class()
        self._lock = threading.Lock()
        self._lines: dict[str, KeyLine] = {}
        self._ciphers: dict[str, AESGCM] = {}
        self._live: dict[str, str] = {}
        """The names of keys in use, by owner."""
        self._seen: Seen = ()
        """What told the file from later ones when it was read."""

    def encrypt(self, owner: str, data: bytes, place: bytes) -> bytes:
        """Return what is to be stored for `data`, which is bound to its `place`.

        Raises `LogUnavailableError` when a new key cannot be kept, and
        `LogDamagedError` when the owner's key is not as it was written.
        """
        with self._lock:
            self._look()
            if owner not in self._live:
                self._make(owner)
            name = self._live[owner]
            cipher = self._ciphers_of(name)
        assert cipher is not None
        nonce = os.urandom(NONCE_BYTES)
        return Ciphertext(name, nonce + cipher.encrypt(nonce, data, place)).encoded()

    def decrypt(self, stored: Ciphertext, place: bytes) -> bytes | None:
        """Return the data that was encrypted; None: its key was destroyed.

        Raises `KeyMissingError` when there is no such key in the file, or no file, and
        `LogDamagedError` when the ciphertext is not what stood here.
        """
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an extra

        with self._lock:
            self._look()
            if stored.key not in self._lines:
                raise KeyMissingError(
                    f"the key {stored.key} is not in {self.path}: put the key file "
                    "that belongs to the log there",
                )
            cipher = self._ciphers_of(stored.key)
        if cipher is None:
            return None
        nonce, text = stored.ct[:NONCE_BYTES], stored.ct[NONCE_BYTES:]
        try:
            return cipher.decrypt(nonce, text, place)
        except (InvalidTag, ValueError) as error:
            raise LogDamagedError(
                "its ciphertext is not what was written here",
            ) from error

    def names(self, owner: str) -> tuple[str, ...]:
        """Return the names of all keys an owner ever had."""
        with self._lock:
            self._look()
            return tuple(n for n, line in self._lines.items() if line.owner == owner)

    def knows(self, name: str) -> bool:
        """Tell whether a key is or was in the file; a destroyed one leaves its name."""
        with self._lock:
            self._look()
            return name in self._lines

    def has(self, name: str) -> bool:
        """Tell whether a key is there and was not destroyed."""
        with self._lock:
            self._look()
            return name in self._live.values()

    def destroy(self, owner: str) -> int:
        """Destroy an owner's keys for good; return how many there were left.

        They are overwritten in the file, which is synced; a tombstone stays of each.
        Cut short, it can be repeated, and tombstones are written again: after a sync
        that failed they are read as if they were on the disk. Raises `OSError` and
        `LogDamagedError`.
        """
        with self._lock:
            with writing(self.path) as file:
                found = {at: line for at, line in file.lines() if line.owner == owner}
                file.destroy(found)
            self._read()
        return sum(map(_is_live, found.values()))

    def _make(self, owner: str) -> None:
        """Make an owner's key, unless another process has done so."""
        try:
            with writing(self.path) as file:
                owners = {line.owner for _, line in file.lines() if _is_live(line)}
                if owner not in owners:
                    file.add(owner, os.urandom(KEY_BYTES))
            self._read()
        except OSError as error:
            raise LogUnavailableError(
                f"{self.path} cannot take a new key ({error.strerror or error}): free "
                "some space or repair the disk, the log goes on by itself",
            ) from error

    def _look(self) -> None:
        """Read the file if it is not the one that was read last."""
        try:
            found = os.stat(self.path)  # noqa: PTH116 - for each event, half the time
            seen: Seen = found.st_ino, found.st_size, found.st_mtime_ns
        except FileNotFoundError:
            seen = ()
        if seen != self._seen:
            self._read()

    def _read(self) -> None:
        self._lines, self._live, self._ciphers, self._seen = {}, {}, {}, ()
        try:
            found = self.path.stat()
            lines = read_lines(self.path)
        except FileNotFoundError:
            return
        except OSError as error:
            raise KeyMissingError(
                f"{self.path} cannot be read ({error.strerror}): give this process the "
                "right to read it, or name the key file of the log",
            ) from error
        self._lines = {line.name: line for line in lines}
        self._live = {line.owner: line.name for line in lines if _is_live(line)}
        self._seen = found.st_ino, found.st_size, found.st_mtime_ns

    def _ciphers_of(self, name: str) -> "AESGCM | None":
        cipher = self._ciphers.get(name)
        if cipher is None:
            secret = self._lines[name].secret
            if secret is None:
                return None
            cipher = self._ciphers[name] = self._cipher(secret)
        return cipher


def _is_live(line: KeyLine) -> bool:
    return line.status == "live"


def _cipher_class() -> "type[AESGCM]":
    try:
        from cryptography.hazmat.primitives.ciphers.aead import (  # noqa: PLC0415
            AESGCM,  # an extra: only who has keys needs it
        )
    except ImportError as error:
        raise EncryptionMissingError from error
    return AESGCM
