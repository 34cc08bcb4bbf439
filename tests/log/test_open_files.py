"""A log's files are moved, deleted, linked to, while it is written."""

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import pytest

from dramaturg.events.log import LogLockedError, LogUnavailableError, Snapshot
from dramaturg.events.log import open_files as looking
from dramaturg.events.log.archive.archiving import archive_log
from dramaturg.events.log.lock import WriterLock
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.log.verify import verify

from .contract import append
from .vocabulary import REGISTRY, Counted, Ended


class Watched(SqliteLog):
    """A log whose changes of availability can be waited for."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, REGISTRY, retry_s=(0.001, 0.004), seals=None)
        self._changed = asyncio.Event()
        self.on_availability(lambda _: self._changed.set())

    async def until(self, *, available: bool) -> None:
        while self.available != available:
            self._changed.clear()
            await self._changed.wait()


async def append_until_refused(
    log: SqliteLog, version: int
) -> tuple[int, LogUnavailableError]:
    """Append to a stream at a version; return the one that was refused, and why."""
    while True:
        try:
            await append(log, "a/1", version, Counted(1))
        except LogUnavailableError as error:
            return version, error
        version += 1


@pytest.mark.asyncio
@pytest.mark.parametrize("name", ["log.db", "log.db-wal", "log.db-shm"])
async def test_a_log_whose_file_is_gone_says_so_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(looking, "LOOK_EVERY_S", 0.0)
    path, elsewhere = tmp_path / "log.db", tmp_path / "elsewhere"
    async with Watched(path) as log:
        await append(log, "a/1", 0, Counted(1))
        await asyncio.to_thread((tmp_path / name).rename, elsewhere)
        version, refused = await append_until_refused(log, 1)
        if name == "log.db":
            await asyncio.to_thread(elsewhere.rename, path)
        await log.until(available=True)
        await append(log, "a/1", version, Counted(1))
        found = await log.read_stream("a/1")

    assert f"{name} was moved, deleted or replaced" in str(refused)
    assert [recorded.version for recorded in found] == [*range(1, version + 2)]
    assert (await asyncio.to_thread(verify, path)).ok


@pytest.mark.asyncio
async def test_a_log_has_one_writer_by_whatever_link_it_is_named(
    tmp_path: Path,
) -> None:
    path, folder = tmp_path / "log.db", tmp_path / "folder"
    folder.mkdir()
    link, other = folder / "link.db", tmp_path / "other.db"
    link.symlink_to(path)
    async with SqliteLog(path, REGISTRY) as log:
        await append(log, "a/1", 0, Counted(1))
        with pytest.raises(LogLockedError, match=f"process {os.getpid()}"):
            async with SqliteLog(link, REGISTRY):
                pass
        other.hardlink_to(path)
        with pytest.raises(LogUnavailableError, match="has 2 names"):
            async with SqliteLog(other, REGISTRY):
                pass
        await append(log, "a/1", 1, Ended())
    other.unlink()
    async with SqliteLog(link, REGISTRY) as log:
        archived = await archive_log(log, 0)

    assert archived.events >= 2  # and seals
    assert (await asyncio.to_thread(verify, path)).ok
    assert [*folder.iterdir()] == [link]


@pytest.mark.asyncio
async def test_a_lock_that_was_deleted_is_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "LOOK_EVERY_S", 0.0)
    path, second = tmp_path / "log.db", WriterLock(tmp_path / "log.db")
    async with SqliteLog(path, REGISTRY, seals=None) as log:
        (tmp_path / "log.db.lock").unlink()
        await append(log, "a/1", 0, Counted(1))
        await append(log, "a/1", 1, Counted(1))  # it has looked after the first
        with pytest.raises(LogLockedError):
            await asyncio.to_thread(second.acquire)


@pytest.mark.asyncio
async def test_what_cannot_be_looked_at_is_taken_to_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "LOOK_EVERY_S", 0.0)
    path, stat, looks = tmp_path / "log.db", Path.stat, list[Path]()

    def refused(file: Path, **options: Any) -> os.stat_result:
        if file.parent != tmp_path:
            return stat(file, **options)
        looks.append(file)
        raise PermissionError(errno.EACCES, "no", str(file))

    async with Watched(path) as log:
        monkeypatch.setattr(Path, "stat", refused)
        for version in range(3):
            await append(log, "a/1", version, Counted(1))
        monkeypatch.undo()
        assert log.available

    assert {file.suffix for file in looks} == {".db", ".db-wal", ".db-shm", ".lock"}


@pytest.mark.asyncio
async def test_who_came_past_a_deleted_lock_is_the_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with Watched(path) as first:
        await append(first, "a/1", 0, Counted(1))
        (tmp_path / "log.db.lock").unlink()
        async with SqliteLog(path, REGISTRY, seals=None) as second:
            await append(second, "a/1", 1, Counted(1))
            first.save_snapshot(Snapshot("a/1", 1, 1, 1, b"1"))
            with pytest.raises(LogUnavailableError, match="by another process"):
                await first.append([])  # with the snapshot, and with no position
            await first.until(available=False)
            await append(second, "a/1", 2, Counted(1))
        await first.until(available=True)
        await append(first, "a/1", 3, Counted(1))

    assert (await asyncio.to_thread(verify, path)).ok


@pytest.mark.asyncio
async def test_a_log_stays_where_it_is_when_its_process_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with SqliteLog("log.db", REGISTRY, seals=None) as log:
        monkeypatch.chdir("/")
        await append(log, "a/1", 0, Counted(1))
        found = await log.read_stream("a/1")

    assert len(found) == 1
