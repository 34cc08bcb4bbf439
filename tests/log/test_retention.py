"""A log archives by itself what ended long ago, and says so."""

import asyncio
import shutil
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anyio.to_thread import run_sync

from dramaturg.events import Event, vocabulary
from dramaturg.events.log import (
    LogError,
    LogUnreadableError,
    StreamAppend,
    StreamHead,
    VersionConflictError,
    subscribe,
)
from dramaturg.events.log.archive import SegmentFolder, folder_of
from dramaturg.events.log.archive.archiving import archive_log
from dramaturg.events.log.archive.event import RETENTION, RetentionRan
from dramaturg.events.log.archive.retention import RetentionPolicy
from dramaturg.events.log.file_store import FileStore
from dramaturg.events.log.reader import LogReader
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.log.verify import verify
from dramaturg.projections import (
    OVERVIEW,
    Runner,
    Timeline,
    actor_views,
    standard_folds,
    systems,
)

from .vocabulary import REGISTRY, Counted, Ended, Started

KEPT = Path(__file__).parent / "formats" / "v2" / "documents.db"
DAY_US = 86_400_000_000
SOON_S = 0.01


async def runs(log: SqliteLog, count: int) -> list[RetentionRan]:
    """Wait until the log has told of so many runs."""
    found: list[RetentionRan] = []
    async for row in subscribe(log):
        if isinstance(row.event, RetentionRan):
            found.append(row.event)
            if len(found) == count:
                return found
    raise AssertionError


def meaning(path: Path, end: int) -> bytes:
    """Return all that views make of a log up to a position."""
    with LogReader(path, vocabulary()) as reader:
        timeline = Timeline(reader, standard_folds())
        overview = Runner(OVERVIEW).catch_up(reader, end)
        states = [timeline.states(at=at, closed=True) for at in range(end + 1)]
        actors = [actor_views(system) for system in systems(reader, at=end)]
        times = [reader.position_at(row.header.committed) for row in reader.read()]
        return msgspec.json.encode([states, overview, actors, times[:end]])


