"""Commits that a damaged WAL hides are found, and nothing is made worse."""

import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from anyio import to_thread

from dramaturg.events.log import LogDamagedError, StreamAppend
from dramaturg.events.log.opening import open_for_writing
from dramaturg.events.log.reader import LogReader
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.log.verify import verify
from dramaturg.events.log.wal import FRAME, HEADER, wal_damage, wal_of

from .vocabulary import REGISTRY, Counted, Started

COMMITS = 6


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log as a crash leaves it: everything is in the WAL."""
    source = tmp_path / "source.db"
    with closing(open_for_writing(source, None)) as db:
        for number in range(COMMITS):
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO keys VALUES ('s', ?, 'a/1', NULL, x'')", (number,))
            db.execute("COMMIT")
        path = tmp_path / "log.db"
        shutil.copy(source, path)
        shutil.copy(wal_of(source), wal_of(path))
    return path


def frames(path: Path) -> Iterator[int]:
    """Yield where each frame begins."""
    yield from range(HEADER.size, wal_of(path).stat().st_size, FRAME.size + 4096)


def flip(path: Path, at: int) -> None:
    data = bytearray(wal_of(path).read_bytes())
    data[at] ^= 0xFF
    wal_of(path).write_bytes(data)


def test_a_sound_wal_is_sound_and_so_is_none(path: Path) -> None:
    assert wal_damage(path) is None
    wal_of(path).write_bytes(b"")
    assert wal_damage(path) is None
    wal_of(path).unlink()
    assert wal_damage(path) is None


def test_any_byte_that_hides_a_later_commit_is_found(path: Path) -> None:
    whole = wal_of(path).read_bytes()
    draw = random.Random(7)
    begins = [*frames(path)]
    for number, begin in enumerate(begins, 1):
        end = begin + FRAME.size + 4096
        for at in (begin, begin + 4, begin + 16, draw.randrange(begin + 24, end)):
            flip(path, at)
            damage = wal_damage(path)
            last = number == len(begins)
            if last:
                assert damage is None, "an unfinished commit looks the same"
            else:
                assert damage is not None
                assert (damage.frame, damage.frames) == (number, len(begins))
            wal_of(path).write_bytes(whole)


@pytest.mark.parametrize("at", [0, 9, 17, 25])
def test_a_header_that_hides_everything_is_found(path: Path, at: int) -> None:
    flip(path, at)

    damage = wal_damage(path)

    assert damage is not None
    assert damage.frame == 0
    assert "the header of its WAL" in str(damage)


def test_the_rest_of_an_older_round_is_no_damage(path: Path) -> None:
    begins = [*frames(path)]
    for begin in begins[2:]:
        flip(path, begin + 9)  # other salts: frames of before the last checkpoint

    assert wal_damage(path) is None


def test_a_wal_that_was_cut_lost_its_end_only(path: Path) -> None:
    wal = wal_of(path)
    wal.write_bytes(wal.read_bytes()[:-100])

    assert wal_damage(path) is None


def test_such_a_log_is_not_opened_and_stays_as_it_is(path: Path) -> None:
    flip(path, next(frames(path)) + 100)
    before = path.read_bytes(), wal_of(path).read_bytes()

    with pytest.raises(LogDamagedError, match=r"frame 1 of \d+ of its WAL .* copy it"):
        open_for_writing(path, None)

    assert (path.read_bytes(), wal_of(path).read_bytes()) == before


@pytest.mark.asyncio
async def test_verify_names_the_position_from_which_on_events_are_lost(
    tmp_path: Path,
) -> None:
    source, path = tmp_path / "source.db", tmp_path / "log.db"

    def crash() -> None:
        shutil.copy(source, path)
        shutil.copy(wal_of(source), wal_of(path))

    async with SqliteLog(source, REGISTRY, seals=None) as log:
        await log.append([StreamAppend("a/1", 0, (Started("x"),))])
        await to_thread.run_sync(crash)
        begun = await to_thread.run_sync(lambda: [*frames(path)][-1])
        for version in range(1, 4):
            await log.append([StreamAppend("a/1", version, (Counted(1),))])
        await to_thread.run_sync(crash)

    def look() -> None:
        flip(path, begun + 2 * FRAME.size + 4096 + 50)
        report = verify(path, REGISTRY)
        assert [(d.kind, d.position) for d in report.damages] == [("wal", 2)]
        with LogReader(path, REGISTRY) as reader:
            assert [row.version for row in reader.read()] == [1], "what is left is read"

    await to_thread.run_sync(look)


def test_sqlite_says_nothing_of_it(path: Path) -> None:
    """Why all this: if this fails, SQLite does it itself."""
    flip(path, next(frames(path)) + 100)

    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
