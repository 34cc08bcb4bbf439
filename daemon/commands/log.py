"""`dramaturg log`: what the log holds, and whether it is sound."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from ...events import UnknownEvent, vocabulary
from ...events.log import Recorded
from ...events.log.verify import verify as verify_log
from ..layout import found_log, open_log
from ..options import Data, Json
from ..output import Output

log = App(name="log", help="See what the log holds, and whether it is sound.")


@log.command
def stat(*, data: Data = Path("var"), as_json: Json = False) -> int:
    """Count what the log holds: events, streams by kind, bytes."""
    output = Output(as_json=as_json)
    with open_log(data) as reader:
        kinds: dict[str, dict[str, int]] = {}
        for head in reader.streams():
            row = kinds.setdefault(head.kind, {"streams": 0, "open": 0, "events": 0})
            row["streams"] += 1
            row["open"] += head.open
            row["events"] += head.version
        output.rows(
            ("kind", "streams", "open", "events"),
            ({"kind": kind, **row} for kind, row in sorted(kinds.items())),
            title=f"{reader.path}: {reader.position} events, "
            f"{reader.path.stat().st_size} bytes",
        )
    return 0


@log.command
def tail(
    *,
    lines: Annotated[int, Parameter(name=("--lines", "-n"), help="How many.")] = 20,
    stream: Annotated[str, Parameter(help="Only the events of this stream.")] = "",
    data: Data = Path("var"),
    as_json: Json = False,
) -> int:
    """Show the last events, or the last events of one stream."""
    output = Output(as_json=as_json)
    with open_log(data) as reader:
        if stream:
            head = reader.head(stream)
            after = 0 if head is None else max(0, head.version - lines)
            events = reader.read_stream(stream, after=after)
        else:
            events = reader.read(max(0, reader.position - lines), limit=lines)
        for recorded in events:
            if as_json:
                output.value(_row(recorded))
            else:
                output.line(_line(recorded))
    return 0


@log.command
def verify(*, data: Data = Path("var"), as_json: Json = False) -> int:
    """Check that every byte of the log is as it was written; status 1 if not."""
    output = Output(as_json=as_json)
    path = found_log(data)
    with output.progress("verified") as progress:
        report = verify_log(path, vocabulary(), progress=progress)
    if as_json:
        output.value(report)
    for damage in report.damages:
        output.error(f"position {damage.position}: {damage.kind}: {damage.message}")
    if report.untold:
        output.error(f"and {report.untold} more")
    if report.ok:
        output.line(f"{path}: {report.events} events, every one as it was written")
    return 0 if report.ok else 1


def _line(recorded: Recorded) -> str:
    row = _row(recorded)
    row["data"] = msgspec.json.encode(row["data"]).decode()
    return "  ".join(str(value) for value in row.values())


def _row(recorded: Recorded) -> dict[str, object]:
    event = recorded.event
    committed = datetime.fromtimestamp(recorded.header.committed / 1e6, tz=UTC)
    return {
        "position": recorded.position,
        "committed": committed.isoformat(timespec="milliseconds"),
        "stream": recorded.stream,
        "version": recorded.version,
        "event": event.tag,
        "data": msgspec.Raw(event.data) if isinstance(event, UnknownEvent) else event,
    }
