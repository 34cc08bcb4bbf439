"""Writes groups of appends to PostgreSQL, each group in one transaction."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import psycopg
from msgspec.structs import astuple

from ..api import Snapshot
from ..archive.removal import Removals
from ..digest import snapshot_digest
from ..encoding import is_name
from ..encryption.event import MARK
from ..engine import SNAPSHOTS_KEPT
from ..errors import LogUnavailableError, OutcomeUnknownError
from ..group import Group, Head, KeyName, absent
from ..lull import Lull
from ..outcomes import Outcome
from ..pending import Pending
from .arrays import Array, Blobs, Integers, Texts, register
from .connection import Connection
from .errors import NotOwnerError, OwnershipLostError
from .removing import GroupRemovals

Kinds = Sequence[type[Texts | Integers | Blobs]]

EVENTS: Kinds = (Texts, Integers, Texts, Integers, Texts, Integers, Blobs)
HEADS: Kinds = (Texts, Texts, Integers, Integers, Blobs, Integers)
KEY_ROWS: Kinds = (Texts, Texts, Texts, Integers, Blobs)
_SNAPSHOTS: Kinds = (Texts, Integers, Integers, Integers, Blobs, Blobs)

EXPIRED_EVERY = 64
"""Every so many groups expired keys are deleted."""

# The row of `meta` is locked before that of the node; what is read after that is new.
_ENTER = """
SELECT m.next_position, m.committed FROM meta m, nodes n WHERE n.epoch = %s
FOR UPDATE OF m FOR KEY SHARE OF n
"""
# The heads of streams, and the names that others have claimed with their nodes.
_LOOK = """
SELECT stream, kind, version, position, digest, open FROM streams
WHERE stream = ANY(%s)
UNION ALL
SELECT c.name, n.node, NULL, NULL, NULL, NULL FROM claims c JOIN nodes n USING (epoch)
WHERE c.name = ANY(%s) AND c.epoch <> %s
"""
_LAST_DOCUMENT = """
SELECT e.state FROM streams s JOIN events e USING (position) WHERE s.stream = %s
"""
_KEYS = """
SELECT k.scope, k.key, k.stream, k.expires FROM keys k
JOIN unnest(%s::text[], %s::text[]) AS wanted(scope, key) USING (scope, key)
"""
_LEAVE = """
UPDATE meta SET next_position = %s, committed = %s RETURNING pg_notify(%s, %s)
"""
INSERT_EVENTS = """
INSERT INTO events(state, position, stream, version, tag, prev, digest)
SELECT * FROM unnest(%s, %s, %s, %s, %s, %s, %s)
"""
INSERT_HEADS = """
INSERT INTO streams
SELECT stream, kind, version, position, digest, open <> 0
FROM unnest(%s, %s, %s, %s, %s, %s)
    AS head(stream, kind, version, position, digest, open)
ON CONFLICT (stream) DO UPDATE SET version = excluded.version,
    position = excluded.position, digest = excluded.digest, open = excluded.open
"""
_WRITE = f"WITH written AS ({INSERT_EVENTS}), moved AS ({INSERT_HEADS}) {_LEAVE}"
_UPSERT_KEYS = """
INSERT INTO keys SELECT * FROM unnest(%s, %s, %s, %s, %s)
ON CONFLICT (scope, key) DO UPDATE SET stream = excluded.stream,
    expires = excluded.expires, digest = excluded.digest
