"""`dramaturg log`: what the log holds, and whether it is sound."""

import re
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter
from msgspec.structs import asdict

from ...events import UnknownEvent, vocabulary
from ...events.log import Recorded
from ...events.log.errors import MALFORMED
from ...events.log.seal import STREAM, Sealed
from ...events.log.verify import verify as verify_log
from ...projections import UnknownStreamError, standard_folds
from ..errors import UsageError
from ..layout import OpenLog, found_keys, open_log, opened, tell_withheld
from ..options import Data, Json
from ..output import Output

log = App(name="log", help="See what the log holds, and whether it is sound.")
for _name, _where, _help in (
    ("stat", "log_sizes:stat", "Show what the log holds, how large it is and grows."),
    ("export", "log_files:export", "Write the events as lines of JSON."),
    ("import", "log_files:import_", "Write an export into a log."),
    ("backup", "log_files:backup", "Copy the log, also while it is written."),
    ("archive", "log_archive:archive", "Move what ended into compressed segments."),
    ("erase", "log_erase:erase", "Destroy the keys of one owner's payloads."),
):
    log.command(f"{__package__}.{_where}", name=_name, help=_help)

POLL_S = 0.3
"""How often the log is looked at for what is new."""


@log.command
def tail(
    *,
    lines: Annotated[int, Parameter(name=("--lines", "-n"), help="How many.")] = 20,
    stream: Annotated[str, Parameter(help="Only the events of this stream.")] = "",
    follow: Annotated[
        bool,
        Parameter(name=("--follow", "-f"), help="Go on as events are written."),
    ] = False,
    data: Data = Path("var"),
    as_json: Json = False,
) -> int:
    """Show the last events, or the last events of one stream."""
    output = Output(as_json=as_json)
    if lines < 0:
        raise UsageError(f"--lines is {lines}: give a number from 0 on")
    with open_log(data) as reader:
        end = reader.position
        lines = min(lines, end)
        if stream:
            head = reader.head(stream)
            if head is None and not follow:
                known = (found.stream for found in reader.streams())
                raise UnknownStreamError(stream, known)
            after = 0 if head is None else max(0, head.version - lines)
            events = reader.read_stream(stream, after=after, at=end)
        else:
            events = reader.read(max(0, end - lines), end, limit=lines)
        _show(events, output)
        if follow:
            with suppress(KeyboardInterrupt):
                _follow(reader, end, stream, output)
        tell_withheld(reader, data, output)
    return 0


def _show(events: Iterable[Recorded], output: Output) -> None:
    for recorded in events:
        if output.as_json:
            output.value(_row(recorded))
        else:
            output.line(_line(recorded))


def _follow(reader: OpenLog, after: int, stream: str, output: Output) -> None:
    """Show what is written after a position, until interrupted."""
    while True:
        page = reader.read(after)
        if page:
            after = page[-1].position
            _show((e for e in page if stream in {"", e.stream}), output)
        else:
            output.wait(POLL_S)


@log.command
def seal(*, data: Data = Path("var"), as_json: Json = False) -> int:
    """Show the last seal; kept elsewhere, it shows later whether history was changed.

    A log is sealed by its writer, every so often and when it stops.
    """
    output = Output(as_json=as_json)
    with open_log(data) as reader:
        head = reader.head(STREAM)
        if head is None:
            output.error("the log has no seal yet; its writer makes one when it stops")
            return 1
        (recorded,) = reader.read(head.position - 1, limit=1)
        assert isinstance(recorded.event, Sealed)
        if as_json:
            output.value({"position": recorded.position, **asdict(recorded.event)})
        output.line(
            f"sealed at position {recorded.position}, {_committed(recorded)}, with all "
            f"that is before it; since then {reader.position - recorded.position} "
            f"events\n{recorded.event.root}",
        )
    return 0


@log.command
def verify(
    *,
    anchor: Annotated[
        tuple[str, ...],
        Parameter(
            help="A seal that was kept elsewhere: its root, or a file with what "
            "`log seal --json` printed.",
        ),
    ] = (),
    data: Data = Path("var"),
    as_json: Json = False,
) -> int:
    """Check that every byte of the log is as it was written; status 1 if not."""
    output = Output(as_json=as_json)
    log = opened(data)
    anchors = [seal for text in anchor for seal in _anchors(text)]
    with output.progress("verified") as progress:
        report = verify_log(
            log,
            vocabulary(),
            folds=standard_folds(),
            anchors=anchors,
            keyring=found_keys(data),
            progress=progress,
        )
    if as_json:
        output.value(report)
    for damage in report.damages:
        where = f"{damage.stream}: " if damage.stream else ""
        output.error(
            f"position {damage.position}: {damage.kind}: {where}{damage.message}"
        )
    if report.untold:
        output.error(f"and {report.untold} more")
    if report.ok:
        output.line(
            f"{report.path}: {report.events} events, every one as it was written; "
            f"{report.seals} seals" + (f", {len(anchors)} anchors" if anchors else ""),
        )
    return 0 if report.ok else 1


def _anchors(text: str) -> list[Sealed | str]:
    """Return the seals in a file, or the root that a text is."""
    if re.fullmatch("[0-9a-fA-F]{64}", text):
        return [text.lower()]
    try:
        lines = Path(text).read_bytes().splitlines()
        found = [msgspec.json.decode(line, type=Sealed) for line in lines if line]
        if not found:
            raise UsageError(f"--anchor {text!r} holds no seal, so it shows nothing")
    except (OSError, *MALFORMED) as error:
        raise UsageError(
            f"--anchor {text!r} is neither a root of 64 hexadecimal digits nor a file "
            f"with seals ({error}): give what `dramaturg log seal` printed",
        ) from error
    return [*found]


def _line(recorded: Recorded) -> str:
    row = _row(recorded)
    row["data"] = msgspec.json.encode(row["data"]).decode()
    return "  ".join(str(value) for value in row.values())


def _row(recorded: Recorded) -> dict[str, object]:
    event = recorded.event
    return {
        "position": recorded.position,
        "committed": _committed(recorded),
        "stream": recorded.stream,
        "version": recorded.version,
        "event": event.tag,
        "data": msgspec.Raw(event.data) if isinstance(event, UnknownEvent) else event,
    }


def _committed(recorded: Recorded) -> str:
    committed = datetime.fromtimestamp(recorded.header.committed / 1e6, tz=UTC)
    return committed.isoformat(timespec="milliseconds")
