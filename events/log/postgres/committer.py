"""Writes groups of appends to PostgreSQL, each group in one transaction."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import psycopg
from msgspec.structs import astuple

from ..api import Snapshot
from ..digest import snapshot_digest
from ..encoding import is_name
from ..errors import AppendRejectedError, LogUnavailableError, OutcomeUnknownError
from ..group import Group, Head, KeyName, absent
from ..outcomes import Outcome
from ..pending import Pending
from .errors import NotOwnerError, OwnershipLostError
from .schema import Connection

SNAPSHOTS_KEPT = 4
"""So many are kept of each stream, the newest; older ones go."""

EXPIRED_EVERY = 64
"""Every so many groups expired keys are deleted."""

_BEGIN = "SELECT next_position, committed FROM meta FOR UPDATE"
_ALIVE = "SELECT 1 FROM nodes WHERE epoch = %s AND expires > now() FOR SHARE"
_FOREIGN = """
SELECT c.name, n.node FROM claims c JOIN nodes n USING (epoch)
WHERE c.name = ANY(%s) AND c.epoch <> %s
"""
_HEADS = """
SELECT stream, kind, version, position, digest, open FROM streams
WHERE stream = ANY(%s)
"""
_KEYS = """
SELECT k.scope, k.key, k.stream FROM keys k
JOIN unnest(%s::text[], %s::text[]) AS wanted(scope, key) USING (scope, key)
WHERE k.expires IS NULL OR k.expires > %s
"""
_INSERT_EVENTS = """
INSERT INTO events(state, position, stream, version, tag, prev, digest)
SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::bigint[], %s::text[],
                     %s::bigint[], %s::bytea[])
"""
_UPSERT_STREAMS = """
INSERT INTO streams SELECT stream, kind, version, position, digest, open <> 0 FROM unnest(
    %s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bytea[], %s::int[]
) AS head(stream, kind, version, position, digest, open)
ON CONFLICT (stream) DO UPDATE SET version = excluded.version,
    position = excluded.position, digest = excluded.digest, open = excluded.open
"""
_UPSERT_KEYS = """
INSERT INTO keys SELECT * FROM unnest(
    %s::text[], %s::text[], %s::text[], %s::bigint[], %s::bytea[])
ON CONFLICT (scope, key) DO UPDATE SET stream = excluded.stream,
    expires = excluded.expires, digest = excluded.digest
"""
_UPSERT_SNAPSHOTS = """
INSERT INTO snapshots SELECT * FROM unnest(
    %s::text[], %s::bigint[], %s::bigint[], %s::int[], %s::bytea[], %s::bytea[])
ON CONFLICT (stream, version, fold_version) DO UPDATE SET
    position = excluded.position, state = excluded.state, digest = excluded.digest
"""
_DELETE_SNAPSHOTS = """
DELETE FROM snapshots s USING (
    SELECT stream, version, fold_version, row_number() OVER (
        PARTITION BY stream ORDER BY version DESC, fold_version DESC) AS number
    FROM snapshots WHERE stream = ANY(%s)
) old WHERE (s.stream, s.version, s.fold_version)
    = (old.stream, old.version, old.fold_version) AND old.number > %s
