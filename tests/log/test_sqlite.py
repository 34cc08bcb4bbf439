"""The log in a file keeps the contract, and what only a file can keep."""

import asyncio
import os
import sqlite3
import threading
from contextlib import AbstractAsyncContextManager, closing
from pathlib import Path
from typing import Any

import pytest

from dramaturg.events.log import (
    Appended,
    EventLog,
    IdempotencyKey,
    LogDamagedError,
    LogError,
    LogFormatError,
    Snapshot,
    committer,
    writer,
    written,
)
from dramaturg.events.log.sqlite import SqliteLog

from .contract import AT, LogContract, append, on
from .vocabulary import REGISTRY, Counted, Ended, Started


class SqliteEngine:
    def __init__(self, path: Path) -> None:
        self.now_us = 1_000
        self._path = path

    def open(
        self, *, unwritten_max: int = 1000
    ) -> AbstractAsyncContextManager[EventLog]:
        return SqliteLog(
            self._path,
            REGISTRY,
            node="n1",
            unwritten_max=unwritten_max,
            now_us=lambda: self.now_us,
            seals=None,
        )


class TestSqliteLog(LogContract):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> SqliteEngine:
        return SqliteEngine(tmp_path / "log.db")


def rows(path: Path, query: str) -> list[tuple[object, ...]]:
    db = sqlite3.connect(path)
    try:
        return db.execute(query).fetchall()
    finally:
        db.close()


@pytest.mark.asyncio
async def test_the_tables_say_what_was_appended(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    async with SqliteLog(path, REGISTRY, node="n", now_us=lambda: 7, seals=None) as log:
        key = IdempotencyKey("s", "k", "a/1", expires_us=99)
        await log.append([on("a/1", 0, Started("é"))], AT, keys=[key])
        await log.append([on("b", 0, Counted(), Ended()), on("a/1", 1, Counted(2))], AT)

    events = "SELECT position, stream, version, tag, prev, typeof(state) FROM events"
    header = '"at":1000,"committed":7,"node":"n","epoch":1'
    assert rows(path, events) == [
        (1, "a/1", 1, "test.started", None, "text"),
        (2, "b", 1, "test.counted", None, "text"),
        (3, "b", 2, "test.ended", 2, "text"),
        (4, "a/1", 2, "test.counted", 1, "text"),
    ]
    assert rows(path, "SELECT state FROM events WHERE position = 1") == [
        (f'{{"v":1,{header},"data":{{"name":"é"}}}}',),
    ]
    assert rows(path, "SELECT stream, kind, version, position, open FROM streams") == [
        ("a/1", "a", 2, 4, 1),
        ("b", "b", 2, 3, 0),
    ]
    assert rows(path, "SELECT next_position, committed, epoch FROM meta") == [(5, 7, 1)]
    assert rows(path, "SELECT scope, key, stream, expires FROM keys") == [
        ("s", "k", "a/1", 99)
    ]
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]


@pytest.mark.asyncio
@pytest.mark.parametrize("known_max", [10, 10_000])
async def test_many_streams_of_one_group_find_their_heads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known_max: int
) -> None:
    monkeypatch.setattr(committer, "OPEN_HEADS_MAX", known_max)
    names = [f"a/{n}" for n in range(700)]
    path = tmp_path / "log.db"
    positions: list[int] = []
    for version in range(2):
        async with SqliteLog(path, REGISTRY, seals=None) as log:
            appended = await log.append(
                [on(name, version, Counted(version)) for name in names],
            )
            positions.append(appended.position)

    assert positions == [1, 701]
    assert rows(path, "SELECT DISTINCT version, open FROM streams") == [(2, 1)]
    assert rows(path, "SELECT count(*) FROM streams") == [(700,)]


@pytest.mark.asyncio
async def test_open_streams_are_known_from_the_start_and_closed_ones_looked_up(
    tmp_path: Path,
) -> None:
    looked_up: list[object] = []

    class Watched(sqlite3.Connection):
        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            if "WHERE stream IN" in sql:
                looked_up.extend(parameters)
            return super().execute(sql, parameters)

    path = tmp_path / "log.db"
    async with SqliteLog(path, REGISTRY, seals=None) as log:
        await append(log, "open", 0, Started())
        await append(log, "closed", 0, Ended())
    async with SqliteLog(path, REGISTRY, seals=None, connection=Watched) as log:
        await append(log, "open", 1, Counted())
        await append(log, "closed", 1, Counted())

    assert looked_up == ["closed"]
    assert rows(path, "SELECT version, open FROM streams") == [(2, 1), (2, 1)]


@pytest.mark.asyncio
async def test_streams_close_and_open_within_and_between_groups(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.db"
    async with SqliteLog(path, REGISTRY, seals=None) as log:
        events = [Started(), Ended(), Ended(), Counted(), Counted(), Ended()]
        for version, event in enumerate(events):
            await append(log, "slow", version, event)
            head = await log.head("slow")
            assert head is not None
            assert head.open != event.closes
            assert [h.stream for h in await log.open_streams("s")] == (
                ["slow"] if head.open else []
            )
        await asyncio.gather(
            append(log, "a", 0, Started()),
            append(log, "a", 1, Ended()),
            append(log, "b", 0, Ended()),
            append(log, "b", 1, Counted()),
            append(log, "c", 0, Started(), Ended()),
        )

    assert rows(path, "SELECT stream, open FROM streams") == [
        ("a", 0),
        ("b", 1),
        ("c", 0),
        ("slow", 0),
    ]


@pytest.mark.asyncio
async def test_heads_that_were_forgotten_are_looked_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "HEADS_MAX", 2)
    async with SqliteLog(tmp_path / "log.db", REGISTRY, seals=None) as log:
        for version in range(3):
            for n in range(5):
                await append(log, f"a/{n}", version, Counted())
        found = await log.open_streams()

    assert [head.version for head in found] == [3] * 5


