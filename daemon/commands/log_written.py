"""Where an export goes: to standard output, or to a file that is whole or not there."""

import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiofiles
from anyio import CancelScope
from anyio.to_thread import run_sync

from ...events.durable import sync_folder
from ...events.log.archive import folder_of
from ...events.log.store import Opening
from ...events.log.transfer.exporting import Write
from ...events.log.transfer.parts import part_of
from ..errors import UsageError
from ..layout import KEYS
from ..output import writing

BEGINNING = b'{"log":'
"""What every export begins with."""

SUFFIXES = "", "-wal", "-shm", "-journal", ".lock"
"""The log and its companions, by what follows the log's name."""


def require_folder(file: Path) -> None:
    """Raise `UsageError` if there is no folder for a new file."""
    if not file.parent.is_dir():
        raise UsageError(f"there is no folder {file.parent}: make it first")


def export_target(file: Path, log: Path | Opening) -> Path:
    """Return the file that an export is to be written to.

    It may be there if it is an export, which is replaced, or something to write to
    such as a pipe. Raises `UsageError` for anything else: above all for the log.
    """
    require_folder(file)
    if _is_stream(file):
        return file
    target = file.resolve()  # a link stays one
    if target.is_dir():
        raise UsageError(f"{file} is a folder: name a file in it")
    if isinstance(log, Path) and _belongs(target, log.resolve()):
        raise UsageError(f"{file} belongs to the log: name another file")
    if target.is_file() and not _is_export(target):
        raise UsageError(f"{file} is there and is no export: name another file")
    return target


def _is_stream(file: Path) -> bool:
    """Tell whether it is a pipe or a device: nothing that could be replaced."""
    return file.exists() and not (file.is_file() or file.is_dir())


def _belongs(file: Path, log: Path) -> bool:
    names = {f"{log.name}{suffix}" for suffix in SUFFIXES} | {KEYS}
    beside = file.parent == log.parent and file.name in names
    return beside or file.parent == folder_of(log)


def _is_export(file: Path) -> bool:
    with file.open("rb") as found:
        return found.read(len(BEGINNING)) in {b"", BEGINNING}


@asynccontextmanager
async def written(file: Path | None) -> AsyncGenerator[Write]:
    """Write to standard output, or to a file that has its name once it is durable."""
    if file is None:
        yield _standard_output
    elif await run_sync(_is_stream, file):
        async with _opened(file, file) as write:
            yield write
    else:
        parts = part_of(file)
        part = await run_sync(parts.__enter__) / file.name
        try:
            async with _opened(part, file) as write:
                yield write
            await run_sync(os.replace, part, file)
            await run_sync(sync_folder, file.parent)
        finally:
            with CancelScope(shield=True):
                await run_sync(parts.__exit__, None, None, None)


@asynccontextmanager
async def _opened(path: Path, file: Path) -> AsyncGenerator[Write]:
    """Write to `path`, which is called `file` in errors."""
    target = await aiofiles.open(path, "wb")

    async def write(lines: bytes) -> None:
        with writing(str(file)):
            await target.write(lines)

    try:
        yield write
        with writing(str(file)):
            await target.flush()
            if path != file:
                await run_sync(os.fsync, target.fileno())
    finally:
        with CancelScope(shield=True), suppress(OSError):  # it was said at the flush
            await target.close()


async def _standard_output(lines: bytes) -> None:
    with writing():
        await run_sync(sys.stdout.buffer.write, lines)
        await run_sync(lambda: sys.stdout.buffer.flush())  # noqa: PLW0108 - else untyped
