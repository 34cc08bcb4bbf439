"""`dramaturg log stat`: how large a log is, of what, and how fast it grows."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from rich.filesize import decimal as size

from ...events.log import LogError, Recorded
from ...events.log.archive.event import RETENTION, RetentionRan
from ...events.log.reader import LogReader
from ..layout import OpenLog, open_log
from ..options import Data, Json
from ..output import Output, moment
from .log_figures import Scan, growth, kinds, moments, totals


def stat(
    *,
    sizes: Annotated[
        bool,
        Parameter(help="Read all events, for sizes by kind, tag, stream and day."),
    ] = False,
    data: Data = Path("var"),
    as_json: Json = False,
) -> int:
    """Show what the log holds by kind of stream, how large it is and how it grows."""
    output = Output(as_json=as_json)
    with open_log(data) as reader:
        name = str(reader.path) if isinstance(reader, LogReader) else str(data)
        figures = totals(reader) | moments(reader)
        scan, failure = Scan(), ""
        try:
            figures |= growth(reader, figures)
            if sizes:
                with output.progress("read") as progress:
                    scan.run(reader, progress)
        except LogError as error:  # such as of a segment that is gone
            failure = str(error)
        run = _last_run(reader)
        rows = kinds(reader)
    columns = ["kind", "streams", "open", "events"]
    if sizes and not failure:
        columns.append("bytes")
        rows = [row | {"bytes": scan.kinds[row["kind"]][1]} for row in rows]
    title = f"{name}: {figures['events']} events, {size(figures['size_bytes'])}"
    output.rows(columns, rows, title=title)
    if sizes and not failure:
        for table, found in scan.tables():
            output.rows((table, "events", "bytes", "bytes_per_event"), found)
    if as_json:
        output.value({"kind": "", **figures, "retention": run and run.event})
    _say(output, figures)
    if run is not None:
        output.line(_said(run))
    if failure:
        output.error(failure)
    return 1 if failure else 0


def _say(output: Output, figures: dict[str, Any]) -> None:
    waiting = (
        f"{size(figures['wal_bytes'])} wait in the WAL, {size(figures['free_bytes'])} "
        "in the file are free; "
        if "wal_bytes" in figures
        else ""
    )
    output.line(
        f"{figures['bytes_per_event']} bytes an event; {waiting}"
        f"{figures['archived_events']} events are archived, "
        f"{size(figures['archive_bytes'])} in {figures['segments']} segments\n"
        f"{figures['snapshots']} snapshots, {size(figures['snapshot_bytes'])}; "
        f"{figures['keys']} idempotency keys",
    )
    if figures["longest_open"] is not None:
        output.line(
            f"{figures['open']} streams are open besides the log's own; "
            f"{figures['longest_open']!r} waits longest, since "
            f"{_when(figures['longest_open_since'])}",
        )
    output.line(
        "; ".join(
            f"{name.replace('_', ' ')}: {_when(figures[name])}"
            for name in ("last_seal", "last_archived", "last_erasure")
        ),
    )
    if "days" in figures:
        days = ", ".join(map(str, figures["days"]))
        output.line(
            f"{figures['last_hour']} events in the last hour, {figures['last_day']} "
            f"events in the last day, {figures['last_week']} events in the last week; "
            f"day by day, back from now: {days}\n"
            f"{figures['events_a_day']} events a day make "
            f"{size(figures['bytes_in_30_days'])} more in 30 days",
        )


def _when(at_us: int | None) -> str:
    return "never" if at_us is None else moment(at_us)


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
