"""The tables of a log in PostgreSQL, and how connections to them are opened.

They are those of a log file, with an index over the versions of streams in place of
the walk back through them, and two more: the nodes that are alive, and what each
has claimed.
"""

import re

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ..errors import LogFormatError

FORMAT = 1
"""The format that is written; newer ones are refused."""

NAME = re.compile(r"[a-z_][a-z0-9_]{0,50}")
"""What a schema may be called, so that it is the same with and without quotes."""

PATIENCE_S = 30.0
"""So long a reader's connection may be without an answer."""

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
    """CREATE TABLE nodes(
        epoch bigint PRIMARY KEY,
        node text NOT NULL,
        expires timestamptz NOT NULL,
        pid integer NOT NULL,
        started timestamptz NOT NULL
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
)

Connection = psycopg.Connection[tuple[object, ...]]


def connect(
    conninfo: str, schema: str, *, name: str = "", patience_s: float = PATIENCE_S
) -> Connection:
    """Open a connection whose names are those of one log. Raises `psycopg.Error`.

    It ends, here and at the server, when the other side has not answered or gone on
    with a transaction for `patience_s`; a side that says so at once ends it at once.
    What `conninfo` says of the connection itself counts instead.
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
    return psycopg.connect(make_conninfo("", **ours), autocommit=True)


def create(db: Connection, schema: str) -> None:
    """Make the tables unless they are there, and make sure that they are of our format.

    Raises `LogFormatError`.
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
    check(db, schema)


def check(db: Connection, schema: str) -> None:
    """Make sure that what is promised to be durable is. Raises `LogFormatError`."""
    row = db.execute("SELECT format FROM meta").fetchone()
    if row is None or row[0] != FORMAT:
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
