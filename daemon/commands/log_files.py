"""`dramaturg log export`, `import` and `backup`: a log out of its file and back."""

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

import aiofiles
import anyio
from anyio import CancelScope
from anyio.to_thread import run_sync
from cyclopts import Parameter
from msgspec.structs import asdict

from ...events import vocabulary
from ...events.durable import sync_folder
from ...events.log.transfer import Exported, backup_log, export_log, import_log
from ...events.log.transfer.exporting import Write
from ...events.log.transfer.parts import part_of
from ...events.log.transfer.target import OpenTarget
from ...projections import standard_folds
from ..database import Database
from ..errors import UsageError
from ..layout import found_log, log_path, made, opened
from ..options import Data, Json, Where
from ..output import Output

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
    if after < 0 or (until is not None and until < after):
        upto = "" if until is None else f" and up to {until}"
        raise UsageError(
            f"there is nothing after position {after}{upto}: give positions from 0 on, "
            "the lower one as --after",
        )

    async def run() -> Exported:
        with output.progress("exported") as progress:
            async with _written(file) as write:
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
            try:
                async with aiofiles.open(file, "rb") as source:
                    imported = await import_log(
                        await run_sync(_target, data), source.read
                    )
            except (FileNotFoundError, IsADirectoryError) as error:
                raise UsageError(
                    f"there is no export {file}: check the path"
                ) from error
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
    with output.progress("copied") as progress:
        report = backup_log(
            found_log(data, DUMP), target, vocabulary(), standard_folds(), progress
        )
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


async def _standard_output(lines: bytes) -> None:
    await run_sync(sys.stdout.buffer.write, lines)
    await run_sync(lambda: sys.stdout.buffer.flush())  # noqa: PLW0108 - else untyped


@asynccontextmanager
async def _written(file: Path) -> AsyncGenerator[Write]:
    """Write to standard output, or to a file that has its name once it is durable."""
    if file == STANDARD:
        yield _standard_output
        return
    if await run_sync(file.is_dir):
        raise UsageError(f"{file} is a folder: name a file in it")
    parts = part_of(file)
    part = await run_sync(parts.__enter__) / file.name
    try:
        async with aiofiles.open(part, "wb") as target:
            yield target.write
            await target.flush()
            await run_sync(os.fsync, target.fileno())
        await run_sync(os.replace, part, file)
        await run_sync(sync_folder, file.parent)
    finally:
        with CancelScope(shield=True):
            await run_sync(parts.__exit__, None, None, None)
