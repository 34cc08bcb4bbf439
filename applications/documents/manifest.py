"""The manifest: one small file per document that says what became of it."""

import hashlib
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import anyio
import msgspec
from anyio.to_thread import run_sync

from ...actors.retries import TransientError
from ...events.durable import sync_folder
from ...events.log.errors import MALFORMED
from .errors import DocumentError
from .kinds import Kind

TEMPORARY = ".temporary"
PREVIOUS = ".previous.json"


class ManifestError(DocumentError, TransientError):
    """The manifest cannot be written or read now; trying again later may help."""

    def __init__(self, message: str) -> None:
        TransientError.__init__(self, message)


class Manifest(msgspec.Struct, frozen=True, gc=False):
    """What was made of a document; digests are SHA-256 in hexadecimal."""

    key: str
    submission: str
    """The idempotency key under which the document was ingested."""
    title: str
    kind: Kind
    source: str
    """The digest of the document's bytes."""
    source_bytes: int
    text: str
    text_bytes: int
    text_characters: int
    entities: str
    graph: str
    """The digest of what was read back from the graph; it is that of the entities."""
    mentions: int
    format: Literal["dramaturg document manifest 1"] = "dramaturg document manifest 1"


class Manifests:
    """A folder of manifests, found by the digests of their documents' keys."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        """Return where a document's manifest is, or would be."""
        name = hashlib.sha256(key.encode()).hexdigest()
        return self.root / name[:2] / f"{name}.json"

    async def write(self, manifest: Manifest) -> str:
        """Put a manifest in place, wholly or not at all, and return its digest.

        Doing it again writes the same. That of an earlier version of the document is
        kept beside it. The temporary file has one name per document, so that a later
        attempt takes away what a killed one left. Raises `ManifestError`.
        """
        data = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
        await run_sync(_write, self.path(manifest.key), data)
        return hashlib.sha256(data).hexdigest()

    async def withdraw(self, key: str, submission: str) -> None:
        """Put back the manifest that stood there before this submission, or none."""
        found = await self.read(key)
        if found is not None and found.submission == submission:
            await run_sync(_restore, self.path(key))

    async def paths(self) -> list[Path]:
        """Return where all manifests are."""
        return await run_sync(lambda: sorted(self.root.glob("??/*.json")))

    async def read(self, key: str) -> Manifest | None:
        """Return a document's manifest. Raises `ManifestError` for a damaged one."""
        return await self.read_at(self.path(key))

    async def read_at(self, path: Path) -> Manifest | None:
        """Return the manifest in a file, None if it is gone. Raises `ManifestError`."""
        try:
            data = await anyio.Path(path).read_bytes()
        except FileNotFoundError:
            return None
        try:
            return msgspec.json.decode(data, type=Manifest)
        except MALFORMED as error:
            raise ManifestError(
                f"{path} is no manifest ({error}): remove it and ingest again"
            ) from error


def _write(path: Path, data: bytes) -> None:
    with _clearing(path.with_suffix(TEMPORARY)) as temporary:
        path.parent.mkdir(parents=True, exist_ok=True)
        earlier = path.read_bytes() if path.exists() else data
        if earlier != data:
            _replace(temporary, path.with_suffix(PREVIOUS), earlier)
        _replace(temporary, path, data)


def _restore(path: Path) -> None:
    with _clearing(path.with_suffix(TEMPORARY)):
        previous = path.with_suffix(PREVIOUS)
        if previous.exists():
            previous.replace(path)
        else:
            path.unlink(missing_ok=True)
        sync_folder(path.parent)


def _replace(temporary: Path, path: Path, data: bytes) -> None:
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


@contextmanager
def _clearing(temporary: Path) -> Generator[Path]:
    """Leave no temporary file behind a disk that fails."""
    try:
        yield temporary
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise ManifestError(
            f"{error.filename or temporary} cannot be written ({error.strerror}): "
            "make room or repair the disk"
        ) from error
