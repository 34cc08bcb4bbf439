"""The tables of a log in PostgreSQL, and how connections to them are opened.

They are those of a log file, with an index over the versions of streams in place of
the walk back through them, and three more: the nodes that are alive, what each has
claimed, and the bytes of the segments, which for a file are beside it.
"""

import re

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ..errors import LogDamagedError, LogFormatError
from .connection import Connection
from .shape import require_shape

FORMAT = 2
"""The format that is written; older ones are still read, newer ones refused."""

NAME = re.compile(r"[a-z_][a-z0-9_]{0,50}")
"""What a schema may be called, so that it is the same with and without quotes."""

PATIENCE_S = 30.0
"""So long a reader's connection may be without a sign of life."""

ARCHIVE = (
    # The segments that archived events have moved to: see `archive.segment`.
    """CREATE TABLE segments(
        segment text COLLATE "C" PRIMARY KEY,
        first bigint NOT NULL,
        last bigint NOT NULL,
        events bigint NOT NULL,
        size_bytes bigint NOT NULL,
        index_at bigint NOT NULL,
        digest bytea NOT NULL
    )""",
    # Their bytes, a row for each gzip member, by the byte at which it begins.
    """CREATE TABLE segment_blocks(
        segment text COLLATE "C" NOT NULL REFERENCES segments,
        at bigint NOT NULL,
        bytes bytea NOT NULL,
        PRIMARY KEY (segment, at)
    )""",
    # They are compressed already: the server shall not try it again.
    "ALTER TABLE segment_blocks ALTER bytes SET STORAGE EXTERNAL",
)
"""What came with format 2."""

TABLES = (
    # One row: the format, the position that the next event will have, when the last
    # group was committed (us; never goes back) and how often the log was opened.
    # Who writes a group holds its lock, so positions have no gaps and are committed
    # in their order.
    """CREATE TABLE meta(
        id integer PRIMARY KEY CHECK (id = 1),
        format integer NOT NULL,
        next_position bigint NOT NULL,
        committed bigint NOT NULL,
        epoch bigint NOT NULL
    )""",
    # One row for each opening that is alive; by the server's clock, so that those of
    # the nodes do not matter. Whoever deletes one that has expired has fenced it. The
    # process of the server that writes for it is told from later ones by its start.
    # Versions that know format 1 alone do not say a format, so that they cannot enter:
    # their readers would take what is archived for lost.
    """CREATE TABLE nodes(
        epoch bigint PRIMARY KEY,
        node text NOT NULL,
        expires timestamptz NOT NULL,
        pid integer NOT NULL,
        started timestamptz NOT NULL,
        format integer NOT NULL
    )""",
    # A stream, or all streams whose names begin with a text that ends in a slash.
    """CREATE TABLE claims(
        name text COLLATE "C" PRIMARY KEY,
        epoch bigint NOT NULL REFERENCES nodes ON DELETE CASCADE
    )""",
    """CREATE TABLE events(
        position bigint PRIMARY KEY,
        stream text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        tag text NOT NULL,
        state text NOT NULL,
        prev bigint,
        digest bytea NOT NULL,
        UNIQUE (stream, version)
    )""",
    """CREATE TABLE streams(
        stream text COLLATE "C" PRIMARY KEY,
        kind text NOT NULL,
        version bigint NOT NULL,
        position bigint NOT NULL,
        digest bytea NOT NULL,
        open boolean NOT NULL
    ) WITH (fillfactor = 80)""",
    "CREATE INDEX streams_open ON streams(stream) WHERE open",
    """CREATE TABLE snapshots(
        stream text COLLATE "C" NOT NULL,
        version bigint NOT NULL,
        position bigint NOT NULL,
        fold_version integer NOT NULL,
        state bytea NOT NULL,
        digest bytea NOT NULL,
        PRIMARY KEY (stream, version, fold_version)
    )""",
    """CREATE TABLE keys(
        scope text COLLATE "C" NOT NULL,
        key text COLLATE "C" NOT NULL,
        stream text NOT NULL,
        expires bigint,
        digest bytea NOT NULL,
        PRIMARY KEY (scope, key)
    )""",
    "CREATE INDEX keys_expires ON keys(expires) WHERE expires IS NOT NULL",
    *ARCHIVE,
)