@pytest.mark.asyncio
async def test_expired_keys_are_deleted_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "_EXPIRED_EVERY", 3)
    path = tmp_path / "log.db"
    async with SqliteLog(path, REGISTRY, now_us=lambda: 1000, seals=None) as log:
        for n, expires_us in enumerate((500, None, 2000)):
            key = IdempotencyKey("s", str(n), "a/1", expires_us)
            await log.append([on("a/1", n, Counted())], keys=[key])

    assert rows(path, "SELECT key FROM keys") == [("1",), ("2",)]


@pytest.mark.asyncio
async def test_a_group_has_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "GROUP_MAX", 1)
    positions: list[int] = []
    async with SqliteLog(tmp_path / "log.db", REGISTRY, seals=None) as log:
        log.on_commit(positions.append)
        waiting = [append(log, "a/1", 0, Started())]
        tasks = [asyncio.create_task(w) for w in waiting]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        tasks.append(asyncio.create_task(append(log, "b/1", 0, Started())))
        await asyncio.gather(*tasks)

    assert positions == [1, 2]


@pytest.mark.asyncio
async def test_snapshots_waiting_to_be_written_are_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written, "SNAPSHOTS_MAX", 2)
    path = tmp_path / "log.db"
    async with SqliteLog(path, REGISTRY, seals=None) as log:
        for n in range(4):
            log.save_snapshot(Snapshot(f"a/{n}", 1, 1, 1, b"x"))

    assert rows(path, "SELECT stream FROM snapshots") == [("a/2",), ("a/3",)]


@pytest.mark.asyncio
async def test_a_full_wal_is_moved_into_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "CHECKPOINT_BYTES", 100_000)
    wal = tmp_path / "log.db-wal"
    sizes: list[int] = []
    async with SqliteLog(tmp_path / "log.db", REGISTRY, seals=None) as log:
        for version in range(300):
            await append(log, "a/1", version, Started("x" * 2000))
            sizes.append(os.stat(wal).st_size)  # noqa: PTH116 - as a test
        rows_ = await log.read_stream("a/1")

    assert max(sizes) < 400_000
    assert len(rows_) == 300


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("spoil", "error", "words"),
    [
        ("UPDATE meta SET format = 99", LogFormatError, "upgrade dramaturg"),
        ("PRAGMA application_id = 7", LogFormatError, "something else"),
        ("UPDATE meta SET next_position = 1", LogDamagedError, "backup"),
        ("UPDATE meta SET committed = 9", LogDamagedError, "its last commit"),
        ("UPDATE meta SET epoch = 9", LogDamagedError, "its epoch"),
        ("UPDATE meta SET keys = zeroblob(9)", LogDamagedError, "its keys"),
        ("UPDATE meta SET digest = 7", LogDamagedError, "not as it was written"),
        ("DROP TABLE meta", LogDamagedError, "backup"),
        ("DELETE FROM meta", LogDamagedError, "backup"),
        (
            "UPDATE events SET state = replace(state, 'name', 'game')",
            LogDamagedError,
            "position 1, the last of the open stream 'a/1'",
        ),
        ("UPDATE streams SET version = 2", LogDamagedError, "open stream 'a/1'"),
        ("UPDATE events SET stream = 'a/2'", LogDamagedError, "open stream 'a/1'"),
    ],
)
async def test_a_log_that_cannot_be_continued_is_refused(
    tmp_path: Path, spoil: str, error: type[LogError], words: str
) -> None:
    path = tmp_path / "log.db"
    async with SqliteLog(path, REGISTRY, seals=None) as log:
        await append(log, "a/1", 0, Started())
    db = sqlite3.connect(path)
    db.execute(spoil)
    db.commit()
    db.close()
    with pytest.raises(error, match=words):
        async with SqliteLog(path, REGISTRY, seals=None):
            pass


@pytest.mark.asyncio
async def test_a_file_that_is_no_database_is_refused_and_left_alone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(b"a letter, not a log" * 100)
    with pytest.raises(LogFormatError, match="not a log"):
        async with SqliteLog(path, REGISTRY, seals=None):
            pass

    assert path.read_bytes() == b"a letter, not a log" * 100


def test_a_loop_that_was_closed_ends_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    loop = asyncio.new_event_loop()
    log = SqliteLog(path, REGISTRY, seals=None)
    before = {*threading.enumerate()}
    loop.run_until_complete(log.__aenter__())
    new = {*threading.enumerate()} - before
    (thread,) = (t for t in new if t.name == "dramaturg-log log.db")

    async def submit() -> None:
        log.submit([on("a/1", 0, Started())], AT, lambda _: None)
        await asyncio.sleep(0)

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # the writer waits until the loop is closed
        loop.run_until_complete(submit())
        loop.close()
        other.execute("ROLLBACK")
    thread.join(20)

    assert not thread.is_alive()
    assert rows(path, "SELECT count(*) FROM events") == [(1,)]


@pytest.mark.asyncio
async def test_cancelling_the_opening_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = SqliteLog(path, REGISTRY, seals=None)
    opening = asyncio.create_task(log.__aenter__())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    async with SqliteLog(path, REGISTRY, seals=None) as again:
        appended = await append(again, "a/1", 0, Started())

    assert not log.available
    assert isinstance(appended, Appended)


@pytest.mark.asyncio
async def test_a_closed_log_can_be_entered_again(tmp_path: Path) -> None:
    log = SqliteLog(tmp_path / "log.db", REGISTRY, seals=None)
    for version in range(2):
        async with log:
            await append(log, "a/1", version, Counted())

    assert log.epoch == 2
    assert log.position == 2
