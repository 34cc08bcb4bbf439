"""Large values beside the log: files named by the digest of what is in them.

Events hold an `Artifact`, never the bytes. A file comes to be in steps that each
leave something harmless behind when the process dies: it is written under a
temporary name, fsynced, renamed to its digest, and its directory is fsynced. A
name that is a digest therefore always stands for whole, durable contents.
"""

import asyncio
import hashlib
import os
import stat
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiofiles
import aiofiles.os
import anyio
import anyio.to_thread
import msgspec

from ..durable import sync_folder
from ..errors import DramaturgError

if TYPE_CHECKING:
    from aiofiles.threadpool.binary import AsyncBufferedReader

CHUNK_BYTES = 1024 * 1024
"""How much of a file is held in memory at a time."""

Read = Callable[[int], Awaitable[bytes]]
"""Gives at most so many of the bytes that follow; none at the end."""


class Artifact(msgspec.Struct, frozen=True, gc=False):
    """What an event says of a large value that is kept beside the log."""

    digest: str
    """SHA-256 of the contents in lower-case hexadecimal."""
    size_bytes: int


class ArtifactError(DramaturgError):
    """The root of what can go wrong with artifacts."""


class ArtifactTooLargeError(ArtifactError):
    """The contents are over the store's limit; nothing of them was kept."""

    def __init__(self, source: str, limit: int) -> None:
        super().__init__(
            f"{source} has more than {limit:,} bytes, the limit of this store: "
            "split it or raise the limit",
        )
        self.limit = limit


class ArtifactSourceError(ArtifactError):
    """The source vanished, is no plain file or cannot be read; nothing was kept."""

    def __init__(self, source: str, reason: str) -> None:
        super().__init__(f"{source} cannot be read: {reason}")


class ArtifactStoreError(ArtifactError):
    """The store's own disk failed or is full; nothing was kept."""

    def __init__(self, root: Path, error: OSError) -> None:
        super().__init__(
            f"{root} cannot take the artifact: {error.strerror or error}; nothing of "
            "it was kept, make room or repair the disk and store it again",
        )
        self.errno = error.errno


class ArtifactNotFoundError(ArtifactError):
    """The store holds no contents with this digest."""


class ArtifactDamagedError(ArtifactError):
    """The stored bytes are not those that were put in."""


