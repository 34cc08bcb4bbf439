"""What file steps do to a disk: durable, repeatable, for threads only."""

import os
import shutil
from hashlib import blake2b, file_digest, sha256
from pathlib import Path

from ....events.durable import sync_folder
from ..errors import ChangedMeanwhileError, TransactionRefusedError


def inside(root: Path, name: str) -> Path:
    """Return the path that `name` means below `root`.

    Raises `TransactionRefusedError` if it leads out of it.
    """
    path = (root / name).resolve()
    if not path.is_relative_to(root.resolve()):
        raise TransactionRefusedError(
            f"{name!r} leads out of {root}: name a path below it"
        )
    return path


def short(key: str) -> str:
    """Return a file name that stands for a key."""
    return blake2b(key.encode(), digest_size=12).hexdigest()


def digest(path: Path) -> str:
    """Return the digest of a file's contents, empty if there is no file."""
    try:
        with path.open("rb") as file:
            return file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def digest_of_text(text: str) -> str:
    """Return the digest that a file with this text has."""
    return sha256(text.encode()).hexdigest()


def make_folders(folder: Path) -> tuple[str, ...]:
    """Make a folder and those above it; return those that were missing."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        sync_folder(made.parent)
    return tuple(str(path) for path in missing)


def copy(source: Path, target: Path) -> None:
    """Put a durable copy of a file in its place, all at once."""
    temporary = target.with_name(f".{target.name}.copy")
    with source.open("rb") as reading, temporary.open("wb") as writing:
        shutil.copyfileobj(reading, writing)
        writing.flush()
        os.fsync(writing.fileno())
    shutil.copymode(source, temporary)
    put(temporary, target)


def put(temporary: Path, target: Path) -> None:
    """Give a finished file its name, replacing what had it."""
    temporary.replace(target)
    sync_folder(target.parent)


def remove(path: Path) -> None:
    """Remove a file if it is there."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def forget(path: Path) -> None:
    """Remove a file whose return after a power loss would do no harm."""
    path.unlink(missing_ok=True)


def inode(path: Path) -> int:
    """Return what identifies a file through renames, 0 if there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def carry(source: Path, target: Path, number: int) -> None:
    """Move the file with this inode, overwriting nothing; again if need be.

    A link is made first and the old name removed then, for a rename would replace
    what somebody has put there meanwhile. Raises `ChangedMeanwhileError` if one of
    the names belongs to another file.
    """
    if inode(target) == 0 and inode(source) == number:
        os.link(source, target)
        sync_folder(target.parent)
    if inode(target) != number or inode(source) not in {0, number}:
        raise ChangedMeanwhileError(
            f"{source} cannot be moved to {target}: one of them was replaced "
            "meanwhile; compare them and move by hand"
        )
    remove(source)
