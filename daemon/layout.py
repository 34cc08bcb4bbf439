"""Where things lie in a data folder."""

import os
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from ..events import vocabulary
from ..events.log import LogNotFoundError, Reader
from ..events.log.encryption import Keyring
from ..events.log.reader import LogReader
from ..events.log.schema import FILE_NAME
from ..events.log.store import Opening
from .database import Database
from .errors import UsageError
from .output import Output

KEYS = "keys.jsonl"
"""The keys by which payloads are encrypted, if they are."""

LOGS = "dramaturg.log"
"""The lines that the process writes about itself."""


def log_path(data: Path) -> Path:
    """Return where the log of a data folder is."""
    return data / FILE_NAME


def keys_path(data: Path | Database) -> Path:
    """Return where the keys of a log are; the file may be a link."""
    if isinstance(data, Database):
        return data.keys_path
    path = data if data.is_file() else log_path(data)
    return path.with_name(KEYS)


def found_keys(data: Path | Database) -> Keyring | None:
    """Return the keys of a log, if it has any.

    Raises `EncryptionMissingError`.
    """
    path = keys_path(data)
    return Keyring(path) if path.exists() else None


def projections_path(data: Path) -> Path:
    """Return where the checkpoints of projections are."""
    return data / "projections.sqlite"


def made(data: Path) -> Path:
    """Return the data folder, made if need be. Raises `UsageError` if it cannot be."""
    try:
        os.fspath(data).encode()  # or the graph cannot open its file
        data.mkdir(parents=True, exist_ok=True)
    except UnicodeEncodeError as error:
        raise UsageError(f"--data {data} is no UTF-8: name another") from error
    except OSError as error:
        raise UsageError(
            f"--data {data} cannot be made a folder: {error.strerror}; name another",
        ) from error
    return data


def found_log(data: Path | Database, instead: str = "") -> Path:
    """Return the log of a data folder, or `data` itself if it is a file.

    Raises `LogNotFoundError` saying what to do when there is none, and `UsageError`
    for a database, with what to do `instead`.
    """
    if isinstance(data, Database):
        raise UsageError(f"this is for logs in files, and {data} is none: {instead}")
    path = data if data.is_file() else log_path(data)
    if path.exists() and path.stat().st_size:
        return path
    if data.is_file():
        raise LogNotFoundError(
            f"{data} is empty, not yet a log: write to it, or name another with --data",
        )
    why = f"it has no {FILE_NAME}" if data.is_dir() else "there is no such folder"
    raise LogNotFoundError(
        f"there is no log in {data}, for {why}: run `dramaturg ingest` first, or name "
        "the log, or its folder, with --data",
    )


def opened(data: Path | Database) -> Path | Opening:
    """Return what tools open: a log file, or what opens a database."""
    return data.store if isinstance(data, Database) else found_log(data)


class OpenLog(Reader, Protocol):
    """A log that is open for reading only."""

    @property
    def withheld(self) -> int:
        """How many of the events that were read could not be, for want of keys."""
        ...

    def __enter__(self) -> Self:
        """Return it."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        ...


def open_log(data: Path | Database) -> OpenLog:
    """Open the log of a data folder, a log file or a database, for reading only.

    What is encrypted by keys that are not there is shown to be, and passed over.
    """
    keys = found_keys(data)
    if isinstance(data, Database):
        return data.reader(vocabulary(), keys)
    return LogReader(found_log(data), vocabulary(), keys, withhold=True)


def tell_withheld(reader: OpenLog, data: Path | Database, output: Output) -> None:
    """Say what of a log could not be read for want of its keys, if anything."""
    if reader.withheld:
        output.error(
            f"{reader.withheld} of the events that were read are sealed away: their "
            f"keys are not in {keys_path(data)}, put the key file of the log or "
            "a link to it there",
        )
