"""Copies a log, archive and all, also while another process writes it."""

import filecmp
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from ...durable import sync_folder
from ...fold import Fold
from ...registry import Registry
from ..archive import folder_of
from ..errors import LogError
from ..reading import open_file, translated
from ..stored import StoredEvents
from ..verify import Report, verify
from .parts import part_of

PAGES = 2048
"""So many pages are copied at a time, 8 MB; then `progress` is called."""

_OF_THE_COPY = {
    "SQLITE_FULL",
    "SQLITE_IOERR_WRITE",
    "SQLITE_IOERR_FSYNC",
    "SQLITE_IOERR_TRUNCATE",
}
"""Failures that cannot be those of the log, which is only read."""


class BackupError(LogError):
    """A copy could not be made, or is not what the log is; there is none."""


def backup_log(
    path: Path,
    target: Path,
    registry: Registry | None = None,
    folds: Iterable[Fold[Any]] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Copy the log at `path` to the new file `target`; return how the copy verified.

    The copy is the log as it was at one moment, when this began. It is made under
    another name, fsynced and verified before it gets its own, so what has that name is
    whole and sound. Blocking. A copy of a damaged log is not made: export it.

    Raises `BackupError`, `LogNotFoundError`, `LogFormatError`, `LogUnreadableError`,
    `LogDamagedError` and `OSError`.
    """
    archive = folder_of(target)
    with part_of(target) as folder:
        if target.exists():
            raise BackupError(f"there is {target} already: name another file")
        copy = folder / target.name
        _copy(path, copy, progress)
        report = verify(copy, registry, folds=folds)
        if not report.ok:
            raise BackupError(
                f"the log cannot be copied as it is damaged, see `log verify`: "
                f"{report.first}",
            )
        if archive.exists():
            _make_way(archive, folder_of(copy))
        if folder_of(copy).exists():
            folder_of(copy).rename(archive)
        copy.rename(target)
        sync_folder(target.parent)
    return report


def _make_way(archive: Path, copies: Path) -> None:
    """Remove segments whose log is not there, if the copy has the very same.

    That is what a backup leaves that was killed before its last step.
    """
    for segment in archive.iterdir():
        twin = copies / segment.name
        if not twin.exists() or not filecmp.cmp(segment, twin, shallow=False):
            raise BackupError(
                f"there is {archive} already, of another log: name another file",
            )
    shutil.rmtree(archive)


def _copy(path: Path, copy: Path, progress: Callable[[int, int], None] | None) -> None:
    def told(_status: int, remaining: int, total: int) -> None:
        if progress is not None:
            progress(total - remaining, total)

    with closing(open_file(path)) as source, translated(path):
        source.execute("BEGIN")  # one moment: else a writer would start it anew
        segments = StoredEvents(path, source).segments()
        with closing(sqlite3.connect(copy)) as db:
            try:
                source.backup(db, pages=PAGES, progress=told)
            except sqlite3.Error as error:
                if error.sqlite_errorname not in _OF_THE_COPY:
                    raise
                raise BackupError(
                    f"{copy.parent.parent} cannot take the copy: {error}; make room "
                    "there, or name a file on another disk",
                ) from error
        source.execute("ROLLBACK")
    if segments:
        folder_of(copy).mkdir()
    for segment in segments:
        name = segment.segment
        shutil.copyfile(folder_of(path) / name, folder_of(copy) / name)
        _sync(folder_of(copy) / name)
    if segments:
        sync_folder(folder_of(copy))
    _sync(copy)


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
