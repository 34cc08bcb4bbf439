"""Writes groups of appends into the tables, each group in one transaction."""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

from msgspec.structs import astuple

from .api import Appended, Snapshot
from .archive.removal import Removals
from .digest import snapshot_digest
from .encoding import is_name
from .engine import SNAPSHOTS_KEPT
from .errors import LogUnavailableError, OutcomeUnknownError
from .group import Group, Head, KeyName, absent
from .lock import WriterLock
from .lull import Lull
from .meta import Meta
from .open_files import OpenFiles
from .outcomes import Outcome
from .pending import Pending
from .statements import InsertMany, SelectMany
from .wal import wal_of

CHECKPOINT_BYTES = 16 << 20
"""From this size on the WAL is moved into the file when nothing waits to be written.

At eight times this size it is moved even so.
"""

_LOOKS = 16
"""So often the size of the WAL is looked at while it grows to `CHECKPOINT_BYTES`.

A look gives the interpreter's lock away, so it is not taken after every group.
"""

_GROUP_BYTES = 16 << 10
"""What a group adds to the WAL, roughly, besides twice the size of its documents."""

HEADS_MAX = 32_768
"""So many streams' heads are remembered between groups, those used last."""

OPEN_HEADS_MAX = 10_000
"""So many are remembered from the start on, of streams that are open.

They are the ones that go on, and opening has just read them: looking them up later, a
hundred for a group, took the writer 10 us for the first event of each.
"""

_EXPIRED_EVERY = 64
"""Every so many groups some expired keys are deleted."""

_INSERT_EVENTS = InsertMany(
    "INSERT INTO events(state, position, stream, version, tag, prev, digest)",
    "(?,?,?,?,?,?,?)",
)
_STREAMS = "INSERT INTO streams(stream, kind, version, position, digest, open)"
_MOVE = (
    "ON CONFLICT(stream) DO UPDATE SET version=excluded.version, "
    "position=excluded.position, digest=excluded.digest"
)
_MOVE_STREAMS = InsertMany(_STREAMS, "(?,'',?,?,?,1)", _MOVE)
"""For streams that are there and stay as open as they are.

It spares the index of the open ones. What stands for kind and `open` is never kept.
"""
_MOVED = itemgetter(0, 2, 3, 4)
"""What it takes of a head."""
_TURN_STREAMS = InsertMany(_STREAMS, "(?,?,?,?,?,?)", f"{_MOVE}, open=excluded.open")
_INSERT_KEYS = InsertMany(
    "INSERT OR REPLACE INTO keys(scope, key, stream, expires, digest)",
    "(?,?,?,?,?)",
)
_INSERT_SNAPSHOTS = InsertMany(
    "INSERT OR REPLACE INTO snapshots"
    "(stream, version, position, fold_version, state, digest)",
    "(?,?,?,?,?,?)",
)
_HEADS = "SELECT stream, kind, version, position, digest, open FROM streams WHERE"
_SELECT_HEADS = SelectMany(f"{_HEADS} stream IN")
_OPEN_HEADS = f"{_HEADS} open LIMIT ?"
_SELECT_KEYS = SelectMany(
    "SELECT scope, key, stream, expires, digest FROM keys WHERE (scope, key) IN",
    2,
)
_LAST_DOCUMENT = (
    "SELECT CAST(e.state AS BLOB) FROM streams s JOIN events e "
    "ON e.position = s.position WHERE s.stream = ?"
)
_DELETE_SNAPSHOTS = (
    "DELETE FROM snapshots WHERE rowid IN (SELECT rowid FROM snapshots WHERE stream=? "
    "ORDER BY version DESC, fold_version DESC LIMIT -1 OFFSET ?)"
)
_EXPIRED = "FROM keys WHERE expires <= ? ORDER BY expires, scope, key LIMIT 500"
_DELETE_KEYS = f"DELETE FROM keys WHERE (scope, key) IN (SELECT scope, key {_EXPIRED})"  # noqa: S608 - a constant


