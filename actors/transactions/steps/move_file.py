"""The steps that move or delete a file, and bring it back."""

from pathlib import Path

import msgspec
from anyio.to_thread import run_sync

from ....events.transactions import InDoubt
from ..errors import TransactionRefusedError
from ..step import Call, Step
from . import disk


class Move(msgspec.Struct, frozen=True, gc=False):
    """Give a file another name, which must be free. Both stand below the root."""

    path: str
    target: str


class Moved(msgspec.Struct, frozen=True, gc=False):
    """Which file it was."""

    inode: int


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Delete a file."""

    path: str


class MoveFile(Step[Move, Moved]):
    """Renames a file, overwriting nothing."""

    name = "files.move"
    arguments = Move
    undo = Moved
    in_doubt: InDoubt = "redo"

    def __init__(self, root: Path) -> None:
        self._root = root

    async def check(self, args: Move) -> None:
        """Refuse paths outside of the root."""
        await run_sync(self._ends, args)

    def _ends(self, args: Move) -> tuple[Path, Path]:
        return disk.inside(self._root, args.path), disk.inside(self._root, args.target)

    async def prepare(self, args: Move, call: Call) -> Moved:
        """See that the file is there and its new name is free."""
        del call
        return await run_sync(self._prepare, args)

    def _prepare(self, args: Move) -> Moved:
        source, target = self._ends(args)
        if not source.is_file() or target.exists():
            raise TransactionRefusedError(
                f"{source} cannot be moved to {target}: the first must be a file and "
                "the second must not exist"
            )
        return Moved(disk.inode(source))

    async def run(self, args: Move, undo: Moved, call: Call) -> msgspec.Raw:
        """Move the file."""
        await run_sync(self._run, args, undo, call)
        return msgspec.Raw(msgspec.json.encode(args.target))

    def _run(self, args: Move, undo: Moved, call: Call) -> None:
        source, target = self._ends(args)
        disk.make_folders(target.parent)
        with call.fence.held():
            disk.carry(source, target, undo.inode)

    async def compensate(self, args: Move, undo: Moved, call: Call) -> None:
        """Move it back."""
        del call
        await run_sync(self._compensate, args, undo)

    def _compensate(self, args: Move, undo: Moved) -> None:
        source, target = self._ends(args)
        if disk.inode(target) == undo.inode:
            disk.carry(target, source, undo.inode)


class DeleteFile(Step[Delete, Moved]):
    """Deletes a file: it is kept aside until the transaction ends."""

    name = "files.delete"
    arguments = Delete
    undo = Moved
    in_doubt: InDoubt = "redo"

    def __init__(self, root: Path, keep: Path) -> None:
        self._root = root
        self._keep = keep

    async def check(self, args: Delete) -> None:
        """Refuse a path outside of the root."""
        await run_sync(disk.inside, self._root, args.path)

    async def prepare(self, args: Delete, call: Call) -> Moved:
        """See that the file is there."""
        del call
        path = await run_sync(disk.inside, self._root, args.path)
        found = await run_sync(disk.inode, path)
        if not found:
            raise TransactionRefusedError(f"{path} cannot be deleted, there is no file")
        return Moved(found)

    async def run(self, args: Delete, undo: Moved, call: Call) -> msgspec.Raw:
        """Take the file out of its folder."""
        await run_sync(self._run, args, undo, call)
        return msgspec.Raw(msgspec.json.encode(args.path))

    def _run(self, args: Delete, undo: Moved, call: Call) -> None:
        path = disk.inside(self._root, args.path)
        disk.make_folders(self._keep)
        with call.fence.held():
            disk.carry(path, self._kept(call), undo.inode)

    async def compensate(self, args: Delete, undo: Moved, call: Call) -> None:
        """Put the file back."""
        await run_sync(self._compensate, args, undo, call)

    def _compensate(self, args: Delete, undo: Moved, call: Call) -> None:
        path = disk.inside(self._root, args.path)
        if disk.inode(self._kept(call)) == undo.inode:
            disk.carry(self._kept(call), path, undo.inode)

    async def tidy(self, args: Delete, undo: Moved, call: Call) -> None:
        """Delete it for good."""
        del args, undo
        await run_sync(disk.forget, self._kept(call))

    def _kept(self, call: Call) -> Path:
        return self._keep / disk.short(call.key)
