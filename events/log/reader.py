"""Reads a log file without writing it, whoever else may be writing."""

from collections.abc import Sequence
from pathlib import Path

import structlog

from ..closing import Closing
from ..registry import Registry
from .api import Recorded, Snapshot, StreamHead
from .digest import FIRST, key_digest, snapshot_digest
from .encryption import Keyring
from .errors import LogDamagedError
from .gap import require_whole
from .reading import open_file
from .rows import EventRow, Row, RowDecoder, committed_us, is_chained, last_committed_by
from .stored import LAST, StoredEvents
from .tables import format_of

_HEADS = """
SELECT stream, kind, version, position, open FROM streams
WHERE stream >= :prefix AND substr(stream, 1, length(:prefix)) = :prefix
"""

_SNAPSHOTS_TRIED = 8
"""So many snapshots are looked at before a stream is read without one."""

_log = structlog.get_logger()


class LogReader(Closing):
    """A log file, read-only. Blocking: use it from a tool or a thread.

    It may be read while another process writes it, and after its writer was killed.
    Every call reads what is durable at that moment and holds nothing open after it.

    Raises `LogNotFoundError`, `LogFormatError` and `LogUnreadableError` when opened,
    and `LogDamagedError` also later, naming the position. What is encrypted is read
    by the `keyring`; without it, or when it has not the key, reading an event raises
    `KeyMissingError`, or, with `withhold`, gives a `Withheld`.
    """

    def __init__(
        self,
        path: Path,
        registry: Registry,
        keyring: Keyring | None = None,
        *,
        withhold: bool = False,
    ) -> None:
        self.path = path
        self._decode = RowDecoder(registry, keyring, withhold=withhold)
        self._db = open_file(path)
        self.stored = StoredEvents(path, self._db)
        """The rows as they are in the file."""
        self._rows = self.stored.query
        self._digest = "digest" if format_of(self._db) > 1 else "NULL"

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def withheld(self) -> int:
        """How many of the events that were read could not be, for want of their keys."""
        return self._decode.withheld

    @property
    def position(self) -> int:
        """The last position as it is now; 0: empty."""
        return self.stored.position

    def read(
        self,
        after: int = 0,
        until: int | None = None,
        *,
        limit: int = 1000,
    ) -> list[Recorded]:
        """Read at most `limit` events of all streams with after < position <= until.

        Raises `LogDamagedError` where one is missing.
        """
        return self._decode.page(
            self._columns(max(after, 0), LAST if until is None else until, limit)
        )

    def _columns(self, after: int, until: int, limit: int) -> list[EventRow]:
        rows = self.stored.columns(after, until, limit)
        require_whole(self.stored, rows, after, until, limit)
        return rows

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
        rows = self.stored.stream(
            stream,
            after,
            LAST if until is None else until,
            LAST if at is None else at,
        )
        before = rows.pop(0) if rows and rows[0].version == after > 0 else None
        self._check_stream(stream, after, rows)
        self._check_digests(before, rows)
        return self._decode.page([row[:5] for row in rows])

    def digests(self, after: int, until: int, *, limit: int) -> list[tuple[int, bytes]]:
        """Read positions and digests of events with after < position <= until."""
        page = self.stored.digests(after, until, limit)
        require_whole(self.stored, page, after, until, limit)
        return page

    def head(self, stream: str) -> StreamHead | None:
        """Return where a stream ends, None if it never began."""
        query = "SELECT stream, kind, version, position, open FROM streams"
        rows = self._rows(f"{query} WHERE stream = ?", (stream,))
        return _head(rows[0]) if rows else None

    def streams(self, prefix: str = "") -> list[StreamHead]:
        """List all streams whose names start with `prefix`, by name."""
        rows = self._rows(f"{_HEADS} ORDER BY stream", {"prefix": prefix})
        return list(map(_head, rows))

    def open_streams(self, prefix: str = "") -> list[StreamHead]:
        """List those of them whose last event did not close them."""
        rows = self._rows(f"{_HEADS} AND open ORDER BY stream", {"prefix": prefix})
        return list(map(_head, rows))

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
        wanted = (
            stream,
            fold_version,
            LAST if at is None else at,
            LAST if at_version is None else at_version,
        )
        for number in range(_SNAPSHOTS_TRIED):
            rows = self._rows(
                "SELECT stream, version, position, fold_version, state, "  # noqa: S608 - a name
                f"{self._digest} FROM snapshots WHERE stream = ? AND fold_version = ? "
                "AND position <= ? AND version <= ? "
                "ORDER BY version DESC LIMIT 1 OFFSET ?",
                (*wanted, number),
            )
            if not rows:
                return None
            *row, digest = rows[0]
            if isinstance(row[4], bytes) and digest in {None, snapshot_digest(*row)}:
                found = self._decode.snapshot(Snapshot(*row))
                if found is not None:
                    return found
                continue
            _log.error("snapshot.damaged", stream=stream, version=row[1])
        return None

    def key_stream(self, scope: str, key: str, now_us: int) -> str | None:
        """Return the stream that used an idempotency key, None if it is free."""
        rows = self._rows(
            f"SELECT stream, expires, {self._digest} FROM keys "  # noqa: S608 - a name
            "WHERE scope = ? AND key = ? AND (expires IS NULL OR expires > ?)",
            (scope, key, now_us),
        )
        if not rows:
            return None
        stream, expires, digest = rows[0]
        if digest not in {None, key_digest(scope, key, stream, expires)}:
            raise LogDamagedError(
                f"key {key!r} of {scope!r} is not as it was written: verify the log "
                "and restore it from a backup",
            )
        return str(stream)

    def position_at(self, time_us: int) -> int:
        """Return the last position committed at or before a wall time; 0: none."""
        return last_committed_by(time_us, self.position, self._committed_at)

    def _committed_at(self, position: int) -> int | None:
        found = self._columns(position - 1, position, 1)
        return committed_us(found[0]) if found else None

    def _check_stream(self, stream: str, after: int, rows: Sequence[Row]) -> None:
        for expected, row in enumerate(rows, after + 1):
            if row.stream != stream or row.version != expected:
                raise LogDamagedError(
                    f"stream {stream!r} is broken at its version {expected}: "
                    f"{row.stream!r} version {row.version} stands at position "
                    f"{row.position}; verify the log and restore it from a backup",
                )

    @staticmethod
    def _check_digests(before: Row | None, rows: Sequence[Row]) -> None:
        if not rows or (before is None and rows[0].version > 1):
            return
        previous = FIRST if before is None else before.digest
        for row in rows:
            if not is_chained(previous, row):
                raise LogDamagedError(
                    f"the event at position {row.position} of stream {row.stream!r}, "
                    f"its version {row.version}, is not as it was written: verify the "
                    "log and restore it from a backup",
                )
            previous = row.digest


def _head(row: tuple[str, str, int, int, int]) -> StreamHead:
    stream, kind, version, position, is_open = row
    return StreamHead(stream, kind, version, position, open=bool(is_open))