"""


class PostgresCommitter:
    """Commits groups through one connection, in the writer's thread.

    The row of `meta` is locked first, so that of all nodes one writes at a time, and
    the node's own row last among what is read: it says that the lease is not over,
    and cannot be taken away until the group is committed.
    """

    def __init__(  # noqa: PLR0913 - what is the same for all groups
        self,
        db: Connection,
        epoch: int,
        node: str,
        now_us: Callable[[], int],
        *,
        channel: str,
        lost: Callable[[], bool],
    ) -> None:
        self.epoch = epoch
        self._db = db
        self._node = node
        self._now_us = now_us
        self._channel = channel
        self._lost = lost
        self._groups = 0
        self._committed_us = 0
        self.digests: list[bytes] = []
        """The digests of the last group's events."""
        row: Any = db.execute("SELECT next_position FROM meta").fetchone()
        self._next_position = int(row[0])

    @property
    def position(self) -> int:
        """The last durable position."""
        return self._next_position - 1

    def commit(
        self, appends: Sequence[Pending], snapshots: Sequence[Snapshot]
    ) -> list[Outcome]:
        """Write a group durably and say what became of each append; see `Committer`."""
        try:
            self._db.execute("BEGIN")
            group, outcomes = self._compose(appends)
            self._insert(group, snapshots)
        except psycopg.Error as error:
            raise LogUnavailableError(_advice(error)) from error
        try:
            self._db.execute("COMMIT")
        except psycopg.Error as error:
            raise OutcomeUnknownError(_advice(error)) from error
        self._next_position = group.next_position
        self.digests = group.event_values[6::7]
        return outcomes

    def rest(self, *, idle: bool) -> None:
        """Notice that the lease is over although nothing is written."""
        del idle
        if self._lost():
            raise OwnershipLostError(self._node)

    def _compose(self, appends: Sequence[Pending]) -> tuple[Group, list[Outcome]]:
        row: Any = self._db.execute(_BEGIN).fetchone()
        if self._db.execute(_ALIVE, (self.epoch,)).fetchone() is None:
            raise OwnershipLostError(self._node)
        next_position, committed_us = row
        committed_us = max(committed_us, self._now_us())
        self._refuse_foreign(appends)
        heads: dict[str, Head] = {}

        def find_heads(names: Iterable[str]) -> None:
            self._find_heads(heads, names)

        find_heads({s.stream for p in appends if not p.refused for s in p.streams})
        group = Group(
            heads=heads,
            find_heads=find_heads,
            keys=self._keys_of(appends, committed_us),
            next_position=next_position,
            committed_us=committed_us,
            node=self._node,
            epoch=self.epoch,
        )
        outcomes = group.place(appends)
        self._committed_us = committed_us
        return group, outcomes

    def _refuse_foreign(self, appends: Sequence[Pending]) -> None:
        """Refuse appends to what another node has claimed."""
        names = {name for p in appends for s in p.streams for name in above(s.stream)}
        clean = [name for name in names if is_name(name)]
        rows: Any = self._db.execute(_FOREIGN, (clean, self.epoch)).fetchall()
        owners: dict[str, str] = dict(rows)
        if not owners:
            return
        for pending in appends:
            for append in pending.streams:
                for name in above(append.stream):
                    if name in owners:
                        pending.refused = NotOwnerError(append.stream, owners[name])

    def _find_heads(self, heads: dict[str, Head], names: Iterable[str]) -> None:
        missing = [name for name in names if name not in heads and is_name(name)]
        for name in missing:
            heads[name] = absent(name)
        if not missing:
            return
        rows: Any = self._db.execute(_HEADS, (missing,)).fetchall()
        for stream, kind, version, position, digest, is_open in rows:
            head = (stream, kind, version, position, bytearray(digest), int(is_open))
            heads[stream] = head

    def _keys_of(self, appends: Sequence[Pending], now_us: int) -> dict[KeyName, str]:
        wanted = [key for p in appends if p.refused is None for key in p.keys]
        if not wanted:
            return {}
        scopes, keys = [k.scope for k in wanted], [k.key for k in wanted]
        rows: Any = self._db.execute(_KEYS, (scopes, keys, now_us)).fetchall()
        return {(scope, key): stream for scope, key, stream in rows}

    def _insert(self, group: Group, snapshots: Sequence[Snapshot]) -> None:
        db = self._db
        self._groups += 1
        with db.pipeline():
            if group.event_values:
                db.execute(_INSERT_EVENTS, _columns(group.event_values, 7))
                heads = [*group.moved.values(), *group.turned.values()]
                db.execute(_UPSERT_STREAMS, _columns([v for h in heads for v in h], 6))
            if group.key_values:
                db.execute(_UPSERT_KEYS, _columns(group.key_values, 5))
            if snapshots:
                self._insert_snapshots(snapshots)
            if self._groups % EXPIRED_EVERY == 0:
                db.execute(
                    "DELETE FROM keys WHERE expires <= %s", (self._committed_us,)
                )
            db.execute(
                "UPDATE meta SET next_position = %s, committed = %s",
                (group.next_position, self._committed_us),
            )
            if group.event_values:
                last = f"{self.epoch}:{group.next_position - 1}"
                db.execute("SELECT pg_notify(%s, %s)", (self._channel, last))

    def _insert_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        rows = [astuple(snapshot) for snapshot in snapshots]
        values = [v for row in rows for v in (*row, snapshot_digest(*row))]
        self._db.execute(_UPSERT_SNAPSHOTS, _columns(values, 6))
        names = [*{snapshot.stream for snapshot in snapshots}]
        self._db.execute(_DELETE_SNAPSHOTS, (names, SNAPSHOTS_KEPT))


def above(stream: str) -> Iterable[str]:
    """Yield the names by which a stream may be claimed: its own, and its prefixes."""
    yield stream
    end = stream.find("/")
    while end >= 0:
        yield stream[: end + 1]
        end = stream.find("/", end + 1)


def _columns(values: list[Any], width: int) -> list[list[Any]]:
    """Turn flat rows into columns; psycopg takes bytes and not bytearrays in arrays."""
    return [
        [bytes(v) if isinstance(v, bytearray) else v for v in values[column::width]]
        for column in range(width)
    ]


def _advice(error: psycopg.Error | AppendRejectedError) -> str:
    said = " ".join(str(error).split())
    return (
        f"the log cannot be written: {said}; look after the server and the way to it, "
        "it goes on by itself when they do"
    )
