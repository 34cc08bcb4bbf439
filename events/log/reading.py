"""How a log file is opened for reading, and what SQLite's errors mean."""

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from .errors import LogDamagedError, LogUnreadableError
from .schema import connect_reader
from .wal import wal_of

_DAMAGE = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
"""What SQLite says of damaged bytes, and of tables and columns that are not there."""


def open_file(path: Path) -> sqlite3.Connection:
    """Open a log read-only, also in a folder in which nothing can be written.

    SQLite needs its shared memory beside a file in WAL mode. Where it cannot be
    created and there is no WAL either, nobody writes the file, and it can be opened
    as one that does not change.

    Raises `LogNotFoundError`, `LogFormatError`, `LogUnreadableError` and
    `LogDamagedError`.
    """
    with translated(path):
        try:
            return connect_reader(path)
        except sqlite3.OperationalError:
            if wal_of(path).exists():
                raise
        return connect_reader(path, unchanging=True)


@contextmanager
def translated(path: Path) -> Generator[None, None, None]:
    """Turn SQLite's errors while reading into `LogDamaged`- or `LogUnreadableError`."""
    try:
        yield
    except UnicodeDecodeError as error:  # in SQLite's own words about a damaged schema
        raise LogDamagedError(
            f"{path} is damaged (its text is not text): restore it from a backup",
        ) from error
    except sqlite3.DatabaseError as error:
        # Text that is not UTF-8 is found by Python's own module, which sets no code.
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
        if code & 0xFF in _DAMAGE:
            raise LogDamagedError(
                f"{path} is damaged ({error}): verify it, and restore it from a backup",
            ) from error
        raise LogUnreadableError(
            f"{path} cannot be read ({error}): check that this process may read it "
            "and the files beside it that end in -wal and -shm",
        ) from error
