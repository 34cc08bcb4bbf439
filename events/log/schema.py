"""The tables of a log file, and how a connection to them is opened.

The layout is log-structured: events carry no index besides their position, and each
names the position of the event before it in its stream. docs/format.md says more.
"""

import sqlite3
from pathlib import Path

from .digest import key_digest, snapshot_digest
from .errors import LogDamagedError, LogFormatError, LogNotFoundError
from .meta import NO_KEYS, Meta, folded

FILE_NAME = "events.db"
"""What a log is called in a folder of data."""

FORMAT = 3
"""The format that is written; older ones are still read, newer ones refused."""

APPLICATION_ID = 0x6472616D
"""'dram' in the file's header tells a log from other SQLite databases."""

SEGMENTS = """CREATE TABLE segments(
        segment TEXT PRIMARY KEY,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        events INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,
        index_at INTEGER NOT NULL,
        digest BLOB NOT NULL
    ) WITHOUT ROWID"""
"""The files that archived events have moved to: see `archive.segment`."""

TABLES = (
    # One row: the format, the position that the next event will have, when the last
    # group was committed (us; never goes back) and how often the log was opened for
    # writing; `keys` folds the digests of all keys, `digest` as in `digest.py`.
    """CREATE TABLE meta(
        id INTEGER PRIMARY KEY CHECK (id = 1),
        format INTEGER NOT NULL,
        next_position INTEGER NOT NULL,
        committed INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        keys BLOB NOT NULL DEFAULT x'0000000000000000',
        digest BLOB NOT NULL DEFAULT x''
    )""",
    # `state` is the document of `document.py`, `prev` the position of the stream's
    # previous event (NULL for its first), `digest` as in `digest.py`.
    """CREATE TABLE events(
        position INTEGER PRIMARY KEY,
        stream TEXT NOT NULL,
        version INTEGER NOT NULL,
        tag TEXT NOT NULL,
        state TEXT NOT NULL,
        prev INTEGER,
        digest BLOB NOT NULL
    )""",
    # Version, position and digest of each stream's last event; `open` is 0 when that
    # event's class closes its stream, else 1; `kind` is the name up to the first slash.
    """CREATE TABLE streams(
        stream TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        version INTEGER NOT NULL,
        position INTEGER NOT NULL,
        digest BLOB NOT NULL,
        open INTEGER NOT NULL
    ) WITHOUT ROWID""",
    "CREATE INDEX streams_open ON streams(stream) WHERE open",
    # `position` is that of the event of `version`, the last one folded into `state`;
    # `digest` as in `digest.py`, here and in `keys`.
    """CREATE TABLE snapshots(
        stream TEXT NOT NULL,
        version INTEGER NOT NULL,
        position INTEGER NOT NULL,
        fold_version INTEGER NOT NULL,
        state BLOB NOT NULL,
        digest BLOB NOT NULL DEFAULT x'',
        PRIMARY KEY (stream, version, fold_version)
    )""",
    # `expires` is wall time in us, NULL for never; from then on the key is free.
    """CREATE TABLE keys(
        scope TEXT NOT NULL,
        key TEXT NOT NULL,
        stream TEXT NOT NULL,
        expires INTEGER,
        digest BLOB NOT NULL DEFAULT x'',
        PRIMARY KEY (scope, key)
    ) WITHOUT ROWID""",
    "CREATE INDEX keys_expires ON keys(expires) WHERE expires IS NOT NULL",
    SEGMENTS,
)

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

    Raises `LogFormatError` when the file is something else, and `sqlite3.Error` when
    the disk does not let it be opened.
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
        _bring_up_to_date(db)
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


def format_of(db: sqlite3.Connection) -> int:
    """Return the format of a log."""
    (found,) = db.execute("SELECT format FROM meta").fetchone()
    return int(found)


def _bring_up_to_date(db: sqlite3.Connection) -> None:
    """Turn a log of an older format into one of today's, wholly or not at all."""
    found = format_of(db)
    if found == FORMAT:
        return
    db.execute("BEGIN IMMEDIATE")
    if found == 1:
        _digest_rows(db)
    db.execute(
        f"ALTER TABLE meta ADD COLUMN keys BLOB NOT NULL DEFAULT x'{NO_KEYS.hex()}'"
    )
    db.execute("ALTER TABLE meta ADD COLUMN digest BLOB NOT NULL DEFAULT x''")
    _write_meta(db)
    db.execute("COMMIT")


def _digest_rows(db: sqlite3.Connection) -> None:
    """Add what came with format 2."""
    db.create_function("snapshot_digest", 5, snapshot_digest, deterministic=True)
    db.create_function("key_digest", 4, key_digest, deterministic=True)
    for table in ("snapshots", "keys"):
        db.execute(f"ALTER TABLE {table} ADD COLUMN digest BLOB NOT NULL DEFAULT x''")
    db.execute(
        "UPDATE snapshots SET digest = "
        "snapshot_digest(stream, version, position, fold_version, state)",
    )
    db.execute("UPDATE keys SET digest = key_digest(scope, key, stream, expires)")
    db.execute(SEGMENTS)


def _write_meta(db: sqlite3.Connection) -> None:
    """Write what came with format 3."""
    row = db.execute("SELECT next_position, committed, epoch FROM meta").fetchone()
    keys = folded(digest for (digest,) in db.execute("SELECT digest FROM keys"))
    db.execute("UPDATE meta SET format = ?", (FORMAT,))
    next_position, committed_us, epoch = row
    Meta(FORMAT, next_position, committed_us, epoch, keys).write(db)


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
    _write_meta(db)
    db.execute("COMMIT")
