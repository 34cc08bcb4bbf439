"""The step that writes a file, and restores on the way back what stood there."""

import os
from pathlib import Path

import aiofiles
import msgspec
from anyio.to_thread import run_sync

from ....events.durable import sync_folder
from ....events.transactions import InDoubt
from ..errors import ChangedMeanwhileError, TransactionRefusedError
from ..news import Answered
from ..step import Call, Step
from . import disk

CHUNK_BYTES = 1 << 20


class Write(msgspec.Struct, frozen=True, gc=False):
    """Write a file, new or over another."""

    path: str
    """Below the root."""
    text: str = ""
    source: str = ""
    """An existing file, anywhere, whose contents are written instead of `text`."""


class Written(msgspec.Struct, frozen=True, gc=False):
    """What there was before a file was written."""

    before: str
    """The digest of the old contents; empty: there was no file."""
    after: str
    folders: tuple[str, ...] = ()
    """Folders that have to be made for it, the innermost first."""


class WriteFile(Step[Write, Written]):
    """Writes a file: a temporary one, synced to the disk and then renamed.

    What stood there before is kept in `keep`, a folder on the same file system,
    until the transaction ends. On the way back it is restored, unless somebody
    else has changed the file meanwhile: then the transaction is stuck.
    """

    name = "files.write"
    arguments = Write
    undo = Written
    in_doubt: InDoubt = "redo"

    def __init__(self, root: Path, keep: Path) -> None:
        self._root = root
        self._keep = keep

    async def check(self, args: Write) -> None:
        """Refuse what cannot be written."""
        await run_sync(self._check, args)

    def _check(self, args: Write) -> None:
        path = disk.inside(self._root, args.path)
        if path.is_dir():
            raise TransactionRefusedError(f"{path} is a folder: name a file")
        if args.source and not Path(args.source).is_file():
            raise TransactionRefusedError(f"{args.source} is no file to write from")

    async def prepare(self, args: Write, call: Call) -> Written:
        """Keep a copy of what stands there."""
        return await run_sync(self._prepare, args, call)

    def _prepare(self, args: Write, call: Call) -> Written:
        path = disk.inside(self._root, args.path)
        before = disk.digest(path)
        if before:
            disk.make_folders(self._keep)
            disk.copy(path, self._kept(call))
        if args.source:
            after = disk.digest(Path(args.source))
        else:
            after = disk.digest_of_text(args.text)
        missing = [folder for folder in path.parents if not folder.exists()]
        return Written(before, after, tuple(str(folder) for folder in missing))

    async def run(self, args: Write, undo: Written, call: Call) -> msgspec.Raw:
        """Write the file and return its digest."""
        temporary, path = await run_sync(self._begin, args, call)
        try:
            await _fill(temporary, args)
            await run_sync(_publish, temporary, path, undo, call)
        finally:
            # A thread that outlives a cancellation needs no file any more: its
            # rename fails, and the fence has it that this is too late anyway.
            await run_sync(disk.forget, temporary)
        return msgspec.Raw(msgspec.json.encode(undo.after))

    def _begin(self, args: Write, call: Call) -> tuple[Path, Path]:
        path = disk.inside(self._root, args.path)
        disk.make_folders(path.parent)
        _forget_attempts(path.parent, call)
        return path.with_name(f".{disk.short(call.key)}.{call.attempt}"), path

    async def compensate(self, args: Write, undo: Written, call: Call) -> None:
        """Put back what stood there, or nothing."""
        await run_sync(self._compensate, args, undo, call)

    def _compensate(self, args: Write, undo: Written, call: Call) -> None:
        path = disk.inside(self._root, args.path)
        _forget_attempts(path.parent, call)
        now = disk.digest(path)
        if now not in {undo.before, undo.after}:
            raise ChangedMeanwhileError(
                f"{path} was changed by somebody else: see which contents are wanted, "
                f"the old ones are in {self._kept(call)}"
            )
        if now != undo.before:
            if undo.before:
                disk.copy(self._kept(call), path)
            else:
                disk.remove(path)
        for folder in undo.folders:
            _remove_folder(Path(folder))

    async def query(self, args: Write, undo: Written, call: Call) -> Answered:
        """Compare the contents with what was to be written."""
        path = await run_sync(disk.inside, self._root, args.path)
        if await run_sync(disk.digest, path) != undo.after:
            return Answered(call.step, "absent")
        result = msgspec.Raw(msgspec.json.encode(undo.after))
        return Answered(call.step, "done", result)

    async def tidy(self, args: Write, undo: Written, call: Call) -> None:
        """Drop the copy."""
        del args
        if undo.before:
            await run_sync(disk.remove, self._kept(call))

    def _kept(self, call: Call) -> Path:
        return self._keep / disk.short(call.key)


async def _fill(temporary: Path, args: Write) -> None:
    async with aiofiles.open(temporary, "wb") as writing:
        if args.source:
            async with aiofiles.open(args.source, "rb") as reading:
                while chunk := await reading.read(CHUNK_BYTES):
                    await writing.write(chunk)
        else:
            await writing.write(args.text.encode())
        await writing.flush()
        await run_sync(os.fsync, writing.fileno())


def _publish(temporary: Path, path: Path, undo: Written, call: Call) -> None:
    if disk.digest(temporary) != undo.after:
        raise ChangedMeanwhileError(
            f"the source of {path} has changed since the step was prepared: begin a "
            "new transaction"
        )
    with call.fence.held():
        disk.put(temporary, path)


def _forget_attempts(folder: Path, call: Call) -> None:
    """Remove what attempts left that a crash cut off."""
    for temporary in folder.glob(f".{disk.short(call.key)}.*"):
        disk.forget(temporary)


def _remove_folder(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        sync_folder(folder.parent)
