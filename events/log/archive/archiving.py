"""Moves old events of a log that is open for writing into segments."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, closing
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec
from anyio.to_thread import run_sync

from ...registry import Registry
from ..api import Appended, StreamAppend, StreamHead
from ..errors import LogError
from ..reader import LogReader
from .event import STREAM, Archived
from .removal import Removal
from .segment import SUFFIX, Segment, folder_of, write_segment
from .selection import Batch, batches


class ArchivingLog(Protocol):
    """What archiving asks of a log; a `SqliteLog` is one."""

    path: Path
    archiving: asyncio.Lock

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
    """How large the files are; 0 for what only would be archived."""

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
) -> Archiving:
    """Move closed streams whose last event is older than that into segments.

    Of open streams goes what stands behind a snapshot and is older, too. Events are
    read as before, wherever they are. Every segment is durable before the events in
    it leave the table, in one transaction with an event that names it: after a crash
    at any moment each of them is in one place or in both. A transaction moves
    `events_max` events, or one stream that has more. `progress` is called with the
    position reached and the goal, `between` after each transaction with what was moved
    so far and the seconds that it took.

    Raises `LogDamagedError` when an event is not as it was written, other `LogError`s
    when the log cannot be written, and `OSError`.
    """
    async with log.archiving:
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


async def _archive(
    log: ArchivingLog, until_us: int, events_max: int | None
) -> AsyncGenerator[tuple[Archiving, int, int]]:
    """Yield what was moved so far, up to which position, and the goal."""
    done = Archiving()
    reader = await run_sync(LogReader, log.path, Registry([]))
    try:
        await run_sync(partial(_clean, log.path, reader))
        until = await run_sync(reader.position_at, until_us)
        found = batches(reader.stored, until, events_max)
        while batch := await run_sync(_next, found):
            segment = await run_sync(write_segment, folder_of(log.path), batch.rows)
            await _remove(log, batch, segment)
            done = done.plus(batch, segment.size_bytes)
            yield done, batch.rows[-1].position, until
    finally:
        await run_sync(reader.close)


def would_archive(path: Path, older_than_s: float, now_us: int) -> Archiving:
    """Say what `archive_log` would do now; any process may ask. Blocking."""
    found = Archiving()
    with closing(LogReader(path, Registry([]))) as reader:
        until = reader.position_at(now_us - round(older_than_s * 1_000_000))
        for batch in batches(reader.stored, until):
            found = found.plus(batch, 0)
    return found


def _next(found: Iterator[Batch]) -> Batch | None:
    return next(found, None)


async def _remove(log: ArchivingLog, batch: Batch, segment: Segment) -> None:
    head = await log.head(STREAM)
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
        StreamAppend(STREAM, head.version if head else 0, (event,)),
        done,
        segment,
        [row.position for row in batch.rows],
        batch.closed,
        batch.size_bytes,
    )
    log.remove(removal)
    await ended


def _clean(path: Path, reader: LogReader) -> None:
    """Delete what an archiver that was killed has left, and the log knows nothing of."""
    folder = folder_of(path)
    if not folder.exists():
        return
    known = {segment.segment for segment in reader.stored.segments()}
    for file in folder.iterdir():
        if file.suffix == ".tmp" or (
            file.name.endswith(SUFFIX) and file.name not in known
        ):
            file.unlink()
