"""`dramaturg log stat`: how large a log is, and how fast it grows."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ...events.log import Recorded
from ...events.log.archive import Segment
from ...events.log.archive.event import RETENTION, RetentionRan
from ...events.log.reader import LogReader
from ...events.log.wal import wal_of
from ..layout import OpenLog, open_log
from ..options import Data, Json
from ..output import Output, moment

if TYPE_CHECKING:
    from ...events.log.postgres import PostgresReader

HOUR_US = 3_600_000_000
GROWTH = {"last_hour": HOUR_US, "last_day": 24 * HOUR_US, "last_week": 168 * HOUR_US}


_DATABASE = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = current_schema() AND c.relkind = 'r'
"""


def stat(*, data: Data = Path("var"), as_json: Json = False) -> int:
    """Show what the log holds by kind of stream, how large it is and how it grows."""
    output = Output(as_json=as_json)
    with open_log(data) as reader:
        if isinstance(reader, LogReader):
            name, sizes = str(reader.path), _file_sizes(reader)
            segments = reader.stored.segments()
        else:
            name, sizes = str(data), _database_sizes(reader)
            segments = cast("PostgresReader", reader).stored.segments()
        sizes |= _archive(segments)
        sizes |= _growth(reader, sizes["events"])
        run = _last_run(reader)
        output.rows(
            ("kind", "streams", "open", "events"),
            _kinds(reader),
            title=f"{name}: {sizes['events']} events, {sizes['size_bytes']} bytes",
        )
    if as_json:
        output.value({"kind": "", **sizes, "retention": run and run.event})
    waiting = (
        f"{sizes['wal_bytes']} bytes wait in the WAL, {sizes['free_bytes']} in the "
        "file are free; "
        if "wal_bytes" in sizes
        else ""
    )
    output.line(
        f"{waiting}{sizes['archived_events']} events are archived, "
        f"{sizes['archive_bytes']} bytes in {sizes['segments']} segments",
    )
    if run is not None:
        output.line(_said(run))
    output.line(
        ", ".join(
            f"{sizes[name]} events in the {name.replace('_', ' ')}" for name in GROWTH
        ),
    )
    return 0


def _last_run(reader: OpenLog) -> Recorded | None:
    """Return the last run in which the log archived by itself."""
    head = reader.head(RETENTION)
    if head is None:
        return None
    (last,) = reader.read(head.position - 1, head.position)
    return last


def _said(run: Recorded) -> str:
    event = run.event
    assert isinstance(event, RetentionRan)
    return (
        f"what ended {event.older_than_us / 1e6:g} s ago is archived every "
        f"{event.every_us / 1e6:g} s: the last run that said so, at "
        f"{moment(run.header.committed)}, took {event.took_us / 1e6:.3f} s and moved "
        f"{event.events} events of {event.streams} streams into {event.segments} "
        "segments" + (f", then {event.failure}" if event.failure else "")
    )


def _kinds(reader: OpenLog) -> list[dict[str, Any]]:
    kinds: dict[str, dict[str, int]] = {}
    for head in reader.streams():
        row = kinds.setdefault(head.kind, {"streams": 0, "open": 0, "events": 0})
        row["streams"] += 1
        row["open"] += head.open
        row["events"] += head.version
    return [{"kind": kind, **row} for kind, row in sorted(kinds.items())]


def _growth(reader: OpenLog, end: int) -> dict[str, Any]:
    now_us = time.time_ns() // 1000
    return {
        name: end - reader.position_at(now_us - span) for name, span in GROWTH.items()
    }


def _database_sizes(reader: OpenLog) -> dict[str, Any]:
    end, stored = reader.position, cast("PostgresReader", reader).stored
    size = int(stored.query(_DATABASE)[0][0])
    return {
        "events": end,
        "size_bytes": size,
        "bytes_per_event": round(size / max(1, end)),
    }


def _file_sizes(reader: LogReader) -> dict[str, Any]:
    path, end = reader.path, reader.position
    wal = wal_of(path)
    ((free, page),) = reader.stored.query(
        "SELECT freelist_count, page_size FROM pragma_freelist_count, pragma_page_size",
    )
    archived = sum(segment.events for segment in reader.stored.segments())
    size = path.stat().st_size
    return {
        "events": end,
        "size_bytes": size,
        "bytes_per_event": round((size - free * page) / max(1, end - archived)),
        "wal_bytes": wal.stat().st_size if wal.exists() else 0,
        "free_bytes": free * page,
    }


def _archive(segments: Sequence[Segment]) -> dict[str, int]:
    return {
        "segments": len(segments),
        "archived_events": sum(segment.events for segment in segments),
        "archive_bytes": sum(segment.size_bytes for segment in segments),
    }