def connect(
    conninfo: str,
    schema: str,
    *,
    name: str = "",
    patience_s: float = PATIENCE_S,
    answer_s: float | None = None,
) -> Connection:
    """Open a connection whose names are those of one log. Raises `psycopg.Error`.

    It ends, here and at the server, when the other side has not answered or gone on
    with a transaction for `patience_s`; a side that says so at once ends it at once.
    What `conninfo` says of the connection itself counts instead. The answer to a
    statement is waited for `answer_s`; None: as long as it takes.
    """
    given = conninfo_to_dict(conninfo)
    patience_ms = max(1, round(patience_s * 1000))
    options = (
        f"-c search_path={schema} -c synchronous_commit=on "
        f"-c idle_in_transaction_session_timeout={patience_ms} "
    )
    ours = {
        "connect_timeout": 5,
        "keepalives_idle": max(1, round(patience_s / 3)),
        "keepalives_interval": max(1, round(patience_s / 9)),
        "keepalives_count": 6,
        "tcp_user_timeout": patience_ms,
        "application_name": f"dramaturg:{name}"[:63],
        **given,
        "options": options + str(given.get("options") or ""),
    }
    db = Connection.connect(make_conninfo("", **ours), autocommit=True)
    db.answer_s = answer_s
    return db


def create(db: Connection, schema: str) -> None:
    """Make the tables unless they are there, and make sure that they are of our format.

    Those of an older one are brought up to date. Raises `LogFormatError`, also while a
    node of an earlier version is at work on them.
    """
    name = sql.Identifier(schema)
    with db.transaction():
        # Two nodes that start at once must not make them both.
        db.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (schema,))
        found = db.execute("SELECT to_regclass('meta')").fetchone()
        if found == (None,):
            db.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
            for statement in TABLES:
                db.execute(statement)
            db.execute("INSERT INTO meta VALUES (1, %s, 1, 0, 0)", (FORMAT,))
        elif db.execute("SELECT format FROM meta").fetchone() == (1,):
            _bring_up_to_date(db, schema)
    check(db, schema)
    require_shape(db, schema)


def _bring_up_to_date(db: Connection, schema: str) -> None:
    """Turn a log of format 1 into one of today's, in the transaction that is open."""
    db.execute("SELECT 1 FROM meta FOR UPDATE")  # nobody may write or enter meanwhile
    db.execute("DELETE FROM nodes WHERE expires <= clock_timestamp()")
    node = db.execute("SELECT node, epoch FROM nodes ORDER BY epoch LIMIT 1").fetchone()
    if node is not None:
        raise LogFormatError(
            f"schema {schema!r} has format 1, and node {node[0] or node[1]!r}, of an "
            "earlier version of dramaturg, has it open: stop all nodes of that "
            "version, then start this one",
        )
    for statement in ARCHIVE:
        db.execute(statement)
    db.execute("ALTER TABLE nodes ADD COLUMN format integer NOT NULL")
    db.execute("UPDATE meta SET format = %s", (FORMAT,))


def check_again(db: Connection, schema: str, acknowledged: int) -> None:
    """Check a log that was there, and that it holds what was acknowledged.

    Raises `LogFormatError`, and `LogDamagedError` when it does not reach so far.
    """
    check(db, schema)
    require_shape(db, schema)
    row = db.execute("SELECT next_position - 1 FROM meta").fetchone()
    (last,) = row or (0,)
    if not isinstance(last, int) or last < acknowledged:
        raise LogDamagedError(
            f"the log in schema {schema!r} ends at position {last}, but {acknowledged} "
            "was acknowledged: the server went on from a backup or a replica that had "
            "not got so far. Bring the right one back, or start the nodes again to go "
            "on from what there is",
        )


def check(db: Connection, schema: str) -> None:
    """Make sure that what is promised to be durable is. Raises `LogFormatError`."""
    row = db.execute("SELECT format FROM meta").fetchone()
    if row is None or row[0] not in range(1, FORMAT + 1):
        raise LogFormatError(
            f"schema {schema!r} has format {row and row[0]}, this version knows "
            f"{FORMAT}: upgrade dramaturg, or name another schema",
        )
    for setting in ("fsync", "full_page_writes"):
        row = db.execute("SELECT current_setting(%s)", (setting,)).fetchone()
        if row != ("on",):
            raise LogFormatError(
                f"the server has {setting} = off and may lose what it has committed: "
                "switch it on",
            )
