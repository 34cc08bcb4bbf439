"""Reads a log in PostgreSQL through one connection."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from ...closing import Closing
from ...registry import Registry
from ..api import Recorded, Snapshot, StreamHead
from ..digest import FIRST, key_digest, snapshot_digest
from ..encryption import Keyring
from ..errors import LogDamagedError
from ..gap import require_whole
from ..rows import RowDecoder, committed_us, is_chained, last_committed_by
from ..stored import LAST
from .connection import Connection
from .schema import PATIENCE_S
from .store import PostgresStore

T = TypeVar("T")

_HEADS = "SELECT stream, kind, version, position, open FROM streams"


class PostgresReader(Closing):
    """A log in a schema of a PostgreSQL database, read-only. Blocking.

    Every call is a transaction of its own. Raises `LogUnreadableError` when the
    server cannot be reached or has no such log, and `LogDamagedError` when an event
    is not as it was written. What is encrypted is read by the `keyring`; without it,
    or when it has not the key, reading an event raises `KeyMissingError`, or, with
    `withhold`, gives a `Withheld`.
    """

    def __init__(  # noqa: PLR0913 - options by name, each with its default
        self,
        conninfo: str,
        registry: Registry,
        *,
        schema: str,
        node: str = "",
        patience_s: float = PATIENCE_S,
        answer_s: float | None = None,
        keyring: Keyring | None = None,
        withhold: bool = False,
    ) -> None:
        self._decode = RowDecoder(registry, keyring, withhold=withhold)
        self.stored = PostgresStore(
            conninfo, schema=schema, node=node, patience_s=patience_s, answer_s=answer_s
        )
        """The rows as they are in the database."""
        self._rows = self.stored.query

    def close(self) -> None:
        """Close the connection."""
        self.stored.close()

    def use(self, work: Callable[[Connection], T]) -> T:
        """Return what `work` returns; see `PostgresStore.use`."""
        return self.stored.use(work)

    @property
    def withheld(self) -> int:
        """How many of the events that were read could not be, for want of their keys."""
        return self._decode.withheld

    @property
    def position(self) -> int:
        """The last position as it is now; 0: empty."""
        return self.stored.position

    def read(
        self, after: int = 0, until: int | None = None, *, limit: int = 1000
    ) -> list[Recorded]:
        """Read at most `limit` events of all streams with after < position <= until.

        Raises `LogDamagedError` where one is missing.
        """
        after, until = max(after, 0), LAST if until is None else until
        rows = self.stored.page(after, until, limit)
        require_whole(self.stored, rows, after, until, limit)
        return [self._decode(row[:5]) for row in rows]

    def read_stream(
        self,
        stream: str,
        *,
        after: int = 0,
        until: int | None = None,
        at: int | None = None,
    ) -> list[Recorded]:
        """Read the events of one stream with after < version <= until, as of `at`.

        Every one is compared with its digest.
        """
        until, at = LAST if until is None else until, LAST if at is None else at
        head = self.head(stream)  # before its events: it only moves on
        rows = self.stored.stream(stream, after, until, at)
        if head is not None:
            last = rows[-1].version if rows else after
            self._check_end(head, last, min(until, head.version), at)
        previous = FIRST
        if after and rows and rows[0].version == after:
            previous = rows.pop(0).digest
        for row in rows:
            if not is_chained(previous, row):
                raise LogDamagedError(
                    f"the event at position {row.position} of stream {stream!r}, its "
                    f"version {row.version}, is not as it was written: restore the "
                    "database from a backup",
                )
            previous = row.digest
        return [self._decode(row[:5]) for row in rows]

    def _check_end(self, head: StreamHead, last: int, until: int, at: int) -> None:
        """Make sure that nothing stands between `last` and `until` as of `at`."""
        if last >= until:
            return
        following = self.stored.stream(head.stream, last + 1, last + 1, LAST)
        if not following or following[0].position <= at:
            raise LogDamagedError(
                f"stream {head.stream!r} is broken: version {last + 1} is missing, "
                f"though it goes on to {head.version}; verify the log, export what can "
                "still be read, and restore the database from a backup",
            )

    def digests(self, after: int, until: int, *, limit: int) -> list[tuple[int, bytes]]:
        """Read positions and digests of events with after < position <= until."""
        page = self.stored.digests(after, until, limit)
        require_whole(self.stored, page, after, until, limit)
        return page

    def head(self, stream: str) -> StreamHead | None:
        """Return where a stream ends, None if it never began."""
        found = self._heads(self._rows(f"{_HEADS} WHERE stream = ?", (stream,)))
        return found[0] if found else None

    def streams(self, prefix: str = "") -> list[StreamHead]:
        """List all streams whose names start with `prefix`, by name."""
        query = f"{_HEADS} WHERE starts_with(stream, ?) ORDER BY stream"
        return self._heads(self._rows(query, (prefix,)))

    def open_streams(self, prefix: str = "") -> list[StreamHead]:
        """List those of them whose last event did not close them."""
        query = f"{_HEADS} WHERE open AND starts_with(stream, ?) ORDER BY stream"
        return self._heads(self._rows(query, (prefix,)))

    @staticmethod
    def _heads(rows: Iterable[Any]) -> list[StreamHead]:
        return [StreamHead(s, k, v, p, open=o) for s, k, v, p, o in rows]

    def snapshot(
        self,
        stream: str,
        fold_version: int,
        *,
        at: int | None = None,
        at_version: int | None = None,
    ) -> Snapshot | None:
        """Return the newest snapshot that was true at position `at` and `at_version`.

        One that does not fit its digest is passed over, and so is one whose key was
        destroyed or is not there.
        """
        rows = self._rows(
            "SELECT stream, version, position, fold_version, state, digest "
            "FROM snapshots WHERE stream = ? AND fold_version = ? "
            "AND position <= ? AND version <= ? ORDER BY version DESC",
            (
                stream,
                fold_version,
                LAST if at is None else at,
                LAST if at_version is None else at_version,
            ),
        )
        for *row, digest in rows:
            if digest == snapshot_digest(*row) and (
                found := self._decode.snapshot(Snapshot(*row))
            ):
                return found
        return None

    def key_stream(self, scope: str, key: str, now_us: int) -> str | None:
        """Return the stream that used an idempotency key, None if it is free."""
        rows = self._rows(
            "SELECT stream, expires, digest FROM keys WHERE scope = ? AND key = ? "
            "AND (expires IS NULL OR expires > ?)",
            (scope, key, now_us),
        )
        if not rows:
            return None
        stream, expires, digest = rows[0]
        if digest != key_digest(scope, key, stream, expires):
            raise LogDamagedError(
                f"key {key!r} of {scope!r} is not as it was written: verify the log "
                "and restore the database from a backup",
            )
        return str(stream)

    def position_at(self, time_us: int) -> int:
        """Return the last position committed at or before a wall time; 0: none."""
        return last_committed_by(time_us, self.position, self._committed_at)

    def _committed_at(self, position: int) -> int | None:
        page = self.stored.page(position - 1, position, 1)
        require_whole(self.stored, page, position - 1, position, 1)
        return committed_us(page[0][:5]) if page else None
