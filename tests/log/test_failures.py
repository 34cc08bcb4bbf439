"""A failing disk is no crash: the log says so, refuses, and goes on by itself."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dramaturg.events.log import (
    Appended,
    Incarnation,
    LogError,
    LogUnavailableError,
    OutcomeUnknownError,
    Snapshot,
    committer,
)
from dramaturg.events.log.committer import SqliteCommitter, advice
from dramaturg.events.log.sqlite import SqliteLog

from .contract import AT, Outcomes, append, on
from .faults import Faults
from .vocabulary import REGISTRY, Counted, Started


class Watched(SqliteLog):
    """A log whose changes of availability can be waited for."""

    def watch(self) -> None:
        self.heard: list[object] = []
        self._changes: asyncio.Queue[bool] = asyncio.Queue()
        self.on_availability(self._on_change)

    def _on_change(self, available: bool) -> None:  # noqa: FBT001 - a listener's value
        self.heard.append(available)
        self._changes.put_nowait(available)

    async def until(self, *, available: bool) -> None:
        """Wait for a change that was not waited for yet, however soon it is undone."""
        while await self._changes.get() != available:
            pass


@asynccontextmanager
async def opened(
    folder: Path, faults: Faults, *, unwritten_max: int = 1000
) -> AsyncGenerator[Watched, None]:
    log = Watched(
        folder / "log.db",
        REGISTRY,
        retry_s=(0.001, 0.004),
        unwritten_max=unwritten_max,
        seals=None,
        connection=faults.connection,
    )
    async with log:
        log.watch()
        yield log


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("statement", "name", "error", "advice"),
    [
        ("BEGIN", "SQLITE_BUSY", LogUnavailableError, "another program holds a lock"),
        ("INSERT INTO events", "SQLITE_FULL", LogUnavailableError, "free some space"),
        ("UPDATE meta", "SQLITE_FULL", LogUnavailableError, "free some space"),
        ("COMMIT", "SQLITE_FULL", OutcomeUnknownError, "free some space"),
        ("COMMIT", "SQLITE_IOERR_FSYNC", OutcomeUnknownError, "look after its disk"),
    ],
)
async def test_after_a_failure_the_log_goes_on_in_its_next_epoch(
    tmp_path: Path, statement: str, name: str, error: type[LogError], advice: str
) -> None:
    faults = Faults()
    async with opened(tmp_path, faults) as log:
        await append(log, "a/1", 0, Started())
        faults.fail(statement, name)
        faults.fail("PRAGMA journal_mode", name)  # which is how opening it begins
        with pytest.raises(error, match=advice) as caught:
            await append(log, "a/1", 1, Counted())
        assert not log.available
        with pytest.raises(LogUnavailableError, match=advice):
            await append(log, "b/1", 0, Counted())
        await asyncio.to_thread(faults.tried_again.wait, 20)
        still = log.available
        faults.mend()
        await log.until(available=True)
        again = await append(log, "a/1", 1, Counted())
        rows = await log.read()
        epoch = log.epoch

    assert type(caught.value) is error
    assert not still
    assert epoch == 2
    assert again.position == 2
    assert [(r.version, r.header.epoch) for r in rows] == [(1, 1), (2, 2)]
    assert log.heard == [False, True]


@pytest.mark.asyncio
async def test_what_a_failed_commit_did_write_is_there_and_counted(
    tmp_path: Path,
) -> None:
    faults = Faults()
    positions: list[int] = []
    async with opened(tmp_path, faults) as log:
        await append(log, "a/1", 0, Started())
        log.on_commit(positions.append)
        faults.fail("COMMIT", "SQLITE_IOERR_FSYNC", written=True)
        with pytest.raises(OutcomeUnknownError):
            await append(log, "a/1", 1, Counted())
        before = log.position
        faults.mend()
        await log.until(available=True)
        after = log.position
        head = await log.head("a/1")

    assert (before, after) == (1, 2)
    assert positions == [2]
    assert head is not None
    assert head.version == 2


@pytest.mark.asyncio
async def test_everything_queued_is_refused_and_knows_whether_it_is_unknown(
    tmp_path: Path,
) -> None:
    faults = Faults()
    outcomes = Outcomes()
    incarnations = [Incarnation() for _ in range(3)]
    async with opened(tmp_path, faults, unwritten_max=3) as log:
        faults.fail("COMMIT", "SQLITE_IOERR_FSYNC")
        faults.gate.clear()
        for name, one in zip(("writing", "queued", "tick"), incarnations, strict=True):
            log.submit(
                [on(f"{name}/1", 0, Started())],
                AT,
                outcomes(name, log.heard),
                incarnation=one,
            )
            if name == "writing":
                await asyncio.to_thread(faults.reached.wait, 20)
            elif name == "queued":
                await asyncio.sleep(0)
        congested = log.congested
        waiting = asyncio.create_task(append(log, "late/1", 0, Started()))
        faults.gate.set()
        with pytest.raises(LogUnavailableError):
            await waiting
        faults.mend()
        await log.until(available=True)
        relieved = not log.congested
        rows = await log.read()

    assert rows == []
    assert outcomes.kinds() == [
        ("writing", OutcomeUnknownError),
        ("queued", LogUnavailableError),
        ("tick", LogUnavailableError),
    ]
    assert log.heard == [False, "writing", "queued", "tick", True]
    assert all(one.revoked for one in incarnations)
    assert congested
    assert relieved


@pytest.mark.asyncio
async def test_a_bug_in_the_writer_is_answered_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults()
    async with opened(tmp_path, faults) as log:
        with monkeypatch.context() as patched:

            def explode(*_: object) -> None:
                raise ZeroDivisionError

            patched.setattr(SqliteCommitter, "commit", explode)
            with pytest.raises(OutcomeUnknownError, match="ZeroDivisionError"):
                await append(log, "a/1", 0, Started())
        await log.until(available=True)
        appended = await append(log, "a/1", 0, Started())

    assert appended.position == 1


@pytest.mark.asyncio
async def test_a_failing_checkpoint_fails_the_log_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "CHECKPOINT_BYTES", 0)
    faults = Faults()
    async with opened(tmp_path, faults) as log:
        faults.fail("PRAGMA wal_checkpoint(PASSIVE)", "SQLITE_IOERR_FSYNC")
        appended = await append(log, "a/1", 0, Started(), Counted())
        await log.until(available=False)
        faults.mend()
        await log.until(available=True)
        rows = await log.read()

    assert isinstance(appended, Appended)
    assert [r.version for r in rows] == [1, 2]


@pytest.mark.asyncio
async def test_a_file_that_lost_what_was_acknowledged_is_not_taken_back(
    tmp_path: Path,
) -> None:
    faults = Faults()
    path = tmp_path / "log.db"
    async with opened(tmp_path, faults) as log:
        await append(log, "a/1", 0, Started())
        faults.fail("COMMIT", "SQLITE_IOERR_FSYNC")
        faults.gate.clear()
        waiting = asyncio.create_task(append(log, "a/1", 1, Counted()))
        await asyncio.to_thread(faults.reached.wait, 20)
        for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            file.rename(f"{file}.away")
        faults.gate.set()
        with pytest.raises(OutcomeUnknownError):
            await waiting
        faults.mend()
        with pytest.raises(LogUnavailableError):
            await append(log, "a/1", 1, Counted())

    assert log.heard == [False]
    assert not path.exists()


@pytest.mark.asyncio
async def test_a_failed_log_can_be_closed(tmp_path: Path) -> None:
    faults = Faults()
    outcomes = Outcomes()
    async with opened(tmp_path, faults) as log:
        faults.fail("COMMIT", "SQLITE_FULL")
        log.submit([on("a/1", 0, Started())], AT, outcomes("refused"))
    async with opened(tmp_path, Faults()) as log:
        rows = await log.read()

    assert outcomes.kinds() == [("refused", OutcomeUnknownError)]
    assert rows == []


@pytest.mark.asyncio
async def test_snapshots_of_a_failed_epoch_are_forgotten(tmp_path: Path) -> None:
    faults = Faults()
    async with opened(tmp_path, faults) as log:
        log.save_snapshot(Snapshot("a/1", 1, 1, 1, b"never was"))
        faults.fail("COMMIT", "SQLITE_FULL")
        with pytest.raises(OutcomeUnknownError):
            await append(log, "a/1", 0, Started())
        log.save_snapshot(Snapshot("a/1", 1, 1, 1, b"neither"))
        faults.mend()
        await log.until(available=True)
        await append(log, "a/1", 0, Started())
        snapshot = await log.snapshot("a/1", 1)

    assert snapshot is None


@pytest.mark.asyncio
async def test_what_a_dead_writer_left_in_the_wal_is_fsynced_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log.db"
    async with opened(tmp_path, Faults()) as log:
        await append(log, "a/1", 0, Started())
        copies = {
            suffix: Path(f"{path}{suffix}").read_bytes()  # noqa: ASYNC240 - a test's copy
            for suffix in ("", "-wal")
        }
    for suffix, copy in copies.items():
        Path(f"{path}{suffix}").write_bytes(copy)  # noqa: ASYNC240 - as a crash leaves it
    synced: list[str] = []
    fsync = os.fsync

    def spy(fd: int) -> None:
        synced.append(Path(f"/proc/self/fd/{fd}").readlink().name)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", spy)
    async with opened(tmp_path, Faults()) as log:
        rows = await log.read()

    assert [r.version for r in rows] == [1]
    assert synced == ["log.db-wal", tmp_path.name]


@pytest.mark.asyncio
async def test_a_log_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    faults = Faults()
    faults.fail("PRAGMA wal_checkpoint", "SQLITE_IOERR_FSYNC")
    with pytest.raises(LogUnavailableError, match="cannot be opened"):
        async with SqliteLog(tmp_path / "no" / "log.db", REGISTRY):
            pass
    with pytest.raises(LogUnavailableError, match="disk I/O error"):
        async with opened(tmp_path, faults):
            pass
    with pytest.raises(LogUnavailableError, match="cannot be opened"):
        async with SqliteLog(tmp_path, REGISTRY):
            pass


@pytest.mark.parametrize(
    ("name", "todo"),
    [
        ("SQLITE_FULL", "free some space"),
        ("SQLITE_IOERR_WRITE", "look after its disk"),
        ("SQLITE_CORRUPT_VTAB", "backup"),
        ("SQLITE_BUSY_SNAPSHOT", "lets it go"),
        ("SQLITE_MISUSE", "mended"),
    ],
)
def test_an_error_says_what_to_do(name: str, todo: str) -> None:
    error = sqlite3.OperationalError("x")
    error.sqlite_errorname = name

    assert todo in advice(error)
