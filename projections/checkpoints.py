"""Where projections keep how far they have read, together with their state."""

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from ..events.closing import Closing
from .errors import CheckpointsError

_CREATE = """
CREATE TABLE IF NOT EXISTS checkpoints (
    name TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    anchor TEXT NOT NULL,
    state BLOB NOT NULL
) STRICT
"""


class Checkpoint(msgspec.Struct, frozen=True, gc=False):
    """The state of a projection after `position`, in one row with that position."""

    version: int
    """The version of the projection that made it."""
    position: int
    anchor: str
    """Names the event at `position`, so that another log is not taken for this one."""
    state: bytes


class Checkpoints(Closing):
    """A SQLite file with one row per projection. Blocking: use it in a thread.

    Position and state stand in one row, hence in one transaction: whatever a crash
    leaves behind is a state and exactly the position that it belongs to. The newest
    checkpoint may be lost in a power cut; then a few events are read again.

    Raises `CheckpointsError` when the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._db = sqlite3.connect(
                path,
                isolation_level=None,
                check_same_thread=False,
            )
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        try:
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(_CREATE)
        except sqlite3.Error as error:
            self._db.close()
            raise self._unusable(error) from error

    def close(self) -> None:
        """Close the file; checkpoints that were saved stay."""
        self._db.close()

    def load(self, name: str) -> Checkpoint | None:
        """Return the checkpoint of a projection, None if it has none."""
        query = "SELECT version, position, anchor, state FROM checkpoints WHERE name=?"
        try:
            with closing(self._db.execute(query, (name,))) as rows:
                row = rows.fetchone()
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return row and Checkpoint(*row)

    def save(self, name: str, checkpoint: Checkpoint) -> None:
        """Keep a checkpoint in the place of the one before."""
        row = (name, *msgspec.structs.astuple(checkpoint))
        try:
            self._db.execute("REPLACE INTO checkpoints VALUES (?, ?, ?, ?, ?)", row)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _unusable(self, error: sqlite3.Error) -> CheckpointsError:
        return CheckpointsError(
            f"{self._path} cannot be used as a file of checkpoints: {error}; it holds "
            "nothing that is not in the log, so remove it if it is damaged",
        )
