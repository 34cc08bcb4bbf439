"""What `dramaturg log stat` counts: how large a log is, of what, and how it grows."""

import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from ...events.log.archive import Segment
from ...events.log.archive.event import STREAM as ARCHIVE
from ...events.log.encryption.event import STREAM as ERASURES
from ...events.log.errors import LogDamagedError
from ...events.log.reader import LogReader
from ...events.log.rows import Row, committed_us
from ...events.log.seal import STREAM as SEALS
from ...events.log.stored import StoredEvents
from ...events.log.wal import wal_of
from ..layout import OpenLog

if TYPE_CHECKING:
    from ...events.log.postgres import PostgresReader
    from ...events.log.postgres.store import PostgresStore

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
WEEK_D = 7
MONTH_D = 30
GROWTH = {"last_hour": HOUR_US, "last_day": DAY_US, "last_week": WEEK_D * DAY_US}
LAST = {"last_seal": SEALS, "last_archived": ARCHIVE, "last_erasure": ERASURES}
"""What a log writes of itself, by the stream in which it does."""

LARGEST = 10
"""So many tags and streams are shown, the largest."""

PAGE = 1000
"""Events read at a time."""

Progress = Callable[[int, int], None]

_DATABASE = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relkind = 'r'
"""
_SNAPSHOTS = "SELECT count(*), coalesce(sum(length(state)), 0) FROM snapshots"


def _stored(reader: OpenLog) -> "StoredEvents | PostgresStore":
    return cast("LogReader | PostgresReader", reader).stored


def totals(reader: OpenLog) -> dict[str, Any]:
    """Return the figures that cost little, however large the log is."""
    stored = _stored(reader)
    segments = stored.segments()
    (snapshots,) = stored.query(_SNAPSHOTS)
    ((keys,),) = stored.query("SELECT count(*) FROM keys")
    return {
        "events": reader.position,
        **(_file(reader) if isinstance(reader, LogReader) else _database(reader)),
        **_archive(segments),
        "snapshots": snapshots[0],
        "snapshot_bytes": int(snapshots[1]),
        "keys": keys,
    }


def growth(reader: OpenLog, sizes: dict[str, Any]) -> dict[str, Any]:
    """Return how many events came when, and what that makes of the size.

    Days are spans of 24 hours, back from now, the last one first. The rate is that of
    the last week, or of the log's life if that is shorter, but of a day at least.
    """
    now_us, end = time.time_ns() // 1000, reader.position
    ends = [end] + [
        reader.position_at(now_us - n * DAY_US) for n in range(1, WEEK_D + 1)
    ]
    first = reader.read(0, limit=1)
    age_d = (now_us - first[0].header.committed) / DAY_US if first else 0
    events_a_day = round((end - ends[-1]) / min(WEEK_D, max(1, age_d)))
    return {
        "last_hour": end - reader.position_at(now_us - HOUR_US),
        "last_day": end - ends[1],
        "last_week": end - ends[-1],
        "days": [late - early for late, early in pairwise(ends)],
        "events_a_day": events_a_day,
        "bytes_in_30_days": MONTH_D * events_a_day * sizes["bytes_per_event"],
    }


def kinds(reader: OpenLog) -> list[dict[str, Any]]:
    """Return how many streams there are of each kind."""
    found: dict[str, dict[str, int]] = {}
    for head in reader.streams():
        row = found.setdefault(head.kind, {"streams": 0, "open": 0, "events": 0})
        row["streams"] += 1
        row["open"] += head.open
        row["events"] += head.version
    return [{"kind": kind, **row} for kind, row in sorted(found.items())]


def moments(reader: OpenLog) -> dict[str, Any]:
    """Return when the log last did what it does, and which open stream waits longest.

    The log's own streams are always open, and not meant. Times are in us.
    """
    found: dict[str, Any] = {}
    for name, stream in LAST.items():
        head = reader.head(stream)
        found[name] = None if head is None else _committed_us(reader, head.position)
    opened = [head for head in reader.open_streams() if head.kind != "log"]
    oldest = min(opened, key=lambda head: head.position, default=None)
    found["open"] = len(opened)
    found["longest_open"] = oldest and oldest.stream
    found["longest_open_since"] = oldest and _committed_us(reader, oldest.position)
    return found


def _committed_us(reader: OpenLog, position: int) -> int | None:
    try:
        return reader.read(position - 1, limit=1)[0].header.committed
    except (LogDamagedError, IndexError):
        return None


class Scan:
    """Bytes of documents by kind, tag, stream and day, of all events.

    They are what was written, before tables or compression make something of it.
    """

    def __init__(self) -> None:
        self.kinds: dict[str, list[int]] = {}
        self._tags: dict[str, list[int]] = {}
        self._streams: dict[str, list[int]] = {}
        self._days: dict[str, list[int]] = {}

    def run(self, reader: OpenLog, progress: Progress) -> None:
        """Read all events. Raises `LogDamagedError`."""
        after, end = 0, reader.position
        while after < end and (rows := _stored(reader).page(after, end, PAGE)):
            for row in rows:
                self._add(row)
            after = rows[-1].position
            progress(after, end)

    def _add(self, row: Row) -> None:
        size = len(row.document)
        _count(self.kinds, row.stream.partition("/")[0], size)
        _count(self._tags, row.tag, size)
        _count(self._streams, row.stream, size)
        if not row.opaque:  # else nobody wrote when it was
            seconds = committed_us(row[:5]) // DAY_US * 86_400
            day = datetime.fromtimestamp(seconds, tz=UTC).date().isoformat()
            _count(self._days, day, size)

    def tables(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Yield the largest tags and streams, and the last days (UTC), by name."""
        for name, counts in (("tag", self._tags), ("stream", self._streams)):
            largest = sorted(counts, key=lambda key: -counts[key][1])[:LARGEST]
            yield name, _rows(name, largest, counts)
        yield "day", _rows("day", sorted(self._days)[-WEEK_D:], self._days)


def _count(counts: dict[str, list[int]], key: str, size: int) -> None:
    found = counts.setdefault(key, [0, 0])
    found[0] += 1
    found[1] += size


def _rows(
    name: str, keys: Sequence[str], counts: dict[str, list[int]]
) -> list[dict[str, Any]]:
    return [
        {
            name: key,
            "events": counts[key][0],
            "bytes": counts[key][1],
            "bytes_per_event": round(counts[key][1] / counts[key][0]),
        }
        for key in keys
    ]


def _database(reader: OpenLog) -> dict[str, Any]:
    size = int(_stored(reader).query(_DATABASE)[0][0])
    events = max(1, reader.position)
    return {"size_bytes": size, "bytes_per_event": round(size / events)}


def _file(reader: LogReader) -> dict[str, Any]:
    path = reader.path
    wal = wal_of(path)
    ((free, page),) = reader.stored.query(
        "SELECT freelist_count, page_size FROM pragma_freelist_count, pragma_page_size",
    )
    archived = sum(segment.events for segment in reader.stored.segments())
    size = path.stat().st_size
    held = max(1, reader.position - archived)
    return {
        "size_bytes": size,
        "bytes_per_event": round((size - free * page) / held),
        "wal_bytes": wal.stat().st_size if wal.exists() else 0,
        "free_bytes": free * page,
    }


def _archive(segments: Sequence[Segment]) -> dict[str, int]:
    return {
        "segments": len(segments),
        "archived_events": sum(segment.events for segment in segments),
        "archive_bytes": sum(segment.size_bytes for segment in segments),
    }
