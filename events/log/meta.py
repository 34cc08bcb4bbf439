"""The one row of `meta`: where a log ends, and what stands in no event."""

import sqlite3
from collections.abc import Iterable
from typing import Any

import msgspec

from .digest import meta_digest
from .errors import LogDamagedError

FORMAT_SINCE = 3
"""The first format of a file in which the row has `keys` and a digest."""

DIGEST_BYTES = 8
"""How long the digests of keys are, and this row's own."""

NO_KEYS = bytes(DIGEST_BYTES)
"""What `keys` is while there are none."""

SELECT = "SELECT format, next_position, committed, epoch, keys, digest FROM meta WHERE id = 1"
NOTHING = (None,) * 6
"""Stands for the row when it is not there."""

_UPDATE = (
    "UPDATE meta SET next_position = ?, committed = ?, epoch = ?, keys = ?, digest = ? "
    "WHERE epoch = ?"
)


def folded(digests: Iterable[Any], into: int = 0) -> int:
    """Fold digests of rows by XOR: in any order, and each a second time to take it out.

    What is no digest, as in a damaged row, is passed over.
    """
    for digest in digests:
        if isinstance(digest, bytes | bytearray):
            into ^= int.from_bytes(digest, "big")
    return into


class Meta(msgspec.Struct):
    """What the row says."""

    format: int
    next_position: int
    committed_us: int
    epoch: int
    keys: int = 0
    """The digests of all rows of `keys`, folded."""

    @classmethod
    def of(cls, row: tuple[Any, ...]) -> "Meta":
        """Return what the row of a log of today's format says.

        The columns are in the order of the table, without `id`. Raises
        `LogDamagedError` if they are not as they were written.
        """
        form, following, committed, epoch, keys, digest = row
        numbers = form, following, committed, epoch
        whole = isinstance(keys, bytes) and all(isinstance(n, int) for n in numbers)
        if not whole or digest != meta_digest(*numbers, keys):
            raise LogDamagedError(
                "what the log says of its end, its last commit, its epoch or its keys "
                "is not as it was written: verify it and restore it from a backup",
            )
        return cls(*numbers, int.from_bytes(keys, "big"))

    @classmethod
    def read(cls, db: sqlite3.Connection) -> "Meta":
        """Return what a file says; see `of`."""
        return cls.of(db.execute(SELECT).fetchone() or NOTHING)

    def fold(self, digests: Iterable[Any]) -> None:
        """Take digests of keys in, or out."""
        self.keys = folded(digests, self.keys)

    @property
    def values(self) -> tuple[int, int, int, bytearray, bytearray]:
        """What is written: next position, time of the last commit, epoch, keys, digest."""
        ends = self.next_position, self.committed_us, self.epoch
        keys = self.keys.to_bytes(DIGEST_BYTES, "big")
        # As bytearrays, which sqlite3 binds in a quarter of the time that bytes take.
        digest = bytearray(meta_digest(self.format, *ends, keys))
        return (*ends, bytearray(keys), digest)

    def write(self, db: sqlite3.Connection, epoch: int | None = None) -> bool:
        """Write it in the transaction that is open, if the row is of this epoch.

        It is said to be the one of now unless another one is named.
        """
        of = self.epoch if epoch is None else epoch
        return bool(db.execute(_UPDATE, (*self.values, of)).rowcount)
