"""Reads a log file without writing it, whoever else may be writing."""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..registry import Registry
from .api import Recorded, Snapshot, StreamHead
from .errors import (
    LogDamagedError,
)
from .reading import open_file, translated
from .rows import COLUMNS, EventRow, RowDecoder

_EVENTS = f"""
SELECT {COLUMNS} FROM events
WHERE position > ? AND position <= ? ORDER BY position LIMIT ?
"""  # noqa: S608 - a constant

# The walk back through a stream. A pointer that does not point back is damage; the
# walk ends there instead of running in circles.
_STREAM = f"""
WITH RECURSIVE chain(link) AS (
    SELECT :start
    UNION ALL
    SELECT prev FROM chain CROSS JOIN events ON position = link
    WHERE prev < position AND version > :after + 1
)
SELECT {COLUMNS} FROM chain CROSS JOIN events ON position = link
WHERE version > :after AND version <= :until AND position <= :at
"""  # noqa: S608 - a constant

_ENTRY = """
SELECT position FROM snapshots
WHERE stream = :stream AND (version >= :until OR position >= :at)
ORDER BY version LIMIT 1
"""

_HEADS = """
SELECT stream, kind, version, position, open FROM streams
WHERE stream >= :prefix AND substr(stream, 1, length(:prefix)) = :prefix
"""

_LAST = 2**62


class LogReader:
    """A log file, read-only. Blocking: use it from a tool or a thread.

    It may be read while another process writes it, and after its writer was killed.
    Every call reads what is durable at that moment and holds nothing open after it.

    Raises `LogNotFoundError`, `LogFormatError` and `LogUnreadableError` when opened,
    and `LogDamagedError` also later, naming the position.
    """

    def __init__(self, path: Path, registry: Registry) -> None:
        self.path = path
        self._decode = RowDecoder(registry)
        self._db = open_file(path)

    def __enter__(self) -> Self:
        """Return the open reader."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @property
    def position(self) -> int:
        """The last position as it is now; 0: empty."""
        rows = self._rows("SELECT next_position FROM meta")
        if not rows:
            raise LogDamagedError(
                f"{self.path} does not say where it ends: restore it from a backup",
            )
        return int(rows[0][0]) - 1

    def read(
        self,
        after: int = 0,
        until: int | None = None,
        *,
        limit: int = 1000,
    ) -> list[Recorded]:
        """Read at most `limit` events of all streams with after < position <= until."""
        rows = self._rows(_EVENTS, (after, _LAST if until is None else until, limit))
        return list(map(self._decode, rows))

    def read_stream(
        self,
        stream: str,
        *,
        after: int = 0,
        until: int | None = None,
        at: int | None = None,
    ) -> list[Recorded]:
        """Read the events of one stream with after < version <= until, as of `at`.

        The walk starts at the next snapshot at or after what is wanted, else at the
        stream's end.
        """
        wanted = {"stream": stream, "until": until, "at": at}
        entry = self._rows(_ENTRY, wanted) or self._rows(
            "SELECT position FROM streams WHERE stream = :stream",
            wanted,
        )
        if not entry:
            return []
        bounds = {
            "start": entry[0][0],
            "after": after,
            "until": _LAST if until is None else until,
            "at": _LAST if at is None else at,
        }
        rows = self._rows(_STREAM, bounds)
        rows.sort()
        self._check_stream(stream, after, rows)
        return list(map(self._decode, rows))

    def digests(self, after: int, until: int, *, limit: int) -> list[tuple[int, bytes]]:
        """Read positions and digests of events with after < position <= until."""
        query = (
            "SELECT position, digest FROM events WHERE position > ? AND position <= ?"
        )
        return self._rows(f"{query} ORDER BY position LIMIT ?", (after, until, limit))

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
        """Return the newest snapshot that was true at position `at` and `at_version`."""
        rows = self._rows(
            "SELECT stream, version, position, fold_version, state FROM snapshots "
            "WHERE stream = ? AND fold_version = ? AND position <= ? AND version <= ? "
            "ORDER BY version DESC LIMIT 1",
            (
                stream,
                fold_version,
                _LAST if at is None else at,
                _LAST if at_version is None else at_version,
            ),
        )
        return Snapshot(*rows[0]) if rows else None

    def key_stream(self, scope: str, key: str, now_us: int) -> str | None:
        """Return the stream that used an idempotency key, None if it is free."""
        rows = self._rows(
            "SELECT stream FROM keys WHERE scope = ? AND key = ? "
            "AND (expires IS NULL OR expires > ?)",
            (scope, key, now_us),
        )
        return rows[0][0] if rows else None

    def position_at(self, time_us: int) -> int:
        """Return the last position committed at or before a wall time; 0: none.

        Commit times never go back, so a binary search finds it in a few reads.
        """
        low, high = 0, self.position
        while low < high:
            middle = (low + high + 1) // 2
            found = self.read(middle - 1, limit=1)
            if found and found[0].header.committed <= time_us:
                low = middle
            else:
                high = middle - 1
        return low

    def _check_stream(
        self,
        stream: str,
        after: int,
        rows: Sequence[EventRow],
    ) -> None:
        for expected, row in enumerate(rows, after + 1):
            if row[1] != stream or row[2] != expected:
                raise LogDamagedError(
                    f"stream {stream!r} is broken at its version {expected}: "
                    f"{row[1]!r} version {row[2]} stands at position {row[0]}; "
                    "verify the log and restore it from a backup",
                )

    def _rows(self, query: str, values: Any = ()) -> list[Any]:
        with translated(self.path), closing(self._db.execute(query, values)) as cursor:
            return cursor.fetchall()


def _head(row: tuple[str, str, int, int, int]) -> StreamHead:
    stream, kind, version, position, is_open = row
    return StreamHead(stream, kind, version, position, open=bool(is_open))
