"""The tables of a log file, those of today and of before.

The layout is log-structured: events carry no index besides their position, and each
names the position of the event before it in its stream. docs/format.md says more.
"""

import sqlite3
from collections.abc import Iterator

from .digest import key_digest, snapshot_digest
from .meta import NO_KEYS, Meta, folded

FORMAT = 3
"""The format that is written; older ones are still read, newer ones refused."""

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

TRACKING = """CREATE TABLE IF NOT EXISTS tracking(
    application_name TEXT PRIMARY KEY,
    notification_id INTEGER NOT NULL
) WITHOUT ROWID"""
"""What recorders add."""

DIGEST = "digest BLOB NOT NULL DEFAULT x''"
"""The column that snapshots and keys have since format 2."""

META_COLUMNS = f"keys BLOB NOT NULL DEFAULT x'{NO_KEYS.hex()}'", DIGEST
"""Those that `meta` has since format 3."""

TABLES = (
    # One row: the format, the position that the next event will have, when the last
    # group was committed (us; never goes back) and how often the log was opened for
    # writing; `keys` folds the digests of all keys, `digest` as in `digest.py`.
    f"""CREATE TABLE meta(
        id INTEGER PRIMARY KEY CHECK (id = 1),
        format INTEGER NOT NULL,
        next_position INTEGER NOT NULL,
        committed INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        {META_COLUMNS[0]},
        {META_COLUMNS[1]}
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
    f"""CREATE TABLE snapshots(
        stream TEXT NOT NULL,
        version INTEGER NOT NULL,
        position INTEGER NOT NULL,
        fold_version INTEGER NOT NULL,
        state BLOB NOT NULL,
        {DIGEST},
        PRIMARY KEY (stream, version, fold_version)
    )""",
    # `expires` is wall time in us, NULL for never; from then on the key is free.
    f"""CREATE TABLE keys(
        scope TEXT NOT NULL,
        key TEXT NOT NULL,
        stream TEXT NOT NULL,
        expires INTEGER,
        {DIGEST},
        PRIMARY KEY (scope, key)
    ) WITHOUT ROWID""",
    "CREATE INDEX keys_expires ON keys(expires) WHERE expires IS NOT NULL",
    SEGMENTS,
)


def tables_of(format_: int) -> Iterator[str]:
    """Yield the statements that made a log of a format."""
    for statement in TABLES:
        made = statement
        if format_ < 3 and "TABLE meta" in made:
            for column in META_COLUMNS:
                made = made.replace(f",\n        {column}", "")
        if format_ < 2:
            made = made.replace(f"        {DIGEST},\n", "")
        if format_ > 1 or made != SEGMENTS:
            yield made


def format_of(db: sqlite3.Connection) -> int:
    """Return the format of a log."""
    (found,) = db.execute("SELECT format FROM meta").fetchone()
    return int(found)


def bring_up_to_date(db: sqlite3.Connection, to: int = FORMAT) -> None:
    """Turn a log of an older format into one of today's, wholly or not at all."""
    found = format_of(db)
    if found >= to:
        return
    db.execute("BEGIN IMMEDIATE")
    if found == 1:
        _digest_rows(db)
    if to == FORMAT:
        for column in META_COLUMNS:
            db.execute(f"ALTER TABLE meta ADD COLUMN {column}")
        write_meta(db)
    db.execute("COMMIT")


def _digest_rows(db: sqlite3.Connection) -> None:
    """Add what came with format 2."""
    db.create_function("snapshot_digest", 5, snapshot_digest, deterministic=True)
    db.create_function("key_digest", 4, key_digest, deterministic=True)
    for table in ("snapshots", "keys"):
        db.execute(f"ALTER TABLE {table} ADD COLUMN {DIGEST}")
    db.execute(
        "UPDATE snapshots SET digest = "
        "snapshot_digest(stream, version, position, fold_version, state)",
    )
    db.execute("UPDATE keys SET digest = key_digest(scope, key, stream, expires)")
    db.execute(SEGMENTS)


def write_meta(db: sqlite3.Connection) -> None:
    """Write what came with format 3."""
    row = db.execute("SELECT next_position, committed, epoch FROM meta").fetchone()
    keys = folded(digest for (digest,) in db.execute("SELECT digest FROM keys"))
    db.execute("UPDATE meta SET format = ?", (FORMAT,))
    next_position, committed_us, epoch = row
    Meta(FORMAT, next_position, committed_us, epoch, keys).write(db)
