"""How a connection to the tables of a log file is opened."""

import sqlite3
from pathlib import Path
from typing import Any

from .errors import LogDamagedError, LogFormatError, LogNotFoundError
from .shape import oddities
from .tables import FORMAT, TABLES, bring_up_to_date, format_of, write_meta

FILE_NAME = "events.db"
"""What a log is called in a folder of data."""

APPLICATION_ID = 0x6472616D
"""'dram' in the file's header tells a log from other SQLite databases."""

_SETTINGS: tuple[tuple[str, str, str | int], ...] = (
    ("journal_mode", "WAL", "wal"),
    ("synchronous", "FULL", 2),
    ("fullfsync", "ON", 1),
    ("checkpoint_fullfsync", "ON", 1),
    ("wal_autocheckpoint", "0", 0),
    # A statement that writes many rows keeps the pages it changes as they were, until
    # it ends: in memory, for in a file they take longer than the statement itself.
    ("temp_store", "MEMORY", 2),
    ("trusted_schema", "OFF", 0),
)
"""What the writer sets, and how SQLite reports it when it is so."""

_BUSY_TIMEOUT_S = 5.0


def connect_writer(
    path: Path,
    *,
    create: bool = True,
    factory: type[sqlite3.Connection] = sqlite3.Connection,
) -> sqlite3.Connection:
    """Open the one writing connection, and unless told otherwise make a new file a log.

    What makes a commit durable is set and asserted; WAL frames are moved into the
    file only when the writer says so. The caller holds the log's lock.

    Raises `LogFormatError` when the file is something else, `LogDamagedError` when
    something in it would change what is written, and `sqlite3.Error` when the disk
    does not let it be opened.
    """
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'rwc' if create else 'rw'}",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
        factory=factory,
    )
    try:
        if create and not _is_log(db, path):
            _create(db)
        _require_log(db, path)
        _require_shape(db, path)
        bring_up_to_date(db)
        for setting in _SETTINGS:
            _set(db, path, *setting)
    except BaseException:
        db.close()
        raise
    return db


def connect_reader(path: Path, *, unchanging: bool = False) -> sqlite3.Connection:
    """Open a read-only connection, also while another process writes.

    With `unchanging` no lock and no shared memory are used, for folders in which
    nothing can be created; the caller knows that nobody writes the file.

    Raises `LogNotFoundError` when there is no file and `LogFormatError` when it is no
    log.
    """
    if not path.exists():
        raise LogNotFoundError(f"there is no log at {path}: check the path")
    db = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if unchanging else ''}",
        uri=True,
        timeout=_BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        db.execute("PRAGMA trusted_schema=OFF")
        _require_log(db, path)
    except BaseException:
        db.close()
        raise
    return db


def _set(
    db: sqlite3.Connection,
    path: Path,
    pragma: str,
    value: str,
    reported: str | int,
) -> None:
    db.execute(f"PRAGMA {pragma}={value}")
    (found,) = db.execute(f"PRAGMA {pragma}").fetchone()
    if found != reported:
        raise LogFormatError(
            f"SQLite refuses {pragma}={value} for {path} (it says {found!r}): "
            "keep the log on a local file system",
        )


def _require_log(db: sqlite3.Connection, path: Path) -> None:
    if not _is_log(db, path):
        raise LogFormatError(
            f"{path} is an empty database, not yet a log: write to it first",
        )


def _is_log(db: sqlite3.Connection, path: Path) -> bool:
    """Tell a log from an empty database; raise `LogFormatError` for all else."""
    try:
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_CORRUPT:
            raise LogDamagedError(
                f"{path} is damaged ({error}): restore it from a backup",
            ) from error
        raise LogFormatError(
            f"{path} is not a log ({error}): choose another path",
        ) from error
    if application == 0 and tables == 0:
        return False
    if application != APPLICATION_ID:
        raise LogFormatError(
            f"{path} is a database of something else: choose another path",
        )
    (found,) = db.execute("SELECT format FROM meta").fetchone() or (None,)
    if not isinstance(found, int) or found < 1:
        raise LogDamagedError(
            f"{path} is damaged (it does not say its format): restore it from a backup",
        )
    if found > FORMAT:
        raise LogFormatError(
            f"{path} has format {found}, written by a newer version; this one knows "
            f"{FORMAT}: upgrade dramaturg",
        )
    return True


def _require_shape(db: sqlite3.Connection, path: Path) -> None:
    """Refuse a file in which something would change what is written to it."""

    def query(text: str) -> list[Any]:
        return db.execute(text).fetchall()

    for oddity in oddities(query, format_of(db)):
        if oddity.harmful:
            raise LogDamagedError(
                f"{path} has not the tables it was made with: {oddity.message}. It may "
                "change what is written: undo that, or restore the log from a backup",
            )


def _create(db: sqlite3.Connection) -> None:
    """Make the tables, all or none."""
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("BEGIN IMMEDIATE")
    db.execute(f"PRAGMA application_id={APPLICATION_ID}")
    for statement in TABLES:
        db.execute(statement)
    db.execute(
        "INSERT INTO meta(id, format, next_position, committed, epoch) "
        "VALUES (1, ?, 1, 0, 0)",
        (FORMAT,),
    )
    write_meta(db)
    db.execute("COMMIT")
