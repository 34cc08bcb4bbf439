"""Where a file is made that is not whole yet, and what killed processes left there."""

import fcntl
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from tempfile import mkdtemp


@contextmanager
def part_of(target: Path) -> Generator[Path]:
    """Give a new folder beside `target` to make it in; it is gone in the end.

    Those that processes left which were killed are removed: nobody holds their locks.
    Blocking. Raises `OSError`.
    """
    for left in target.parent.glob(f".{escape(target.name)}.*.part"):
        with suppress(OSError), _held(left):  # held: somebody makes the same file now
            shutil.rmtree(left)
    name = f".{target.name}."
    try:
        folder = Path(mkdtemp(prefix=name, suffix=".part", dir=target.parent))
    except OSError as error:
        error.filename = str(target)  # the name that somebody knows
        raise
    with _held(folder):
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


@contextmanager
def _held(folder: Path) -> Generator[None]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
