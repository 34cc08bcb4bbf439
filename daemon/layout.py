"""Where things lie in a data folder."""

import os
from pathlib import Path

from ..events import vocabulary
from ..events.log import LogNotFoundError
from ..events.log.encryption import Keyring
from ..events.log.reader import LogReader
from ..events.log.schema import FILE_NAME
from .errors import UsageError
from .output import Output

KEYS = "keys.jsonl"
"""The keys by which payloads are encrypted, if they are."""

LOGS = "dramaturg.log"
"""The lines that the process writes about itself."""


def log_path(data: Path) -> Path:
    """Return where the log of a data folder is."""
    return data / FILE_NAME


def keys_path(data: Path) -> Path:
    """Return where the keys of a data folder or log file are; the file may be a link."""
    path = data if data.is_file() else log_path(data)
    return path.with_name(KEYS)


def found_keys(data: Path) -> Keyring | None:
    """Return the keys of a data folder, if it has any.

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


def found_log(data: Path) -> Path:
    """Return the log of a data folder, or `data` itself if it is a file.

    Raises `LogNotFoundError` saying what to do when there is none.
    """
    path = data if data.is_file() else log_path(data)
    if not path.exists() or (path.is_file() and not path.stat().st_size):
        raise LogNotFoundError(
            f"there is no log in {data}: run `dramaturg ingest` first, or name the "
            "folder with --data",
        )
    return path


def open_log(data: Path) -> LogReader:
    """Open the log of a data folder, or a log file itself, for reading only.

    What is encrypted by keys that are not there is shown to be, and passed over.
    """
    return LogReader(found_log(data), vocabulary(), found_keys(data), withhold=True)


def tell_withheld(reader: LogReader, output: Output) -> None:
    """Say what of a log could not be read for want of its keys, if anything."""
    if reader.withheld:
        output.error(
            f"{reader.withheld} of the events that were read are sealed away: their "
            f"keys are not in {keys_path(reader.path)}, put the key file of the log or "
            "a link to it there",
        )
