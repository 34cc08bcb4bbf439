"""Moves old events of a log that is open for writing into segments."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

from ..api import Appended, StreamAppend, StreamHead
from ..errors import LogError
from ..file_store import FileStore
from ..rows import committed_us, last_committed_by
from ..store import Opening, Store
from ..whole import run_whole
from .event import STREAM, Archived
from .folder import SegmentFolder
from .removal import Removal
from .segment import Packed, packed
from .selection import Batch, batches

WAITS_S = 1.0
"""Who has waited so long for another who archives is told so."""


class ArchivingLog(Protocol):
    """What archiving asks of a log; a `WrittenLog` is one."""

    archiving: asyncio.Lock
    """Held by whoever archives in this process."""
    folder: SegmentFolder | None
    """Where segments are made durable before their events go; None: with them."""

    def look(self) -> Store:
        """Open it to see what is in it. Blocking."""
        ...

    async def claim(self, name: str) -> None:
        """Wait until this node alone may write a stream."""
        ...

    def disclaim(self, name: str) -> None:
        """Let other nodes write it."""
        ...

    async def head(self, stream: str) -> StreamHead | None:
        """Return where a stream ends."""
        ...

    def remove(self, removal: Removal) -> None:
        """Queue an append together with the removal of rows."""
        ...


class Archiving(msgspec.Struct, frozen=True):
    """What was archived, or would be."""

    streams: int = 0
    events: int = 0
    document_bytes: int = 0
    """How long their documents are in the log."""
    segments: int = 0
    segment_bytes: int = 0
    """How large they are; 0 for what only would be archived."""

    def plus(self, batch: Batch, segment_bytes: int) -> "Archiving":
        """Return the sum with one more segment."""
        return Archiving(
            self.streams + batch.streams,
            self.events + len(batch.rows),
            self.document_bytes + batch.size_bytes,
            self.segments + 1,
            self.segment_bytes + segment_bytes,
        )


async def archive_log(  # noqa: PLR0913 - options by name, each with its default
    log: ArchivingLog,
    older_than_s: float,
    *,
    now_us: Callable[[], int] = lambda: time.time_ns() // 1000,
    progress: Callable[[int, int], None] | None = None,
    events_max: int | None = None,
    between: Callable[[Archiving, float], Awaitable[None]] | None = None,
    waits: Callable[[], None] | None = None,
) -> Archiving:
    """Move closed streams whose last event is older than that into segments.

    Of open streams goes what stands behind a snapshot and is older, too. Events are
    read as before, wherever they are. Every segment is durable before the events in
    it leave the table, or with them, in one transaction with an event that names it:
    after a crash at any moment each of them is in one place or in both. A transaction
    moves `events_max` events, or one stream that has more. Of nodes that share a log
    one archives at a time, the others wait for it. `progress` is called with the
    position reached and the goal, `between` after each transaction with what was moved
    so far and the seconds that it took, `waits` if somebody else archives meanwhile.

    Raises `LogDamagedError` when an event is not as it was written, other `LogError`s
    when the log cannot be written, and `OSError`.
    """
    async with _alone(log, waits or (lambda: None)):
        until_us = now_us() - round(older_than_s * 1_000_000)
        done = Archiving()
        began_s = time.monotonic()
        moving = _archive(log, until_us, events_max)
        async with aclosing(moving):
            async for done, position, until in moving:
                if progress is not None:
                    progress(min(position, until), until)
                if between is not None:
                    await between(done, time.monotonic() - began_s)
                began_s = time.monotonic()
        return done


@asynccontextmanager
async def _alone(log: ArchivingLog, waits: Callable[[], None]) -> AsyncGenerator[None]:
    """Wait until nobody else archives, in this process or on another node."""
    told = asyncio.get_running_loop().call_later(WAITS_S, waits)
    try:
        async with log.archiving:
            await log.claim(STREAM)
            told.cancel()
            try:
                yield
            finally:
                log.disclaim(STREAM)
    finally:
        told.cancel()


async def _archive(
    log: ArchivingLog, until_us: int, events_max: int | None
) -> AsyncGenerator[tuple[Archiving, int, int]]:
    """Yield what was moved so far, up to which position, and the goal."""
    done = Archiving()
    stores: list[Store] = []
    try:
        await run_whole(lambda: stores.append(log.look()))
        (store,) = stores
        if log.folder is not None:
            await run_whole(_clean, log.folder, store)
        until = await run_whole(_position_at, store, until_us)
        found = batches(store, until, events_max)
        while True:
            # Before the rows are read: if anybody should take some of them meanwhile,
            # the event that is to name them does not follow any more, and they stay.
            head = await log.head(STREAM)
            batch = await run_whole(_next, found)
            if batch is None:
                return
            made = await run_whole(packed, batch.rows)
            if log.folder is not None:
                await run_whole(log.folder.write, made)
            await _remove(log, batch, made, head.version if head else 0)
            done = done.plus(batch, made.segment.size_bytes)
            yield done, batch.rows[-1].position, until
    finally:
        for each in stores:
            await run_whole(each.close)


def would_archive(log: Path | Opening, older_than_s: float, now_us: int) -> Archiving:
    """Say what `archive_log` would do now; any process may ask. Blocking.

    `log` is a file, or what opens another store.
    """
    found = Archiving()
    opening = log if callable(log) else partial(FileStore, log)
    with closing(opening()) as store:
        until = _position_at(store, now_us - round(older_than_s * 1_000_000))
        for batch in batches(store, until):
            found = found.plus(batch, 0)
    return found


def _position_at(store: Store, time_us: int) -> int:
    """Return the last position committed at or before a time; 0: none."""

    def committed_at(position: int) -> int | None:
        row = store.row(position)
        return None if row is None else committed_us(row[:5])

    return last_committed_by(time_us, store.position, committed_at)


def _clean(folder: SegmentFolder, store: Store) -> None:
    folder.clean(segment.segment for segment in store.segments())


def _next(found: Iterator[Batch]) -> Batch | None:
    return next(found, None)


async def _remove(log: ArchivingLog, batch: Batch, made: Packed, expected: int) -> None:
    segment = made.segment
    event = Archived(
        segment.segment,
        segment.digest.hex(),
        segment.size_bytes,
        segment.index_at,
        segment.first,
        segment.last,
        segment.events,
        batch.streams,
    )
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def done(outcome: Appended | LogError) -> None:
        if ended.done():
            return
        if isinstance(outcome, Appended):
            ended.set_result(None)
        else:
            ended.set_exception(outcome)

    removal = Removal(
        StreamAppend(STREAM, expected, (event,)),
        done,
        made,
        [row.position for row in batch.rows],
        batch.closed,
        batch.size_bytes,
    )
    log.remove(removal)
    await ended