@pytest.mark.asyncio
async def test_what_ended_is_archived_and_every_view_shows_it_as_before(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.db"
    await run_sync(shutil.copyfile, KEPT, path)
    before = await run_sync(meaning, path, 38)
    policy = RetentionPolicy(older_than_s=1.0, events_max=10)

    async with SqliteLog(path, vocabulary(), retention=policy) as log:
        (told,) = await runs(log, 1)

    assert (told.streams, told.events, told.segments) == (5, 31, 2)
    assert (told.older_than_us, told.every_us) == (1_000_000, 3_600_000_000)
    assert told.failure == ""
    files = await run_sync(lambda: [*folder_of(path).iterdir()])
    assert told.size_bytes == sum(file.stat().st_size for file in files)
    assert await run_sync(meaning, path, 38) == before
    report = await run_sync(verify, path, vocabulary())
    assert report.ok, report.damages


@pytest.mark.asyncio
async def test_a_stream_goes_once_it_is_old_enough_and_a_run_in_vain_says_nothing(
    tmp_path: Path,
) -> None:
    now_us = DAY_US
    policy = RetentionPolicy(older_than_s=3600, every_s=SOON_S)
    async with SqliteLog(
        tmp_path / "log.db", REGISTRY, retention=policy, now_us=lambda: now_us
    ) as log:
        await log.append([StreamAppend("a/1", 0, (Started("x"), Ended()))])
        await log.append([StreamAppend("a/2", 0, (Started("y"), Counted()))])
        await runs(log, 1)
        now_us += DAY_US
        first, second = await runs(log, 2)
        rows = await log.read_stream("a/1")

    assert (first.events, second.events, second.streams) == (0, 2, 1)
    assert [row.event for row in rows] == [Started("x"), Ended()]


@pytest.mark.asyncio
async def test_a_run_that_fails_is_told_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, tries = True, 0
    write, again = SegmentFolder.write, asyncio.Event()
    loop = asyncio.get_running_loop()

    def writes(*args: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries == 3:
            loop.call_soon_threadsafe(again.set)
        if full:
            raise OSError(28, "No space left on device")
        return write(*args)

    monkeypatch.setattr(SegmentFolder, "write", writes)
    policy = RetentionPolicy(older_than_s=0, every_s=SOON_S)
    async with SqliteLog(tmp_path / "log.db", REGISTRY, seals=None) as log:
        await log.append([StreamAppend("a/1", 0, (Started("x"), Ended()))])
    async with SqliteLog(
        tmp_path / "log.db", REGISTRY, retention=policy, seals=None
    ) as log:
        await runs(log, 1)
        await again.wait()
        full = False
        failed, done = await runs(log, 2)

    assert "OSError: [Errno 28]" in failed.failure
    assert (done.failure, done.events) == ("", 2)


@pytest.mark.asyncio
async def test_appends_get_their_turn_while_much_is_archived(tmp_path: Path) -> None:
    policy = RetentionPolicy(older_than_s=0, events_max=20)
    many: tuple[Event, ...] = (Started("x"), Counted(), Counted(), Ended())
    async with SqliteLog(tmp_path / "log.db", REGISTRY, seals=None) as log:
        await log.append([StreamAppend(f"a/{n}", 0, many) for n in range(100)])
    async with SqliteLog(
        tmp_path / "log.db", REGISTRY, retention=policy, seals=None
    ) as log:
        ran = asyncio.create_task(runs(log, 1))
        version = 0
        while not ran.done():
            await log.append([StreamAppend("b/1", version, (Counted(),))])
            version += 1
            await asyncio.sleep(0)
        (told,) = await ran
        rows = await log.read()

    assert (told.segments, told.events) == (20, 400)
    stand = [row.position for row in rows if row.stream == "b/1"]
    files = [row.position for row in rows if row.stream == "log/archive"]
    gaps = [any(a < at < b for at in stand) for a, b in pairwise(files)]
    assert sum(gaps) > len(gaps) / 2, "something is appended while it archives"


@pytest.mark.asyncio
async def test_a_log_that_is_closed_stops_between_two_portions(tmp_path: Path) -> None:
    policy = RetentionPolicy(older_than_s=0, events_max=1)
    path = tmp_path / "log.db"
    async with SqliteLog(path, REGISTRY, seals=None) as log:
        ended = (Started("x"), Ended())
        await log.append([StreamAppend(f"a/{n}", 0, ended) for n in range(50)])
    moved = asyncio.Event()
    async with SqliteLog(path, REGISTRY, retention=policy, seals=None) as log:
        log.on_commit(lambda _: moved.set())
        await moved.wait()

    def look() -> int:
        with LogReader(path, REGISTRY) as reader:
            assert reader.head(RETENTION) is None
            return sum(each.events for each in reader.stored.segments())

    assert 0 < await run_sync(look) < 100
    report = await run_sync(verify, path, REGISTRY)
    assert report.ok, report.damages


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "error", [VersionConflictError(RETENTION, 0, 1), LogUnreadableError("it is away")]
)
async def test_a_run_that_could_not_be_told_is_told_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: LogError
) -> None:
    head, errors = SqliteLog.head, [error]

    async def fails(log: SqliteLog, stream: str) -> StreamHead | None:
        if stream == RETENTION and errors:
            raise errors.pop()
        return await head(log, stream)

    monkeypatch.setattr(SqliteLog, "head", fails)
    policy = RetentionPolicy(older_than_s=0, every_s=SOON_S)
    async with SqliteLog(
        tmp_path / "log.db", REGISTRY, retention=policy, seals=None
    ) as log:
        (told,) = await runs(log, 1)

    assert not errors
    assert (told.events, told.failure) == (0, "")


@pytest.mark.asyncio
async def test_who_is_stopped_while_a_thread_opens_the_log_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, go = asyncio.get_running_loop(), threading.Event()
    begun = asyncio.Event()
    closed: list[FileStore] = []
    close = FileStore.close

    def look(log: SqliteLog) -> FileStore:
        store = FileStore(log.path)
        loop.call_soon_threadsafe(begun.set)
        go.wait()
        return store

    def closes(store: FileStore) -> None:
        closed.append(store)
        close(store)

    monkeypatch.setattr(SqliteLog, "look", look)
    monkeypatch.setattr(FileStore, "close", closes)
    async with SqliteLog(tmp_path / "log.db", REGISTRY, seals=None) as log:
        archiving = asyncio.create_task(archive_log(log, 0))
        await begun.wait()
        archiving.cancel()
        await asyncio.sleep(0)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await archiving

    assert len(closed) == 1


@pytest.mark.parametrize(
    "wrong", [{"older_than_s": -1}, {"every_s": 0}, {"events_max": 0}]
)
def test_a_policy_that_cannot_work_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="retention needs"):
        msgspec.structs.replace(RetentionPolicy(1.0), **wrong)