class ArtifactStore:
    """Files named by their contents, under one folder.

    Equal contents are stored once. One process at a time may write a store (the
    lock of the log beside it sees to that); any number may read.
    """

    def __init__(self, root: Path, *, size_bytes_max: int = 100_000_000) -> None:
        self.root = root
        self.size_bytes_max = size_bytes_max
        self._temporaries = root / "temporary"
        self._writing: set[str] = set()
        self._durable_folders: set[Path] = set()

    async def put(self, source: Path) -> Artifact:
        """Copy the file `source` into the store and return once it is durable.

        Raises `ArtifactSourceError`, `ArtifactTooLargeError`, `ArtifactStoreError`.
        """
        return await self._finish(partial(self._put, source))

    async def put_bytes(self, contents: bytes, *, name: str = "the value") -> Artifact:
        """Store `contents`; `name` is what errors call them."""
        if len(contents) > self.size_bytes_max:
            raise ArtifactTooLargeError(name, self.size_bytes_max)
        pieces = BytesIO(contents)

        async def read(size: int) -> bytes:
            return pieces.read(size)

        return await self._finish(partial(self._store, name, read))

    def path(self, artifact: Artifact) -> Path:
        """Return where the contents are, or would be."""
        return self.root / artifact.digest[:2] / artifact.digest

    async def exists(self, artifact: Artifact) -> bool:
        """Tell whether the contents are there, as many bytes as were put in."""
        try:
            found = await aiofiles.os.stat(self.path(artifact))
        except FileNotFoundError:
            return False
        return found.st_size == artifact.size_bytes

    @asynccontextmanager
    async def open(
        self, artifact: Artifact
    ) -> "AsyncGenerator[AsyncBufferedReader, None]":
        """Open the contents for reading in pieces; the digest is not checked."""
        try:
            file = await aiofiles.open(self.path(artifact), "rb")
        except FileNotFoundError as error:
            raise self._not_found(artifact) from error
        try:
            yield file
        finally:
            with anyio.CancelScope(shield=True):
                await file.close()

    async def read(self, artifact: Artifact) -> bytes:
        """Return the contents. Raises `ArtifactDamagedError` if they have changed.

        It is one call in a thread, so that no open file is left behind by a caller
        who is cancelled meanwhile.
        """
        path = self.path(artifact)
        try:
            contents, digest = await anyio.to_thread.run_sync(_read_now, path)
        except FileNotFoundError as error:
            raise self._not_found(artifact) from error
        if digest != artifact.digest:
            raise ArtifactDamagedError(
                f"{path} no longer holds what was put in: restore it "
                "from a backup or remove it and store its source again",
            )
        return contents

    def _not_found(self, artifact: Artifact) -> ArtifactNotFoundError:
        return ArtifactNotFoundError(
            f"no artifact {artifact.digest} in {self.root}: it was removed, or "
            "this is not the folder that belongs to the log",
        )

    async def sweep(self) -> int:
        """Remove what copies left behind that were cut off; return how many files.

        Copies that run in this process are left alone.
        """
        swept = 0
        try:
            names = await aiofiles.os.listdir(self._temporaries)
        except FileNotFoundError:
            return swept
        for name in names:
            if name not in self._writing:
                await aiofiles.os.unlink(self._temporaries / name)
                swept += 1
        return swept

    async def _finish(
        self, copy: "Callable[[_Stop], Coroutine[Any, Any, Artifact]]"
    ) -> Artifact:
        """Run a copy so that cancelling it never cuts off one of its steps.

        Steps are calls in threads, which cannot be cancelled: a file would be
        opened after nobody is left to close it. So a cancelled copy is told to
        stop, and waited for until it has tidied up.
        """
        stop = _Stop()
        task = asyncio.create_task(copy(stop))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            stop.asked = True
            # `wait` leaves the copy alone when this is cancelled a second time.
            with anyio.CancelScope(shield=True):
                while not task.done():
                    with suppress(asyncio.CancelledError):
                        await asyncio.wait([task])
            if not task.cancelled():
                task.exception()  # it was asked for; nobody is left to hear of it
            raise

    async def _put(self, source: Path, stop: "_Stop") -> Artifact:
        try:
            found = await aiofiles.os.stat(source)
            if not stat.S_ISREG(found.st_mode):
                raise ArtifactSourceError(str(source), "it is no plain file")
            if found.st_size > self.size_bytes_max:
                raise ArtifactTooLargeError(str(source), self.size_bytes_max)
            file = await aiofiles.open(source, "rb")
        except OSError as error:
            raise ArtifactSourceError(str(source), error.strerror or "") from error

        async def read(size: int) -> bytes:
            try:
                return await file.read(size)
            except OSError as error:
                raise ArtifactSourceError(str(source), error.strerror or "") from error

        try:
            return await self._store(str(source), read, stop)
        finally:
            await file.close()

    async def _store(self, source: str, read: Read, stop: "_Stop") -> Artifact:
        name = uuid.uuid4().hex
        temporary = self._temporaries / name
        self._writing.add(name)
        try:
            await aiofiles.os.makedirs(self._temporaries, exist_ok=True)
            artifact = await self._copy(source, read, temporary, stop)
            await self._place(temporary, artifact)
        except OSError as error:
            raise ArtifactStoreError(self.root, error) from error
        finally:
            await _remove(temporary)
            self._writing.discard(name)
        return artifact

    async def _copy(
        self,
        source: str,
        read: Read,
        temporary: Path,
        stop: "_Stop",
    ) -> Artifact:
        digest = hashlib.sha256()
        update = aiofiles.os.wrap(digest.update)
        size = 0
        async with aiofiles.open(temporary, "xb") as file:
            while chunk := await read(CHUNK_BYTES):
                if stop.asked:
                    raise asyncio.CancelledError
                size += len(chunk)
                if size > self.size_bytes_max:  # it has grown since it was looked at
                    raise ArtifactTooLargeError(source, self.size_bytes_max)
                await update(chunk)
                await file.write(chunk)
            await file.flush()
            await _fsync(file.fileno())
        return Artifact(digest.hexdigest(), size)

    async def _place(self, temporary: Path, artifact: Artifact) -> None:
        path = self.path(artifact)
        if path.parent not in self._durable_folders:
            await aiofiles.os.makedirs(path.parent, exist_ok=True)
            await _sync_folder(self.root)
            await _sync_folder(self.root.parent)
            self._durable_folders.add(path.parent)  # 256 of them at most
        if not await self.exists(artifact):
            await aiofiles.os.replace(temporary, path)
        # Also for contents that were there: their own copier may not be so far yet.
        await _sync_folder(path.parent)


class _Stop:
    """Set when a copy is no longer wanted."""

    asked = False


def _read_now(path: Path) -> tuple[bytes, str]:
    contents = path.read_bytes()
    return contents, hashlib.sha256(contents).hexdigest()


def _remove_now(path: Path) -> None:
    with suppress(OSError):  # what is left is swept; the copy's own error matters
        path.unlink()


_sync_folder = aiofiles.os.wrap(sync_folder)
_fsync = aiofiles.os.wrap(os.fsync)
_remove = aiofiles.os.wrap(_remove_now)
