"""`dramaturg log export`, `import` and `backup`: a log out of its file and back."""

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import aiofiles
import anyio
from anyio.to_thread import run_sync
from cyclopts import Parameter
from msgspec.structs import asdict

from ...events import vocabulary
from ...events.log import LogError
from ...events.log.transfer import Exported, backup_log, export_log, import_log
from ...events.log.transfer.target import OpenTarget
from ...projections import BeyondEndError, UnknownStreamError, standard_folds
from ..database import Database
from ..errors import UsageError
from ..layout import found_log, log_path, made, open_log, opened
from ..options import Data, Json, Where
from ..output import Output
from .log_written import export_target, require_folder, written

STANDARD = Path("-")

DUMP = "copy it with `pg_dump --schema=...`, and its key file apart from that"
"""What to do instead of a backup of a database."""

File = Annotated[
    Path,
    Parameter(help="A file; - is standard output or input.", allow_leading_hyphen=True),
]


def export(  # noqa: PLR0913 - the options of a command
    file: File = STANDARD,
    *,
    after: Annotated[int, Parameter(help="Only positions above this one.")] = 0,
    until: Annotated[
        int | None, Parameter(help="Only positions up to this one.")
    ] = None,
    stream: Annotated[
        tuple[str, ...], Parameter(help="Only this stream; may be given again.")
    ] = (),
    data: Data = Path("var"),
    as_json: Json = False,
) -> int:
    """Write the events, byte for byte, as lines of JSON; status 1 if some are damaged.

    Archived events are among them. Of a damaged log all that can be read is exported.
    """
    output = Output(as_json=as_json)
    log = opened(data)
    replaced = None if file == STANDARD else export_target(file, log)
    if after < 0 or (until is not None and until < after):
        upto = "" if until is None else f" and up to {until}"
        raise UsageError(
            f"there is nothing after position {after}{upto}: give positions from 0 on, "
            "the lower one as --after",
        )
    _require(data, after, stream)

    async def run() -> Exported:
        with output.progress("exported") as progress:
            async with written(replaced) as write:
                return await export_log(
                    log,
                    write,
                    after=after,
                    until=until,
                    streams=stream,
                    progress=progress,
                )

    exported = anyio.run(run)
    if file != STANDARD:
        if as_json:
            output.value(exported)
        output.line(f"{exported.events} events and {exported.keys} keys, into {file}")
    if exported.damages:
        output.error(
            f"{exported.damages} things are not as they were written; the export names "
            'them in lines that begin with {"damage":',
        )
    return 1 if exported.damages else 0


def _require(data: Where, after: int, streams: tuple[str, ...]) -> None:
    """Raise an error that says so if a log never had what is to be exported.

    Of a damaged log nothing is required: what can be read of it is exported.
    """
    if not (after or streams):
        return
    with suppress(LogError), open_log(data) as reader:
        if after > reader.position:
            raise BeyondEndError(after, reader.position)
        for stream in streams:
            if reader.head(stream) is None:
                raise UnknownStreamError(stream, (s.stream for s in reader.streams()))


def import_(
    file: File = STANDARD,
    *,
    data: Data = Path("var"),
    as_json: Json = False,
) -> int:
    """Write an export into a log that is empty or that it continues.

    Every event is checked before it is written. If it was interrupted, do it again.
    """
    output = Output(as_json=as_json)

    async def run() -> int:
        if file == STANDARD:
            imported = await import_log(await run_sync(_target, data), _standard_input)
        else:
            if not await run_sync(file.exists) or await run_sync(file.is_dir):
                raise UsageError(f"there is no export {file}: check the path")
            async with aiofiles.open(file, "rb") as source:
                imported = await import_log(await run_sync(_target, data), source.read)
        if as_json:
            output.value(asdict(imported))
        output.line(
            f"{imported.events} events imported, {imported.known} known from before, "
            f"{imported.keys} keys; the log ends at position {imported.position}",
        )
        return 0

    return anyio.run(run)


def backup(
    target: Annotated[Path, Parameter(help="The new file.")],
    *,
    data: Data = Path("var"),
    as_json: Json = False,
) -> int:
    """Copy the log, also while it is written, and verify the copy.

    Archived events are copied too, to a folder beside the copy.
    """
    output = Output(as_json=as_json)
    log = found_log(data, DUMP)
    require_folder(target)
    with output.progress("copied") as progress:
        report = backup_log(log, target, vocabulary(), standard_folds(), progress)
    if as_json:
        output.value(report)
    output.line(f"{target}: {report.events} events, every one as it was written")
    return 0


def _target(data: Where) -> Path | OpenTarget:
    """Return the log to import into, in a folder that is there; it may be new."""
    if isinstance(data, Database):
        return data.target
    is_file = data.is_file() or (data.suffix and not data.is_dir())
    return data if is_file else log_path(made(data))


async def _standard_input(size: int) -> bytes:
    return await run_sync(sys.stdin.buffer.read, size)
