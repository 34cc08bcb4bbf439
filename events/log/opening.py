"""Opens a log's file for writing, and makes sure that what it reads back is durable."""

import os
import sqlite3
from pathlib import Path

import structlog

from ..durable import sync_folder
from .archive import folder_of
from .digest import FIRST
from .errors import LogDamagedError, LogError, LogUnavailableError
from .meta import Meta
from .rows import Row, is_chained
from .schema import connect_writer
from .wal import wal_damage, wal_of

HEADS_MAX = 10_000
"""So many open streams are looked at; the others when they are read."""

_HEADS = """
SELECT s.stream, s.version, s.digest, p.digest,
       s.position, e.stream, e.version, e.tag, CAST(e.state AS BLOB), e.prev, e.digest,
       typeof(e.state) = 'blob'
FROM streams s LEFT JOIN events e ON e.position = s.position
LEFT JOIN events p ON p.position = e.prev WHERE s.open LIMIT ?
"""

_CHUNK_BYTES = 1 << 20

_log = structlog.get_logger()


def open_for_writing(
    path: Path,
    acknowledged: int | None,
    factory: type[sqlite3.Connection] = sqlite3.Connection,
) -> sqlite3.Connection:
    """Return the writer's connection to a log that holds what was acknowledged.

    `acknowledged` is the last position that was promised to be durable, when this
    process opens the file again after a failure; the file must then exist. None: a
    new file is made a log.

    What a dead or failing writer left in the WAL may have been read back from memory
    alone, and after a failed fsync the system forgets which pages never reached the
    disk. So the WAL is written and fsynced again, byte for byte, before anything
    relies on it, and then moved into the file.

    Raises `LogFormatError`, `LogDamagedError`, `sqlite3.Error` and `OSError`.
    """
    _check_wal(path)  # before SQLite, which drops what it cannot read
    _require_one_name(path)
    db = connect_writer(path, create=acknowledged is None, factory=factory)
    try:
        db.execute("BEGIN IMMEDIATE")  # nobody may move the WAL meanwhile
        _check(db, path, acknowledged or 0)
        _check_heads(db, path)
        _write_again(wal_of(path))
        db.execute("ROLLBACK")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        _look_at_segments(db, path)
    except BaseException:
        db.close()
        raise
    return db


def opening_error(path: Path, error: Exception) -> Exception:
    """Return what to tell about a log that could not be opened."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    if code in {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT}:
        return LogDamagedError(
            f"{path} is damaged ({error}): restore it from a backup",
        )
    if isinstance(error, LogError):
        return error
    return LogUnavailableError(
        f"{path} cannot be opened: {error}; check the folder, its permissions and "
        "the space on its disk",
    )


def _check_wal(path: Path) -> None:
    damage = wal_damage(path)
    if damage is not None:
        raise LogDamagedError(
            f"{path}: {damage}. Nothing was changed: copy it and {wal_of(path).name} "
            "away, export what can still be read, and restore it from a backup",
        )


def _require_one_name(path: Path) -> None:
    """Refuse a file that has hard links.

    By each name there would be another lock and another WAL, and whoever opens it by
    the second one destroys what is in the WAL of the first.
    """
    names = path.stat().st_nlink if path.is_file() else 1
    if names > 1:
        raise LogUnavailableError(
            f"{path} has {names} names (hard links), and each would have a WAL of its "
            "own: delete the others, or copy the file",
        )


def _check(db: sqlite3.Connection, path: Path, acknowledged: int) -> None:
    next_position = Meta.read(db).next_position
    (last,) = db.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()
    if max(acknowledged, last) >= next_position:
        raise LogDamagedError(
            f"{path} says that it ends before position {next_position}, but there "
            f"was a position {max(acknowledged, last)}: restore it from a backup",
        )


def _check_heads(db: sqlite3.Connection, path: Path) -> None:
    """Compare the last event of each open stream with its head and its digest."""
    for row in db.execute(_HEADS, (HEADS_MAX,)).fetchall():
        head, before, event = row[:3], row[3], Row(*row[4:])
        found = event.stream, event.version, event.digest
        previous = FIRST if event.prev is None else before
        if head != found or not (previous is None or is_chained(previous, event)):
            raise LogDamagedError(
                f"{path}: the event at position {row[4]}, the last of the open stream "
                f"{row[0]!r}, is not as it was written; verify the log and restore it "
                "from a backup",
            )


def _look_at_segments(db: sqlite3.Connection, path: Path) -> None:
    """Say which files of archived events are not there: the log works without them."""
    for name, size in db.execute("SELECT segment, size_bytes FROM segments"):
        file = folder_of(path) / name
        if not file.exists() or file.stat().st_size != size:
            _log.error("log.segment_damaged", path=str(file))


def _write_again(path: Path) -> None:
    """Write a file's bytes over themselves and fsync them; nothing if it is absent."""
    if not path.exists():
        return
    with path.open("r+b", buffering=0) as file:
        while chunk := file.read(_CHUNK_BYTES):
            file.seek(-len(chunk), os.SEEK_CUR)
            file.write(chunk)
        os.fsync(file.fileno())
    sync_folder(path.parent)
