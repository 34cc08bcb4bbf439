"""Whether a log's tables in a database, and what hangs on them, are those that were made."""

from collections.abc import Iterator

from ..errors import LogDamagedError
from ..shape import Oddity
from .connection import Connection

_OURS = (
    "meta",
    "nodes",
    "claims",
    "events",
    "streams",
    "snapshots",
    "keys",
    "segments",
    "segment_blocks",
)

_RELATIONS = "table", "view", "sequence", "relation"

# A line for each thing, in words that do not depend on the name of the schema.
_LINES = """
WITH every AS (
    SELECT c.oid, c.relname, c.relkind, c.relpersistence, c.relrowsecurity,
           quote_ident(n.nspname) || '.' AS prefix
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = current_schema()
), ours AS (
    SELECT * FROM every WHERE relkind = 'r' AND relname = ANY(%s)
)
SELECT CASE relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence'
            ELSE 'relation' END || ' ' || relname
       || CASE relpersistence WHEN 'p' THEN '' ELSE ', unlogged' END
       || CASE WHEN relrowsecurity THEN ', with row security' ELSE '' END
FROM every WHERE relkind NOT IN ('i', 'I', 't', 'c')
UNION ALL
SELECT 'column ' || relname || '.' || attname || ' ' || format_type(atttypid, atttypmod)
       || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
       || CASE WHEN attcollation <> typcollation
               THEN (SELECT ' COLLATE ' || collname FROM pg_collation l
                     WHERE l.oid = attcollation) ELSE '' END
       || coalesce(' DEFAULT ' || pg_get_expr(adbin, adrelid), '')
       || attidentity::text || attgenerated::text
FROM ours JOIN pg_attribute a ON a.attrelid = ours.oid
JOIN pg_type t ON t.oid = atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = ours.oid AND d.adnum = attnum
WHERE attnum > 0 AND NOT attisdropped
UNION ALL
SELECT 'constraint ' || conname || ' on ' || relname || ' ' || pg_get_constraintdef(k.oid)
FROM ours JOIN pg_constraint k ON k.conrelid = ours.oid WHERE contype <> 'n'
UNION ALL
SELECT replace(pg_get_indexdef(indexrelid), prefix, '')
       || CASE WHEN indisvalid THEN '' ELSE ', which is not valid' END
FROM ours JOIN pg_index i ON i.indrelid = ours.oid
UNION ALL
SELECT 'trigger ' || tgname || ' on ' || relname FROM ours
JOIN pg_trigger g ON g.tgrelid = ours.oid WHERE NOT tgisinternal
UNION ALL
SELECT 'disabled trigger of a constraint on ' || relname FROM ours
JOIN pg_trigger g ON g.tgrelid = ours.oid WHERE tgisinternal AND tgenabled <> 'O'
UNION ALL
SELECT 'rule ' || rulename || ' on ' || relname FROM ours
JOIN pg_rewrite r ON r.ev_class = ours.oid
UNION ALL
SELECT 'policy ' || polname || ' on ' || relname FROM ours
JOIN pg_policy p ON p.polrelid = ours.oid
UNION ALL
SELECT 'heir of ' || relname FROM ours
JOIN pg_inherits h ON h.inhparent = ours.oid
"""

