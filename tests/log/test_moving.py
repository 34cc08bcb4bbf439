"""Whoever reads a log while it is written and archived misses nothing."""

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.to_thread import run_sync

from dramaturg.events.log import Recorded, Snapshot, StreamAppend
from dramaturg.events.log.archive import folder_of, selection
from dramaturg.events.log.archive.archiving import archive_log
from dramaturg.events.log.reader import LogReader
from dramaturg.events.log.sqlite import SqliteLog

from .vocabulary import REGISTRY, Counted, Ended, Started

Read = Callable[[LogReader], list[Recorded]]


async def close_one(log: SqliteLog, name: str) -> None:
    await log.append([StreamAppend(name, 0, (Started(name), Counted(2), Ended()))])


async def prepare(path: Path) -> None:
    """Two closed streams are in a segment, two in the table; `c/1` is in both, and open."""
    async with SqliteLog(path, REGISTRY, seals=None) as log:
        await log.append([StreamAppend("c/1", 0, (Counted(1),) * 5)])
        log.save_snapshot(Snapshot("c/1", 4, 4, 1, b"{}"))
        await close_one(log, "a/1")
        await archive_log(log, 0)
        await log.append([StreamAppend("c/1", 5, (Counted(2),) * 5)])
        log.save_snapshot(Snapshot("c/1", 9, 13, 1, b"{}"))
        await close_one(log, "a/2")


async def go_on(path: Path) -> None:
    """Archive, and append what follows."""
    async with SqliteLog(path, REGISTRY, seals=None) as log:
        await archive_log(log, 0)
        await close_one(log, "a/3")


READS: list[Read] = [
    lambda reader: reader.read(0, limit=50),
    lambda reader: reader.read(6, limit=5),
    lambda reader: reader.read_stream("c/1"),
    lambda reader: reader.read_stream("c/1", after=2, until=6),
]


def test_what_is_archived_between_two_statements_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "PREFIX_MIN", 2)
    made = tmp_path / "log.db"
    anyio.run(prepare, made)
    for number, read in enumerate(READS):
        step = 0
        while interrupted(made, tmp_path / f"{number}-{step}.db", read, step):
            step += 1
        assert step


def interrupted(made: Path, path: Path, read: Read, step: int) -> bool:
    """Have the log go on before the next step of reading it; tell whether there is one."""
    shutil.copy(made, path)
    shutil.copytree(folder_of(made), folder_of(path))
    with LogReader(path, REGISTRY) as reader:
        whole = read(reader)
        ask, left = reader.stored.query, iter(range(100))

        def stepped(query: str, values: Any = ()) -> list[Any]:
            if next(left) == step:
                anyio.run(go_on, path)
            return ask(query, values)

        reader.stored.query = stepped  # type: ignore[method-assign] # a spy
        assert read(reader)[: len(whole)] == whole
    return next(left) > step


@pytest.mark.asyncio
async def test_a_reader_beside_one_who_archives_sees_every_event(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.db"
    written = threading.Event()

    def follow() -> tuple[int, list[int]]:
        rounds, positions = 0, list[int]()
        with LogReader(path, REGISTRY) as reader:
            while not written.is_set() or len(positions) < reader.position:
                after = positions[-1] if positions else 0
                positions += [r.position for r in reader.read(after, limit=7)]
                for page in range(0, len(positions), 50):
                    assert len(reader.read(page, limit=50)) >= min(
                        50, len(positions) - page
                    )
                assert len(reader.read_stream("a/0")) == 3
                rounds += 1
        return rounds, positions

    async with SqliteLog(path, REGISTRY, seals=None) as log:
        await close_one(log, "a/0")
        ended: list[tuple[int, list[int]]] = []

        async def look() -> None:
            ended.append(await run_sync(follow))

        async with anyio.create_task_group() as group:
            group.start_soon(look)
            try:
                for number in range(20):
                    await close_one(log, f"a/{number + 1}")
                    await archive_log(log, 0)
            finally:
                written.set()
        end = log.position

    ((rounds, positions),) = ended
    assert rounds
    assert positions == [*range(1, end + 1)]
