"""Old events leave the table and are read, shown, exported and verified as before."""

import asyncio
import gzip
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import msgspec
import pytest
from anyio.to_thread import run_sync
from hypothesis import given, settings
from hypothesis import strategies as st

from dramaturg.events import Event, Registry, vocabulary
from dramaturg.events.log import (
    LogDamagedError,
    LogUnavailableError,
    Snapshot,
    StreamAppend,
    VersionConflictError,
)
from dramaturg.events.log.archive import SegmentFolder, folder_of, segment, selection
from dramaturg.events.log.archive import archive as archive_module
from dramaturg.events.log.archive.archiving import (
    Archiving,
    archive_log,
    would_archive,
)
from dramaturg.events.log.archive.event import STREAM, Archived
from dramaturg.events.log.reader import LogReader
from dramaturg.events.log.rows import Row
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.log.stored import LAST
from dramaturg.events.log.transfer import backup_log
from dramaturg.events.log.verify import verify
from dramaturg.projections import Timeline, standard_folds

from .faults import Faults
from .forged import forge, tamper
from .test_transfer import exported, imported
from .test_transfer import kept as kept  # noqa: PLC0414 - a fixture
from .vocabulary import REGISTRY, Counted, Ended, Started

HERE = Path(__file__).parent
SEALED = REGISTRY.merged(vocabulary())


async def archive(path: Path, older_than_s: float = 0, **options: object) -> Archiving:
    async with SqliteLog(path, REGISTRY) as log:
        return await archive_log(log, older_than_s, **options)  # type: ignore[arg-type] # passed on


def rows(path: Path, until: int = LAST) -> list[Row]:
    with LogReader(path, REGISTRY) as reader:
        return reader.stored.page(0, until, 10_000)


def in_table(path: Path) -> list[int]:
    with LogReader(path, REGISTRY) as reader:
        query = "SELECT position FROM events ORDER BY position"
        return [position for (position,) in reader.stored.query(query)]


@pytest.mark.asyncio
async def test_closed_streams_leave_the_table_and_nothing_else_changes(
    kept: Path,
) -> None:
    before = await run_sync(rows, kept)
    plan = await run_sync(would_archive, kept, 0, 2**52)

    done = await archive(kept)
    again = await archive(kept)

    assert (done.streams, done.events, done.segments) == (5, 31, 1)
    assert (plan.streams, plan.events, plan.document_bytes) == (5, 31, 11_995)
    assert again == Archiving()
    assert await run_sync(rows, kept, 38) == before
    assert len(await run_sync(in_table, kept)) == 38 - 31 + 2
    report = await run_sync(verify, kept, vocabulary())
    assert report.damages == ()
    assert (report.events, report.streams) == (40, 10)


def test_an_event_names_the_segment_that_any_program_can_read(kept: Path) -> None:
    anyio.run(archive, kept)

    with LogReader(kept, SEALED) as reader:
        (event,) = [r.event for r in reader.read_stream(STREAM)]
    assert isinstance(event, Archived)
    file = folder_of(kept) / event.segment
    assert file.stat().st_size == event.size_bytes
    assert SegmentFolder(kept).digest(event.segment).hex() == event.digest
    text = gzip.decompress(file.read_bytes())
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["position"] for line in lines[:-1]] == sorted(
        {row.position for row in rows(kept)} - {*in_table(kept)}
    )
    assert lines[-1] == {
        "blocks": [{"first": event.first, "last": event.last, "at": 0}]
    }
    assert gzip.decompress(file.read_bytes()[event.index_at :]).startswith(b'{"blocks"')


def test_states_as_of_any_position_are_those_of_before(kept: Path) -> None:
    def states() -> list[object]:
        with LogReader(kept, vocabulary()) as reader:
            timeline = Timeline(reader, standard_folds())
            return [repr_of(timeline.states(at=at, closed=True)) for at in range(39)]

    def repr_of(found: object) -> bytes:
        return msgspec.json.encode(found)

    before = states()
    anyio.run(archive, kept)

    assert states() == before