EXPECTED = frozenset(
    """
CREATE INDEX keys_expires ON keys USING btree (expires) WHERE (expires IS NOT NULL)
CREATE INDEX streams_open ON streams USING btree (stream) WHERE open
CREATE UNIQUE INDEX claims_pkey ON claims USING btree (name)
CREATE UNIQUE INDEX events_pkey ON events USING btree ("position")
CREATE UNIQUE INDEX events_stream_version_key ON events USING btree (stream, version)
CREATE UNIQUE INDEX keys_pkey ON keys USING btree (scope, key)
CREATE UNIQUE INDEX meta_pkey ON meta USING btree (id)
CREATE UNIQUE INDEX nodes_pkey ON nodes USING btree (epoch)
CREATE UNIQUE INDEX segment_blocks_pkey ON segment_blocks USING btree (segment, at)
CREATE UNIQUE INDEX segments_pkey ON segments USING btree (segment)
CREATE UNIQUE INDEX snapshots_pkey ON snapshots USING btree (stream, version, fold_version)
CREATE UNIQUE INDEX streams_pkey ON streams USING btree (stream)
column claims.epoch bigint NOT NULL
column claims.name text NOT NULL COLLATE C
column events.digest bytea NOT NULL
column events.position bigint NOT NULL
column events.prev bigint
column events.state text NOT NULL
column events.stream text NOT NULL COLLATE C
column events.tag text NOT NULL
column events.version bigint NOT NULL
column keys.digest bytea NOT NULL
column keys.expires bigint
column keys.key text NOT NULL COLLATE C
column keys.scope text NOT NULL COLLATE C
column keys.stream text NOT NULL
column meta.committed bigint NOT NULL
column meta.epoch bigint NOT NULL
column meta.format integer NOT NULL
column meta.id integer NOT NULL
column meta.next_position bigint NOT NULL
column nodes.epoch bigint NOT NULL
column nodes.expires timestamp with time zone NOT NULL
column nodes.format integer NOT NULL
column nodes.node text NOT NULL
column nodes.pid integer NOT NULL
column nodes.started timestamp with time zone NOT NULL
column segment_blocks.at bigint NOT NULL
column segment_blocks.bytes bytea NOT NULL
column segment_blocks.segment text NOT NULL COLLATE C
column segments.digest bytea NOT NULL
column segments.events bigint NOT NULL
column segments.first bigint NOT NULL
column segments.index_at bigint NOT NULL
column segments.last bigint NOT NULL
column segments.segment text NOT NULL COLLATE C
column segments.size_bytes bigint NOT NULL
column snapshots.digest bytea NOT NULL
column snapshots.fold_version integer NOT NULL
column snapshots.position bigint NOT NULL
column snapshots.state bytea NOT NULL
column snapshots.stream text NOT NULL COLLATE C
column snapshots.version bigint NOT NULL
column streams.digest bytea NOT NULL
column streams.kind text NOT NULL
column streams.open boolean NOT NULL
column streams.position bigint NOT NULL
column streams.stream text NOT NULL COLLATE C
column streams.version bigint NOT NULL
constraint claims_epoch_fkey on claims FOREIGN KEY (epoch) REFERENCES nodes(epoch) ON DELETE CASCADE
constraint claims_pkey on claims PRIMARY KEY (name)
constraint events_pkey on events PRIMARY KEY ("position")
constraint events_stream_version_key on events UNIQUE (stream, version)
constraint keys_pkey on keys PRIMARY KEY (scope, key)
constraint meta_id_check on meta CHECK ((id = 1))
constraint meta_pkey on meta PRIMARY KEY (id)
constraint nodes_pkey on nodes PRIMARY KEY (epoch)
constraint segment_blocks_pkey on segment_blocks PRIMARY KEY (segment, at)
constraint segment_blocks_segment_fkey on segment_blocks FOREIGN KEY (segment) REFERENCES segments(segment)
constraint segments_pkey on segments PRIMARY KEY (segment)
constraint snapshots_pkey on snapshots PRIMARY KEY (stream, version, fold_version)
constraint streams_pkey on streams PRIMARY KEY (stream)
table claims
table events
table keys
table meta
table nodes
table segment_blocks
table segments
table snapshots
table streams
""".strip().splitlines()
)
"""The lines of a log of today's format."""


def lines(db: Connection) -> set[str]:
    """Return what there is in the schema of a connection."""
    return {str(line) for (line,) in db.execute(_LINES, ([*_OURS],))}


def require_shape(db: Connection, schema: str) -> None:
    """Refuse a log in which something would change what is written to it.

    Raises `LogDamagedError`.
    """
    for oddity in oddities(db):
        if oddity.harmful:
            raise LogDamagedError(
                f"schema {schema!r} has not the tables it was made with: "
                f"{oddity.message}. It may change what is written, or whether it is "
                "kept: undo that, or restore the database from a backup",
            )


def oddities(db: Connection) -> Iterator[Oddity]:
    """Yield what is other in a schema than in one of today's format."""
    found = lines(db)
    for line in sorted(found - EXPECTED):
        kind, name, *_ = line.replace(",", "").split()
        beside = kind in _RELATIONS and name not in _OURS
        harmful = not beside and not line.startswith("CREATE INDEX ")
        yield Oddity(f"{line} is none of a log's", harmful=harmful)
    for line in sorted(EXPECTED - found):
        yield Oddity(f"{line} is missing", harmful=not line.startswith("CREATE INDEX "))
