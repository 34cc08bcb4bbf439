"""A keyring in memory, for a log in memory: nothing of it blocks."""

import os
from pathlib import Path

from .key_file import KeyLine, name_of
from .keyring import KEY_BYTES, Keyring


class MemoryKeyring(Keyring):
    """Keys that are gone with the process, for tests with a `MemoryLog`."""

    def __init__(self) -> None:
        super().__init__(Path("(in memory)"))

    def destroy(self, owner: str) -> int:
        """Destroy an owner's keys for good; return how many there were left."""
        with self._lock:
            name = self._live.pop(owner, None)
            if name is None:
                return 0
            self._ciphers.pop(name, None)
            self._lines[name] = KeyLine("dead", "", name, owner)
            return 1

    def _make(self, owner: str) -> None:
        secret = os.urandom(KEY_BYTES)
        line = KeyLine("live", secret.hex(), name_of(secret), owner)
        self._lines[line.name] = line
        self._live[owner] = line.name

    def _look(self) -> None:
        """There is no file that could have changed."""