"""
_UPSERT_SNAPSHOTS = """
INSERT INTO snapshots SELECT * FROM unnest(%s, %s, %s, %s, %s, %s)
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
    the node's own row next: it says that nobody has fenced the node, and cannot be
    taken away until the group is committed.
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
        encrypts: bool,
        lull: Lull,
        removals: Removals,
    ) -> None:
        self.epoch = epoch
        self._db = db
        self._node = node
        self._now_us = now_us
        self._channel = channel
        self._lost = lost
        self._encrypts = encrypts
        self._lull = lull
        self._removals = removals
        self._groups = 0
        self._committed_us = self._clock_us = 0
        self.digests: list[bytes] = []
        """The digests of the last group's events."""
        register(db)
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
        removals = GroupRemovals(self._removals, appends)
        try:
            group, outcomes = self._compose(appends, removals)
        except psycopg.Error as error:
            raise LogUnavailableError(_advice(error)) from error
        try:
            with self._db.pipeline():
                if group.event_values or group.key_values or snapshots:
                    self._insert(group, snapshots)
                removals.write(self._db, outcomes)
                self._db.execute("COMMIT")
                self._lull.begin()
        except psycopg.Error as error:
            if _is_refused(error):
                raise LogUnavailableError(_advice(error)) from error
            raise OutcomeUnknownError(_advice(error)) from error
        self._next_position = group.next_position
        self.digests = group.event_values[6::7]
        return outcomes

    def last_document(self, stream: str) -> bytes | None:
        """Return the document of a stream's last event; see `Committer`."""
        row: Any = self._db.execute(_LAST_DOCUMENT, (stream,)).fetchone()
        return None if row is None else row[0].encode()

    def rest(self, *, idle: bool) -> None:
        """Notice that the lease is over although nothing is written."""
        del idle
        if self._lost():
            raise OwnershipLostError.of(self._node)

    def _compose(
        self, appends: Sequence[Pending], removals: GroupRemovals
    ) -> tuple[Group, list[Outcome]]:
        db = self._db
        named = {append.stream for p in appends for append in p.streams}
        if not self._encrypts and any(
            context.owner for p in appends for context in p.contexts
        ):
            named.add(MARK)
        names = [*filter(is_name, named)]
        wanted = [key for p in appends if p.refused is None for key in p.keys]
        # One way to the server and back. Each statement sees what was committed before
        # it began, so those after the first see all that other nodes have written.
        with db.pipeline():
            db.execute("BEGIN")
            entered = db.execute(_ENTER, (self.epoch,))
            claimable = Texts.of({each for name in names for each in above(name)})
            looked = db.execute(_LOOK, (Texts.of(names), claimable, self.epoch))
            scopes, keys = [k.scope for k in wanted], [k.key for k in wanted]
            taken = (
                db.execute(_KEYS, (Texts.of(scopes), Texts.of(keys)))
                if wanted
                else None
            )
            removals.ask(db)
        row: Any = entered.fetchone()
        if row is None:
            raise OwnershipLostError.of(self._node)
        next_position, committed_us = row
        self._clock_us = self._now_us()
        self._committed_us = committed_us = max(committed_us, self._clock_us)
        found: Any = looked.fetchall()
        if not self._encrypts and any(row[0] == MARK for row in found):
            raise LogUnavailableError(
                f"node {self._node!r} has no key file, and the log is encrypted since "
                "it was opened: start the node again with the keyring of the others",
            )
        owners = {name: node for name, node, version, *_ in found if version is None}
        if owners:
            _refuse_foreign(appends, owners)
        heads = _heads(names, found)
        removals.refuse(heads)
        group = Group(
            heads=heads,
            find_heads=lambda _: None,  # there are none but these
            keys={} if taken is None else _in_use(taken.fetchall(), self._clock_us),
            next_position=next_position,
            committed_us=committed_us,
            node=self._node,
            epoch=self.epoch,
        )
        return group, group.place(appends)

    def _insert(self, group: Group, snapshots: Sequence[Snapshot]) -> None:
        db = self._db
        self._groups += 1
        if group.key_values:
            db.execute(_UPSERT_KEYS, columns(group.key_values, KEY_ROWS))
        if snapshots:
            self._insert_snapshots(snapshots)
        if self._groups % EXPIRED_EVERY == 0:
            db.execute("DELETE FROM keys WHERE expires <= %s", (self._clock_us,))
        last = f"{self.epoch}:{group.next_position - 1}"
        leave = group.next_position, self._committed_us, self._channel, last
        if group.event_values:
            moved = [
                v for h in (group.moved, group.turned) for r in h.values() for v in r
            ]
            events = columns(group.event_values, EVENTS)
            db.execute(_WRITE, (*events, *columns(moved, HEADS), *leave))
        else:
            db.execute(_LEAVE, leave)

    def _insert_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        rows = [astuple(snapshot) for snapshot in snapshots]
        values = [v for row in rows for v in (*row, snapshot_digest(*row))]
        self._db.execute(_UPSERT_SNAPSHOTS, columns(values, _SNAPSHOTS))
        names = [*{snapshot.stream for snapshot in snapshots}]
        self._db.execute(_DELETE_SNAPSHOTS, (Texts.of(names), SNAPSHOTS_KEPT))


def above(stream: str) -> Iterable[str]:
    """Yield the names by which a stream may be claimed: its own, and its prefixes."""
    yield stream
    end = stream.find("/")
    while end >= 0:
        yield stream[: end + 1]
        end = stream.find("/", end + 1)


def columns(values: list[Any], kinds: Kinds) -> list[Array]:
    """Turn flat rows into columns."""
    width = len(kinds)
    return [kind.of(values[at::width]) for at, kind in enumerate(kinds)]


def _refuse_foreign(appends: Sequence[Pending], owners: dict[str, str]) -> None:
    """Refuse appends to what other nodes have claimed."""
    for pending in appends:
        for append in pending.streams:
            for name in above(append.stream):
                if name in owners:
                    pending.refused = NotOwnerError(append.stream, owners[name])
                    pending.datas = ()


def _heads(names: Iterable[str], rows: Iterable[Any]) -> dict[str, Head]:
    heads = {name: absent(name) for name in names}
    for stream, kind, version, position, digest, is_open in rows:
        if version is not None:
            open_ = int(is_open)
            heads[stream] = stream, kind, version, position, bytearray(digest), open_
    return heads


def _in_use(rows: Iterable[Any], now_us: int) -> dict[KeyName, str]:
    return {
        (scope, key): stream
        for scope, key, stream, expires in rows
        if expires is None or expires > now_us
    }


def _is_refused(error: psycopg.Error) -> bool:
    """Tell whether the server has said that nothing is committed.

    It does not when the connection broke or it was told to end it.
    """
    return error.sqlstate is not None and error.sqlstate[:2] not in {"08", "57"}


def _advice(error: psycopg.Error) -> str:
    said = " ".join(str(error).split())
    return (
        f"the log cannot be written: {said}; look after the server and the way to it, "
        "it goes on by itself when they do"
    )
