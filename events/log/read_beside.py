"""The reads of a log, each in a worker thread beside the loop."""

from collections.abc import Callable
from typing import Generic, TypeVar

from .api import Recorded, Snapshot, StreamHead
from .engine import EngineReader
from .reader_pool import ReaderPool

R = TypeVar("R", bound=EngineReader)


class ReadBeside(Generic[R]):
    """The part of a log that is read; `_now_us` tells which keys have expired."""

    _readers: ReaderPool[R]
    _now_us: Callable[[], int]

    async def read(
        self,
        after: int = 0,
        until: int | None = None,
        *,
        limit: int = 1000,
    ) -> list[Recorded]:
        """Read a page of all streams; see `EventLog.read`."""
        return await self._readers.run(lambda r: r.read(after, until, limit=limit))

    async def read_stream(
        self,
        stream: str,
        *,
        after: int = 0,
        until: int | None = None,
    ) -> list[Recorded]:
        """Read one stream; see `EventLog.read_stream`."""
        return await self._readers.run(
            lambda r: r.read_stream(stream, after=after, until=until),
        )

    async def head(self, stream: str) -> StreamHead | None:
        """Return where a stream ends; see `EventLog.head`."""
        return await self._readers.run(lambda r: r.head(stream))

    async def open_streams(self, prefix: str = "") -> list[StreamHead]:
        """List the open streams by name; see `EventLog.open_streams`."""
        return await self._readers.run(lambda r: r.open_streams(prefix))

    async def key_stream(self, scope: str, key: str) -> str | None:
        """Return the stream that used a key; see `EventLog.key_stream`."""
        now_us = self._now_us()
        return await self._readers.run(lambda r: r.key_stream(scope, key, now_us))

    async def snapshot(
        self,
        stream: str,
        fold_version: int,
        *,
        at_version: int | None = None,
    ) -> Snapshot | None:
        """Return the newest snapshot; see `EventLog.snapshot`."""
        return await self._readers.run(
            lambda r: r.snapshot(stream, fold_version, at_version=at_version),
        )
