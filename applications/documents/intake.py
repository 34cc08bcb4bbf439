"""The first stage: is it a document, and a durable copy of it."""

import stat
from collections.abc import Awaitable
from pathlib import Path
from typing import TypeVar

import aiofiles.os
from anyio.to_thread import run_sync

from ...events.log.artifacts import (
    Artifact,
    ArtifactSourceError,
    ArtifactStore,
    ArtifactTooLargeError,
)
from .corpus import Source
from .errors import InvalidDocumentError
from .kinds import HEAD_BYTES, check_magic

SIZE_BYTES_MAX = 50_000_000
"""Larger documents are refused."""

R = TypeVar("R")


async def take_in(
    source: Source, artifacts: ArtifactStore, *, size_bytes_max: int = SIZE_BYTES_MAX
) -> Artifact:
    """Check a document and copy it into the store; return once the copy is durable.

    Raises `InvalidDocumentError` for one that is gone, unreadable, empty, too large or
    not what its name says, and `ArtifactStoreError` when the store's disk fails.
    """
    path = source.file
    found = await _reading(source, aiofiles.os.stat(path))
    if not stat.S_ISREG(found.st_mode):
        raise InvalidDocumentError(
            source.title, "is no plain file: ingest a copy of it"
        )
    _check_size(source, found.st_size, size_bytes_max)
    check_magic(source.kind, await _reading(source, _head(path)), source.title)
    try:
        artifact = await artifacts.put(path)
    except ArtifactTooLargeError as error:
        raise InvalidDocumentError(
            source.title, f"is over the limit of {error.limit:,} bytes: split it"
        ) from error
    except ArtifactSourceError as error:
        raise InvalidDocumentError(source.title, f"went away: {error}") from error
    _check_size(source, artifact.size_bytes, size_bytes_max)
    return artifact


def _check_size(source: Source, size_bytes: int, size_bytes_max: int) -> None:
    """Refuse nothing and too much; a file may change between look and copy."""
    if size_bytes == 0:
        raise InvalidDocumentError(source.title, "is empty, 0 bytes: nothing to ingest")
    if size_bytes > size_bytes_max:
        raise InvalidDocumentError(
            source.title,
            f"has {size_bytes:,} bytes, over the limit of {size_bytes_max:,}: split "
            "it or raise the limit",
        )


async def _head(path: Path) -> bytes:
    return await run_sync(_head_now, path)


def _head_now(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


async def _reading(source: Source, reading: Awaitable[R]) -> R:
    """Turn what the file system says of the source into one clear line."""
    try:
        return await reading
    except FileNotFoundError as error:
        raise InvalidDocumentError(
            source.title, f"is no longer at {source.path}: put it back or drop it"
        ) from error
    except OSError as error:
        raise InvalidDocumentError(
            source.title,
            f"cannot be read at {source.path} ({error.strerror}): change its "
            "permissions or repair the disk",
        ) from error