class SqliteCommitter:
    """Commits groups through one connection, in the writer's thread.

    It belongs to one opening of the log: opening it begins a new epoch, in a commit
    of its own. After any error but a rejected append it must not be used again.
    """

    def __init__(  # noqa: PLR0913 - all it shares with its engine
        self,
        db: sqlite3.Connection,
        path: Path,
        node: str,
        now_us: Callable[[], int],
        *,
        removals: Removals,
        lull: Lull,
        lock: WriterLock,
    ) -> None:
        self._db = db
        self._lull = lull
        self._removals = removals
        self._wal = wal_of(path)
        self._grown_bytes = 0
        """By how much the WAL has grown since it was looked at, roughly."""
        self._node = node
        self._now_us = now_us
        self._heads: dict[str, Head] = {}
        """Those used of late. A group changes them in place: if it fails, so has all."""
        self._older_heads: dict[str, Head] = {}
        """Those used before; they are taken up again or forgotten."""
        self._clock_us = 0
        """What the clock says, by which keys expire: the time of commits stays ahead
        for as long as the clock was once wrong."""
        self._groups = 0
        self._group_bytes = 0
        """How long the documents of the last group are."""
        self.digests: Sequence[bytes] = ()
        """The digests of its events."""
        db.execute("BEGIN IMMEDIATE")
        self._meta = meta = Meta.read(db)
        meta.epoch += 1
        meta.write(db, meta.epoch - 1)
        self._learn(db.execute(_OPEN_HEADS, (OPEN_HEADS_MAX,)).fetchall())
        db.execute("COMMIT")
        self.epoch = meta.epoch
        self._position = meta.next_position - 1
        self._expired: dict[KeyName, bytes] = {}
        """The digests of keys that the last group named and that are free again."""
        self._files = OpenFiles(path, lock)

    @property
    def position(self) -> int:
        """The last durable position."""
        return self._position

    def commit(
        self,
        appends: Sequence[Pending],
        snapshots: Sequence[Snapshot],
    ) -> list[Outcome]:
        """Write a group durably and say what became of each append.

        Raises `LogUnavailableError` when the disk failed before the commit and
        `OutcomeUnknownError` when it failed in it.
        """
        try:
            self._db.execute("BEGIN IMMEDIATE")
            group, outcomes = self._compose(appends)
            if group.event_values or group.key_values or snapshots:
                self._insert(group, snapshots)
            if self._removals:
                self._remove(outcomes)
        except sqlite3.Error as error:
            raise LogUnavailableError(advice(error)) from error
        self._lull.begin()
        try:
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise OutcomeUnknownError(advice(error)) from error
        self._position = group.next_position - 1
        columns = _INSERT_EVENTS.columns
        self._group_bytes = sum(map(len, group.event_values[::columns]))
        self.digests = group.event_values[columns - 1 :: columns]
        if len(self._heads) > HEADS_MAX // 2:
            self._older_heads, self._heads = self._heads, {}
        return outcomes

    def _remove(self, outcomes: Sequence[Outcome]) -> None:
        """Take archived rows out, in the group with the append that names them."""
        for removal in tuple(self._removals):
            for done, outcome in outcomes:
                if done is not removal.done:
                    continue
                self._removals.remove(removal)
                if isinstance(outcome, Appended):
                    removal.apply(self._db)
                    self._group_bytes += removal.size_bytes

    def last_document(self, stream: str) -> bytes | None:
        """Return the document of a stream's last event; see `Committer`."""
        row = self._db.execute(_LAST_DOCUMENT, (stream,)).fetchone()
        return None if row is None else row[0]

    def rest(self, *, idle: bool) -> None:
        """Move the WAL into the file when it has grown and nobody waits.

        Raises `LogUnavailableError` when the disk fails, by which nothing is lost, and
        when the log's files are not where they were; see `OpenFiles`.
        """
        self._files.look()
        self._grown_bytes += 2 * self._group_bytes + _GROUP_BYTES
        if self._grown_bytes < CHECKPOINT_BYTES // _LOOKS:
            return
        size = self._wal.stat().st_size
        if size >= CHECKPOINT_BYTES * (1 if idle else 8):
            self._checkpoint()
        if size < CHECKPOINT_BYTES or idle:
            self._grown_bytes = 0

    def _checkpoint(self) -> None:
        """Move what is in the WAL into the file, as far as readers let it go."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            raise LogUnavailableError(advice(error)) from error

    def _compose(self, appends: Sequence[Pending]) -> tuple[Group, list[Outcome]]:
        meta = self._meta
        self._clock_us = self._now_us()
        meta.committed_us = max(meta.committed_us, self._clock_us)
        group = Group(
            heads=self._heads,
            find_heads=self._find_heads,
            keys=self._keys_of(appends),
            next_position=meta.next_position,
            committed_us=meta.committed_us,
            node=self._node,
            epoch=self.epoch,
        )
        return group, group.place(appends)

    def _insert(self, group: Group, snapshots: Sequence[Snapshot]) -> None:
        db = self._db
        self._groups += 1
        if group.event_values:
            _INSERT_EVENTS.run(db, group.event_values)
            _MOVE_STREAMS.run(db, _flat(map(_MOVED, group.moved.values())))
            _TURN_STREAMS.run(db, _flat(group.turned.values()))
        if group.key_values:
            self._insert_keys(group.key_values)
        if snapshots:
            self._insert_snapshots(snapshots)
        if self._groups % _EXPIRED_EVERY == 0:
            self._delete_expired()
        self._meta.next_position = group.next_position
        if not self._meta.write(db):
            raise LogUnavailableError(
                "the log was opened by another process, past the lock of this one",
            )

    def _insert_keys(self, values: list[Any]) -> None:
        """Insert keys, also in the place of expired ones."""
        columns, expired = _INSERT_KEYS.columns, self._expired
        _INSERT_KEYS.run(self._db, values)
        named = zip(values[::columns], values[1::columns], strict=True)
        replaced = [expired[name] for name in named if name in expired]
        self._meta.fold((*values[columns - 1 :: columns], *replaced))

    def _delete_expired(self) -> None:
        """Delete some of the keys that are free again."""
        until = (self._clock_us,)
        found = self._db.execute(f"SELECT digest {_EXPIRED}", until).fetchall()
        if found:
            self._meta.fold(digest for (digest,) in found)
            self._db.execute(_DELETE_KEYS, until)

    def _insert_snapshots(self, snapshots: Sequence[Snapshot]) -> None:
        values: list[Any] = []
        for snapshot in snapshots:
            row = astuple(snapshot)
            values += (*row, snapshot_digest(*row))
        _INSERT_SNAPSHOTS.run(self._db, values)
        names = {snapshot.stream for snapshot in snapshots}
        self._db.executemany(
            _DELETE_SNAPSHOTS, [(name, SNAPSHOTS_KEPT) for name in names]
        )

    def _find_heads(self, names: Iterable[str]) -> None:
        """Add the heads of all streams that have such a name and can have it."""
        heads, older = self._heads, self._older_heads
        missing: list[str] = []
        for name in names:
            if name in heads:
                continue
            if name in older:
                heads[name] = older.pop(name)
            elif is_name(name):
                heads[name] = absent(name)
                missing.append(name)
        self._learn(_SELECT_HEADS.run(self._db, missing))

    def _learn(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Remember heads that were read."""
        for row in rows:
            *others, digest, is_open = row
            self._heads[row[0]] = (*others, bytearray(digest), is_open)

    def _keys_of(self, appends: Sequence[Pending]) -> dict[KeyName, str]:
        """Return the streams of the keys that a group names and that are taken."""
        names: list[str] = []
        for pending in appends:
            if pending.keys and pending.refused is None:
                for key in pending.keys:
                    names += (key.scope, key.key)
        self._expired.clear()
        taken: dict[KeyName, str] = {}
        for scope, key, stream, expires, digest in _SELECT_KEYS.run(self._db, names):
            if expires is None or expires > self._clock_us:
                taken[scope, key] = stream
            else:
                self._expired[scope, key] = digest
        return taken


def _flat(rows: Iterable[tuple[Any, ...]]) -> list[Any]:
    return list(chain.from_iterable(rows))


def advice(error: sqlite3.Error) -> str:
    """Say what is the matter with the disk and what to do."""
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return f"the log cannot be written: {error} ({name}); {_todo(name)}"


def _todo(name: str) -> str:
    if name == "SQLITE_FULL":
        return "free some space on its disk, it goes on by itself"
    if name.startswith("SQLITE_IOERR"):
        return "look after its disk, it goes on by itself when the disk does"
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return "the file is damaged: restore it from a backup"
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return (
            "another program holds a lock on the file, it goes on when that lets it go"
        )
    return "it goes on by itself when that is mended"