@pytest.mark.asyncio
async def test_young_and_open_streams_stay(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    clock = iter(range(0, 10**12, 1_000_000))  # a second between any two looks
    async with SqliteLog(path, REGISTRY, seals=None, now_us=lambda: next(clock)) as log:
        for name in ("a/1", "a/2", "a/3"):
            await log.append([StreamAppend(name, 0, (Started(), Counted()))])
        for name in ("a/1", "a/2"):
            await log.append([StreamAppend(name, 2, (Ended(),))])
        head = await log.read(limit=7)
        at_us = head[-1].header.committed
        done = await archive_log(log, 1.0, now_us=lambda: at_us + 1_000_000)
        stay = await archive_log(log, 1.1, now_us=lambda: at_us + 1_000_000)

    assert (done.streams, done.events) == (1, 3)
    assert stay.events == 0
    assert await run_sync(in_table, path) == [3, 4, 5, 6, 8, 9]


@pytest.mark.asyncio
async def test_an_archived_stream_is_opened_again_and_archived_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.db"
    async with SqliteLog(path, REGISTRY) as log:
        await log.append([StreamAppend("a/1", 0, (Started("x"), Ended()))])
        await archive_log(log, 0)
        head = await log.head("a/1")
        with pytest.raises(VersionConflictError):
            await log.append([StreamAppend("a/1", 0, (Started("y"),))])
        await log.append([StreamAppend("a/1", 2, (Counted(2),))])
        opened = await log.open_streams("a/")
        parts = [
            await log.read_stream("a/1"),
            await log.read_stream("a/1", after=1),
            await log.read_stream("a/1", after=2),
            await log.read_stream("a/1", until=1),
        ]
        nothing = await archive_log(log, 0)
        await log.append([StreamAppend("a/1", 3, (Ended(),))])
        twice = await archive_log(log, 0)
        whole = [r.event for r in await log.read_stream("a/1")]
    async with SqliteLog(path, REGISTRY) as log:
        again = [r.event for r in await log.read_stream("a/1")]

    assert head is not None
    assert (head.version, head.open) == (2, False)
    assert [h.stream for h in opened] == ["a/1"]
    assert [[r.version for r in part] for part in parts] == [
        [1, 2, 3],
        [2, 3],
        [3],
        [1],
    ]
    assert (nothing.events, twice.events, twice.segments) == (0, 2, 1)
    assert whole == again == [Started("x"), Ended(), Counted(2), Ended()]
    assert (await run_sync(verify, path, REGISTRY)).ok


@pytest.mark.asyncio
async def test_of_an_open_stream_goes_what_stands_behind_a_snapshot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "PREFIX_MIN", 4)
    path = tmp_path / "log.db"
    async with SqliteLog(path, REGISTRY, seals=None) as log:
        await log.append([StreamAppend("a/1", 0, (Counted(1),) * 6)])
        log.save_snapshot(Snapshot("a/1", 3, 3, 1, b"3"))
        await log.append([StreamAppend("b/1", 0, (Started(), Ended()))])
        few = await archive_log(log, 0)
        log.save_snapshot(Snapshot("a/1", 5, 5, 1, b"5"))
        log.save_snapshot(Snapshot("b/1", 2, 8, 1, b"0"))
        await log.append([StreamAppend("c/1", 0, (Started(),))])
        done = await archive_log(log, 0)
        snapshot = await log.snapshot("a/1", 1)
        tail = await log.read_stream("a/1", after=5)
        whole = await log.read_stream("a/1")
        until = await log.read_stream("a/1", until=4)
    async with SqliteLog(path, REGISTRY, seals=None) as log:
        await log.append([StreamAppend("a/1", 6, (Counted(1),))])

    assert (few.events, done.events) == (2, 5)
    assert snapshot is not None
    assert (snapshot.version, [r.version for r in tail]) == (5, [6])
    assert [r.version for r in whole] == [1, 2, 3, 4, 5, 6]
    assert [r.version for r in until] == [1, 2, 3, 4]
    assert 1 not in await run_sync(in_table, path)
    assert (await run_sync(verify, path, REGISTRY)).damages == ()


