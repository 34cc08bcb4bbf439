"""Steps on files: write, move, delete, and everything as it was on the way back."""

from pathlib import Path

from ..step import AnyStep
from .move_file import Delete, DeleteFile, Move, Moved, MoveFile
from .write_file import Write, WriteFile, Written

__all__ = [
    "Delete",
    "DeleteFile",
    "Move",
    "MoveFile",
    "Moved",
    "Write",
    "WriteFile",
    "Written",
    "file_steps",
]


def file_steps(root: Path, keep: Path) -> tuple[AnyStep, ...]:
    """Return the three steps for the files below `root`.

    `keep` is a folder on the same file system, for what may have to be restored.
    """
    return WriteFile(root, keep), MoveFile(root), DeleteFile(root, keep)
