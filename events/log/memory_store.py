"""What a log in memory has instead of a disk."""

from collections.abc import Callable, Sequence

import msgspec

from ..event import Event
from .api import (
    Appended,
    Context,
    Header,
    IdempotencyKey,
    Snapshot,
    StreamAppend,
    StreamHead,
)
from .document import encode_header, join
from .encoding import is_name
from .engine import SNAPSHOTS_KEPT
from .errors import (
    AppendRejectedError,
    EncodingError,
    KeyTakenError,
    VersionConflictError,
)
from .outcomes import Outcome
from .pending import Pending
from .rows import Row


class MemoryRow(msgspec.Struct, frozen=True, gc=False):
    """One event as it is kept."""

    stream: str
    version: int
    event: type[Event]
    data: bytes
    header: Header


class StoreCommitter:
    """A `Committer` that commits to a store at once."""

    epoch: int

    def __init__(
        self, store: "MemoryStore", now_us: Callable[[], int], node: str
    ) -> None:
        self.epoch = store.epoch
        self.digests: Sequence[bytes] = ()
        """There are none."""
        self._store = store
        self._now_us = now_us
        self._node = node

    @property
    def position(self) -> int:
        """The last position."""
        return len(self._store.rows)

    def commit(
        self, appends: Sequence[Pending], snapshots: Sequence[Snapshot]
    ) -> list[Outcome]:
        """Write what can be written; see `Committer`."""
        outcomes: list[Outcome] = []
        now_us = self._now_us() if appends else 0
        for pending in appends:
            outcome: Appended | AppendRejectedError
            try:
                outcome = self._store.apply(pending, now_us, self._node)
            except AppendRejectedError as error:
                outcome = pending.refusal(error)
            outcomes.append((pending.done, outcome))
        for snapshot in snapshots:
            self._store.save_snapshot(snapshot)
        return outcomes

    def last_document(self, stream: str) -> bytes | None:
        """Return the document of a stream's last event; see `Committer`."""
        positions = self._store.positions.get(stream)
        if not positions:
            return None
        row = self._store.rows[positions[-1] - 1]
        return join(encode_header(row.header), row.data)

    def rest(self, *, idle: bool) -> None:
        """Do nothing: memory needs no care."""


class MemoryStore:
    """Rows, streams, keys and snapshots; outlives the log that writes them."""

    def __init__(self) -> None:
        self.epoch = 0
        self.committed_us = 0
        self.rows: list[MemoryRow] = []
        self.positions: dict[str, list[int]] = {}
        """The positions of each stream's events."""
        self._keys: dict[tuple[str, str], IdempotencyKey] = {}
        self._snapshots: dict[str, list[Snapshot]] = {}

    def apply(self, pending: Pending, now_us: int, node: str) -> Appended:
        """Write an append wholly, or raise an `AppendRejectedError`."""
        committed_us = max(now_us, self.committed_us)
        self._check_versions(pending.streams)
        self._check_keys(pending.keys, now_us)
        headers = [
            self._header(context, committed_us, node) for context in pending.contexts
        ]
        self.committed_us = committed_us
        self._keys.update({(key.scope, key.key): key for key in pending.keys})
        first = len(self.rows) + 1
        datas = iter(pending.datas)
        for append, header in zip(pending.streams, headers, strict=True):
            positions = self.positions.setdefault(append.stream, [])
            for event in append.events:
                row = MemoryRow(
                    append.stream,
                    len(positions) + 1,
                    type(event),
                    next(datas),
                    msgspec.structs.replace(header, v=event.version),
                )
                self.rows.append(row)
                positions.append(len(self.rows))
        return Appended(min(first, len(self.rows)), committed_us)

    def _header(self, context: Context, committed_us: int, node: str) -> Header:
        header = Header(
            v=1,
            at=context.at_us,
            committed=committed_us,
            by=context.by,
            owner=context.owner,
            corr=context.corr,
            cause=context.cause,
            node=node,
            epoch=self.epoch,
        )
        encode_header(header)
        return header

    def _check_versions(self, streams: Sequence[StreamAppend]) -> None:
        heads: dict[str, int] = {}
        for append in streams:
            name = append.stream
            if not is_name(name):
                raise EncodingError(f"{name!r} cannot be the name of a stream")
            head = heads.get(name, len(self.positions.get(name, ())))
            if head != append.expected:
                raise VersionConflictError(name, append.expected, head)
            heads[name] = head + len(append.events)

    def _check_keys(self, keys: Sequence[IdempotencyKey], now_us: int) -> None:
        wanted: dict[tuple[str, str], str] = {}
        for key in keys:
            name = key.scope, key.key
            taken = self.key_stream(key.scope, key.key, now_us) or wanted.get(name)
            if taken is not None:
                raise KeyTakenError(key.scope, key.key, taken)
            wanted[name] = key.stream

    @property
    def position(self) -> int:
        """The last position."""
        return len(self.rows)

    def page(self, after: int, until: int, limit: int) -> list[Row]:
        """Return a page of events, as they would stand in a file but for digests."""
        end = min(until, after + limit)
        return [
            Row(
                position,
                row.stream,
                row.version,
                row.event.tag,
                join(encode_header(row.header), row.data),
                None,
                b"",
                opaque=False,
            )
            for position, row in enumerate(self.rows[after:end], after + 1)
        ]

    def snapshots(self) -> list[tuple[str, int, int, bytes]]:
        """Return all snapshots: stream, version, position, state."""
        return [
            (each.stream, each.version, each.position, each.state)
            for kept in self._snapshots.values()
            for each in kept
        ]

    def open_names(self) -> list[str]:
        """Return the names of all streams that are open."""
        heads = map(self.head, self.positions)
        return [head.stream for head in heads if head is not None and head.open]

    def close(self) -> None:
        """Do nothing: it stays open."""

    def head(self, stream: str) -> StreamHead | None:
        """Return where a stream ends."""
        positions = self.positions.get(stream)
        if not positions:
            return None
        return StreamHead(
            stream=stream,
            kind=stream.partition("/")[0],
            version=len(positions),
            position=positions[-1],
            open=not self.rows[positions[-1] - 1].event.closes,
        )

    def key_stream(self, scope: str, key: str, now_us: int) -> str | None:
        """Return the stream that holds a key which has not expired."""
        known = self._keys.get((scope, key))
        if known is None or (known.expires_us or now_us + 1) <= now_us:
            return None
        return known.stream

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot in place of one with the same version and fold."""
        kept = [
            other
            for other in self._snapshots.get(snapshot.stream, ())
            if (other.version, other.fold_version)
            != (snapshot.version, snapshot.fold_version)
        ]
        kept.append(snapshot)
        kept.sort(key=lambda kept: (kept.version, kept.fold_version))
        self._snapshots[snapshot.stream] = kept[-SNAPSHOTS_KEPT:]

    def snapshot(self, stream: str, fold: int, version: int) -> Snapshot | None:
        """Return the newest snapshot of a fold at or before a version."""
        for snapshot in reversed(self._snapshots.get(stream, [])):
            if snapshot.fold_version == fold and snapshot.version <= version:
                return snapshot
        return None