EVENTS = [Started("x"), Counted(2), Ended()]
PLAYS = st.lists(
    st.tuples(st.sampled_from(["a/1", "a/2", "b/1"]), st.sampled_from(EVENTS)),
    max_size=30,
)


@settings(max_examples=12)
@given(PLAYS, st.integers(1, 12), st.integers(1, 400), st.integers(0, 2**32))
def test_any_page_and_stream_of_an_archived_log_is_that_of_the_log(
    plays: Sequence[tuple[str, Event]], most: int, block: int, seed: int
) -> None:
    chance = random.Random(seed)
    with (
        TemporaryDirectory() as folder,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(selection, "EVENTS_MAX", most)
        patched.setattr(segment, "BLOCK_BYTES", block)
        patched.setattr(archive_module, "BLOCKS_KEPT", 2)
        one, other = Path(folder) / "one.db", Path(folder) / "other.db"
        forge(one, plays)
        shutil.copyfile(one, other)
        anyio.run(archive, other)
        end = len(plays)
        with LogReader(one, SEALED) as plain, LogReader(other, SEALED) as archived:
            for _ in range(12):
                after, until = chance.randint(0, end), chance.randint(0, end)
                limit = chance.randint(0, 7)
                assert archived.read(after, until, limit=limit) == plain.read(
                    after, until, limit=limit
                )
                name = chance.choice(["a/1", "a/2", "b/1"])
                at = chance.randint(0, end)
                assert archived.read_stream(
                    name, after=after, until=until, at=at
                ) == plain.read_stream(name, after=after, until=until, at=at)
            assert archived.read(until=end) == plain.read()
            for at in range(end * 10):
                assert archived.position_at(at) == plain.position_at(at)
        assert verify(other, REGISTRY).damages == ()


@pytest.mark.asyncio
async def test_export_import_and_backup_span_both(tmp_path: Path, kept: Path) -> None:
    before = await exported(kept, until=38)
    await archive(kept)
    twin, copy = tmp_path / "twin.db", tmp_path / "copy.db"

    await imported(twin, await exported(kept))
    report = await run_sync(backup_log, kept, copy)

    events = before.splitlines()[1:39]
    assert (await exported(kept)).splitlines()[1:39] == events
    assert (await exported(twin)).splitlines()[1:39] == events
    assert (await exported(copy)).splitlines()[1:39] == events
    assert (await run_sync(verify, twin)).ok
    assert report.events == 40
    assert not await run_sync(lambda: folder_of(twin).exists())
    assert len(await run_sync(lambda: [*folder_of(copy).iterdir()])) == 1


# Damage and failure


@pytest.mark.parametrize(
    "how", ["missing", "cut", "changed", "forged", "short", "long", "nul", "unnamed"]
)
def test_damage_to_a_segment_is_named_and_costs_no_other_event(
    kept: Path, how: str
) -> None:
    anyio.run(archive, kept)
    (file,) = folder_of(kept).iterdir()
    contents = file.read_bytes()
    match how:
        case "missing":
            file.unlink()
        case "cut":
            file.write_bytes(contents[:-10])
        case "changed":
            middle = bytearray(contents)
            middle[300] ^= 1
            file.write_bytes(middle)
        case "forged":
            tamper(kept, "UPDATE segments SET digest = x'00'")
        case "short":
            tamper(kept, "UPDATE segments SET size_bytes = index_at - 2")
        case "long":
            tamper(kept, "UPDATE segments SET size_bytes = 1 << 62")
        case "nul":
            tamper(kept, "UPDATE segments SET segment = segment || char(0)")
        case _:
            tamper(kept, "UPDATE segments SET segment = segment || 'x'")

    report = verify(kept, vocabulary())

    kinds = {damage.kind for damage in report.damages}
    assert "segment" in kinds
    readable = how in {"forged", "long"}
    assert ("gap" not in kinds) == readable
    with LogReader(kept, vocabulary()) as reader:
        assert reader.open_streams()
        if not readable:
            with pytest.raises(LogDamagedError, match=r"-segments/3-35-.*restore"):
                reader.read()


def test_a_stream_that_is_said_to_be_open_though_it_is_archived_is_named(
    kept: Path,
) -> None:
    anyio.run(archive, kept)
    tamper(kept, "UPDATE streams SET open = 1 WHERE stream LIKE 'item/%'")

    report = verify(kept, vocabulary())

    assert {damage.kind for damage in report.damages} == {"open"}


def test_a_stream_whose_segment_nobody_knows_is_not_taken_for_a_new_one(
    kept: Path,
) -> None:
    anyio.run(archive, kept)
    tamper(kept, "DELETE FROM segments")

    with LogReader(kept, vocabulary()) as reader:
        (ended, *_) = [head for head in reader.streams("item/") if not head.open]
        with pytest.raises(LogDamagedError, match=f"stream '{ended.stream}' is broken"):
            reader.read_stream(ended.stream)


@pytest.mark.asyncio
async def test_a_log_works_without_its_segments(
    kept: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await archive(kept)
    await run_sync(lambda: shutil.rmtree(folder_of(kept)))
    async with SqliteLog(kept, REGISTRY) as log:
        appended = await log.append([StreamAppend("z/1", 0, (Started(),))])

    assert appended.position == 41
    assert "log.segment_damaged" in capsys.readouterr().out


@pytest.mark.asyncio
async def test_what_is_damaged_is_not_archived(kept: Path) -> None:
    await run_sync(
        tamper, kept, "UPDATE events SET tag = 'item.gone' WHERE tag = 'item.done'"
    )

    with pytest.raises(LogDamagedError, match="nothing of it is archived"):
        await archive(kept)
    assert len(await run_sync(in_table, kept)) == 38


@pytest.mark.asyncio
async def test_when_the_log_fails_the_events_stay(kept: Path) -> None:
    faults = Faults()
    log = SqliteLog(kept, REGISTRY, connection=faults.connection, seals=None)
    async with log:
        faults.fail("COMMIT", "SQLITE_FULL")
        with pytest.raises(LogUnavailableError):
            await archive_log(log, 0)
        with pytest.raises(LogUnavailableError):
            await archive_log(log, 0)
        faults.mend()

    assert len(await run_sync(in_table, kept)) == 38
    done = await archive(kept)
    assert done.events == 31
    assert len(await run_sync(lambda: [*folder_of(kept).iterdir()])) == 1


@pytest.mark.asyncio
async def test_two_that_archive_at_once_take_each_event_once(kept: Path) -> None:
    async with SqliteLog(kept, REGISTRY, seals=None) as log:
        done = await asyncio.gather(archive_log(log, 0), archive_log(log, 0))

    assert [each.events for each in done] == [31, 0]
    assert (await run_sync(verify, kept, vocabulary())).ok
    assert len(await run_sync(in_table, kept)) == 38 - 31 + 1


@pytest.mark.kill
@pytest.mark.timeout(120)
def test_killed_at_any_step_every_event_is_where_it_can_be_read(
    tmp_path: Path, kept: Path
) -> None:
    done = subprocess.run(
        [sys.executable, HERE / "archive_me.py", kept, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 8


def test_a_registry_need_not_know_of_archives(kept: Path) -> None:
    anyio.run(archive, kept)

    with LogReader(kept, Registry([])) as reader:
        assert len(reader.read()) == 40
