"""Old events leave the tables of PostgreSQL for its archive, and are read as before."""

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import msgspec
import psycopg
import pytest
from anyio.to_thread import run_sync
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dramaturg.events import Erased, Event, vocabulary
from dramaturg.events.log import (
    LogDamagedError,
    LogFormatError,
    LogUnavailableError,
    Snapshot,
    StreamAppend,
    VersionConflictError,
    subscribe,
)
from dramaturg.events.log.archive import archiving, segment, selection
from dramaturg.events.log.archive.archiving import (
    Archiving,
    archive_log,
    would_archive,
)
from dramaturg.events.log.archive.event import STREAM, Archived, RetentionRan
from dramaturg.events.log.archive.retention import RetentionPolicy
from dramaturg.events.log.encryption import Keyring
from dramaturg.events.log.encryption.erasing import erase_owner
from dramaturg.events.log.postgres import PostgresLog, PostgresReader, lease
from dramaturg.events.log.postgres import reader as reader_module
from dramaturg.events.log.postgres.removing import EventsGoneError
from dramaturg.events.log.postgres.store import PostgresStore
from dramaturg.events.log.postgres.target import PostgresTarget
from dramaturg.events.log.reader import LogReader
from dramaturg.events.log.rows import Row
from dramaturg.events.log.stored import LAST
from dramaturg.events.log.verify import verify
from dramaturg.projections import Timeline, standard_folds

from ..log.encrypted import ANN, BOB, write
from ..log.forged import forge
from ..log.test_archive import PLAYS
from ..log.test_transfer import exported
from ..log.test_transfer import kept as kept  # noqa: PLC0414 - a fixture
from ..log.vocabulary import REGISTRY, Counted, Ended, Started
from .archive_me import Steps, places
from .test_tools import into, out_of

ENDED = (Started("x"), Ended())
END = 38
"""The last position of the log that is kept."""


class Here:
    """A schema, and what can be done with it."""

    def __init__(self, server: str, schema: str) -> None:
        self.server, self.schema = server, schema
        self.store = partial(PostgresStore, server, schema=schema)
        self.target = partial(PostgresTarget, server, schema=schema)

    def node(self, name: str = "", **options: Any) -> PostgresLog:
        options = {"lease_s": 600.0, "retry_s": (0.01, 0.1), **options}
        return PostgresLog(
            self.server, REGISTRY, schema=self.schema, node=name, **options
        )

    def reader(self, registry: Any = REGISTRY) -> PostgresReader:
        return PostgresReader(self.server, registry, schema=self.schema)

    def sql(self, *statements: str) -> list[Any]:
        rows: list[Any] = []
        options = f"-c search_path={self.schema}"
        with psycopg.connect(self.server, autocommit=True, options=options) as db:
            for statement in statements:
                cursor = db.execute(statement.encode())
                rows = cursor.fetchall() if cursor.description else []
        return rows

    def table(self) -> list[int]:
        """Return the positions of the events that are in the table."""
        return places(self.server, self.schema)[0]

    def rows(self, until: int = LAST) -> list[Row]:
        store = self.store()
        rows = store.page(0, until, 10_000)
        store.close()
        return rows

    def whole(self) -> None:
        """Make sure that every event is in one place, and all of it as written."""
        table, archived = places(self.server, self.schema)
        end = table[-1] if table else 0
        assert sorted([*table, *archived]) == [*range(1, end + 1)]
        report = verify(self.store, vocabulary().merged(REGISTRY))
        assert report.damages == ()
        assert report.events == end


@pytest.fixture
def here(server: str, schema: str) -> Here:
    return Here(server, schema)


async def keep(here: Here, path: Path) -> bytes:
    """Put a file's log into the schema; return it as it was exported."""
    export = await exported(path)
    await into(here.target, export)
    return export


async def archive(here: Here, older_than_s: float = 0, **options: Any) -> Archiving:
    async with here.node("archiver") as log:
        return await archive_log(log, older_than_s, **options)


@pytest.mark.asyncio
async def test_closed_streams_leave_the_table_and_nothing_else_changes(
    here: Here, kept: Path
) -> None:
    def states() -> list[bytes]:
        with here.reader(vocabulary()) as reader:
            timeline = Timeline(reader, standard_folds())
            found = [timeline.states(at=at, closed=True) for at in range(END + 1)]
            return [msgspec.json.encode(each) for each in found]

    export = await keep(here, kept)
    before, was = await run_sync(here.rows), await run_sync(states)
    plan = await run_sync(would_archive, here.store, 0, 2**52)

    done = await archive(here)
    again = await archive(here)

    assert (done.streams, done.events, done.segments) == (5, 31, 1)
    assert (plan.streams, plan.events, plan.document_bytes) == (5, 31, 11_995)
    assert done.segment_bytes < plan.document_bytes / 2
    assert again == Archiving()
    assert await run_sync(here.rows, END) == before
    assert await run_sync(states) == was
    assert len(await run_sync(here.table)) == END - 31 + 1
    await run_sync(here.whole)
    lines = (await out_of(here.store, until=END)).splitlines()
    assert lines[1 : END + 1] == export.splitlines()[1 : END + 1]
    events, known, _, _ = await into(here.target, export)
    assert (events, known) == (0, END)


@pytest.mark.asyncio
async def test_the_bytes_of_a_segment_are_those_of_a_file_s(
    here: Here, kept: Path, tmp_path: Path
) -> None:
    await keep(here, kept)
    await archive(here)

    def look() -> None:
        with here.reader(vocabulary()) as reader:
            (event,) = [each.event for each in reader.read_stream(STREAM)]
        assert isinstance(event, Archived)
        blocks = here.sql("SELECT bytes FROM segment_blocks ORDER BY at")
        file = tmp_path / event.segment
        file.write_bytes(b"".join(block for (block,) in blocks))
        assert file.stat().st_size == event.size_bytes
        made = segment.packed([row for row in here.rows() if row.position in gone])
        assert b"".join(made.members) == file.read_bytes()
        assert made.segment.digest.hex() == event.digest

    _, gone = await run_sync(places, here.server, here.schema)
    await run_sync(look)


@pytest.mark.asyncio
async def test_an_archived_stream_is_opened_again_and_archived_again(
    here: Here,
) -> None:
    async with here.node("a") as log:
        await log.append([StreamAppend("a/1", 0, ENDED)])
        await archive_log(log, 0)
        with pytest.raises(VersionConflictError):
            await log.append([StreamAppend("a/1", 0, (Started("y"),))])
        await log.append([StreamAppend("a/1", 2, (Counted(2),))])
        parts = [
            await log.read_stream("a/1"),
            await log.read_stream("a/1", after=1),
            await log.read_stream("a/1", after=2),
            await log.read_stream("a/1", after=3),
            await log.read_stream("a/1", until=1),
            await log.read_stream("a/2"),
        ]
        nothing = await archive_log(log, 0)
        await log.append([StreamAppend("a/1", 3, (Ended(),))])
        twice = await archive_log(log, 0)
        rows = await log.read_stream("a/1", after=2)

    found = [[row.version for row in part] for part in parts]
    assert found == [[1, 2, 3], [2, 3], [3], [], [1], []]
    assert (nothing.events, twice.events, twice.segments) == (0, 2, 1)
    assert [row.event for row in rows] == [Counted(2), Ended()]
    await run_sync(here.whole)


@pytest.mark.asyncio
async def test_of_an_open_stream_goes_what_stands_behind_a_snapshot(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "PREFIX_MIN", 4)
    async with here.node("a") as log:
        await log.append([StreamAppend("a/1", 0, (Counted(1),) * 6)])
        log.save_snapshot(Snapshot("a/1", 5, 5, 1, b"5"))
        await log.append([StreamAppend("b/1", 0, ENDED)])
        log.save_snapshot(Snapshot("b/1", 2, 8, 1, b"0"))
        await log.append([StreamAppend("c/1", 0, (Started(),))])
        done = await archive_log(log, 0)
        kept = [await log.snapshot(name, 1) for name in ("a/1", "b/1")]
        until = await log.read_stream("a/1", until=4)
        await log.append([StreamAppend("a/1", 6, (Counted(1),))])
        tail = await log.read_stream("a/1", after=5)

    assert done.events == 7
    assert [snapshot and snapshot.version for snapshot in kept] == [5, None]
    assert [row.version for row in until] == [1, 2, 3, 4]
    assert [row.version for row in tail] == [6, 7]
    assert (await run_sync(here.table))[0] == 6
    await run_sync(here.whole)


@settings(max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PLAYS, st.integers(1, 12), st.integers(1, 400), st.integers(0, 2**32))
def test_any_page_and_stream_of_an_archived_log_is_that_of_the_log(
    here: Here,
    plays: Sequence[tuple[str, Event]],
    most: int,
    block: int,
    seed: int,
) -> None:
    chance, end = random.Random(seed), len(plays)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setattr(selection, "EVENTS_MAX", most)
        patched.setattr(segment, "BLOCK_BYTES", block)
        path = Path(folder) / "one.db"
        forge(path, plays)
        here.sql(f"DROP SCHEMA IF EXISTS {here.schema} CASCADE")
        anyio.run(keep, here, path)
        anyio.run(archive, here)
        with LogReader(path, REGISTRY) as plain, here.reader() as archived:
            for _ in range(12):
                after, until = chance.randint(0, end), chance.randint(0, end)
                limit = chance.randint(0, 7)
                assert archived.read(after, until, limit=limit) == plain.read(
                    after, until, limit=limit
                )
                digests = archived.digests(after, until, limit=limit)
                assert digests == plain.digests(after, until, limit=limit)
                name = chance.choice(["a/1", "a/2", "b/1"])
                at = chance.randint(0, end)
                assert archived.read_stream(
                    name, after=after, until=until, at=at
                ) == plain.read_stream(name, after=after, until=until, at=at)
            for at in range(end * 10):
                assert archived.position_at(at) == plain.position_at(at)
        here.whole()


# Damage


HARMS = (
    ("DELETE FROM segment_blocks WHERE at = 0", "the block at its byte 0 is missing"),
    ("DELETE FROM segment_blocks WHERE at > 0", "is not as it was written"),
    (
        "UPDATE segment_blocks SET bytes = set_byte(bytes, 99, 7) WHERE at = 0",
        "is not as it was written",
    ),
    ("UPDATE segment_blocks SET bytes = '' WHERE at = 0", "of another length"),
    ("UPDATE segments SET digest = ''", "is not as it was written"),
    ("UPDATE segments SET events = 30", "otherwise than its row says"),
)


@pytest.mark.asyncio
async def test_damage_to_the_archive_is_named_and_costs_no_other_event(
    here: Here, kept: Path
) -> None:
    await keep(here, kept)
    await archive(here)
    keeping = [
        f"CREATE TABLE {t}_kept AS TABLE {t}" for t in ("segments", "segment_blocks")
    ]
    await run_sync(here.sql, *keeping)

    def look(harm: str, said: str) -> None:
        here.sql(harm)
        report = verify(here.store, vocabulary())
        damages = {(each.kind, each.position) for each in report.damages}
        assert ("segment", 3) in damages
        assert any(said in each.message for each in report.damages)
        readable = harm.startswith("UPDATE segments ")
        assert (("gap", 3) in damages) is not readable
        assert report.events == (END + 1 if readable else END + 1 - 31)
        with here.reader(vocabulary()) as reader:
            (ended, *_) = [head for head in reader.streams("item/") if not head.open]
            assert reader.read_stream(STREAM)
            if not readable:
                with pytest.raises(LogDamagedError, match="restore"):
                    reader.read_stream(ended.stream)
        here.sql(
            "DELETE FROM segment_blocks; DELETE FROM segments",
            "INSERT INTO segments TABLE segments_kept",
            "INSERT INTO segment_blocks TABLE segment_blocks_kept",
        )

    for harm, said in HARMS:
        await run_sync(look, harm, said)
    await run_sync(here.sql, "DELETE FROM segment_blocks; DELETE FROM segments")
    report = await run_sync(verify, here.store, vocabulary())
    assert ("gap", 3) in {(each.kind, each.position) for each in report.damages}
    async with here.node("a") as log:
        await log.append([StreamAppend("z/1", 0, ENDED)])


@pytest.mark.asyncio
async def test_what_is_damaged_is_not_archived(here: Here, kept: Path) -> None:
    await keep(here, kept)
    harm = "UPDATE events SET tag = 'item.gone' WHERE tag = 'item.done'"
    await run_sync(here.sql, harm)

    with pytest.raises(LogDamagedError, match="nothing of it is archived"):
        await archive(here)
    assert len(await run_sync(here.table)) == END


# Who reads while it is archived


Move = Callable[[], None]


class Moving(PostgresStore):
    """Has one stream more archived when it has made so many queries."""

    left = 0
    move: Move

    def query(self, query: str, values: Any = ()) -> list[Any]:
        found = super().query(query, values)
        self.left -= 1
        if self.left == 0:
            self.move()
        return found


@pytest.mark.asyncio
async def test_who_reads_sees_no_hole_whenever_events_are_moved(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    go, moved = asyncio.Event(), asyncio.Event()
    streams = 24

    async def between(_done: Archiving, _took_s: float) -> None:
        moved.set()
        await go.wait()
        go.clear()

    async def move_one() -> None:
        moved.clear()
        go.set()
        await moved.wait()

    def look() -> int:
        gone = 1
        with here.reader() as reader:
            moving = reader.stored
            assert isinstance(moving, Moving)
            moving.move = lambda: asyncio.run_coroutine_threadsafe(
                move_one(), loop
            ).result()
            for read in READS:
                for step in range(1, 5):
                    before = read(reader, gone)
                    moving.left = step
                    assert read(reader, gone) == before
                    gone += moving.left <= 0
                    moving.left = 0
        return gone

    async with here.node("a") as log:
        for at, events in ((0, (Started("x"), Counted())), (2, (Counted(), Ended()))):
            await log.append(
                [StreamAppend(f"a/{n}", at, events) for n in range(streams)]
            )
        task = asyncio.create_task(archive_log(log, 0, events_max=1, between=between))
        await moved.wait()
        monkeypatch.setattr(reader_module, "PostgresStore", Moving)
        gone = await run_sync(look)
        task.cancel()
        await asyncio.wait([task])
    assert gone > 2 * len(READS)
    await run_sync(here.whole)


END_OF_ALL = 96


def _page(reader: PostgresReader, _: int) -> object:
    return reader.read(until=END_OF_ALL)


def _digests(reader: PostgresReader, _: int) -> object:
    return reader.digests(0, END_OF_ALL, limit=200)


def _stream(reader: PostgresReader, gone: int) -> object:
    return reader.read_stream(f"a/{gone}")


def _places(reader: PostgresReader, _: int) -> object:
    return reader.stored.places([*range(1, END_OF_ALL + 1)])


def _times(reader: PostgresReader, _: int) -> object:
    return [reader.position_at(row.header.committed) for row in reader.read(limit=1)]


READS = (_page, _digests, _stream, _places, _times)


@pytest.mark.asyncio
async def test_what_is_archived_while_segments_are_verified_is_no_damage(
    here: Here,
) -> None:
    loop = asyncio.get_running_loop()

    class Late(PostgresStore):
        def segments(self) -> list[segment.Segment]:
            asyncio.run_coroutine_threadsafe(archive_log(log, 0), loop).result()
            return super().segments()

    async with here.node("a") as log:
        await log.append([StreamAppend("a/1", 0, ENDED)])
        opening = partial(Late, here.server, schema=here.schema)
        report = await run_sync(verify, opening, REGISTRY)

    assert report.damages == ()
    assert await run_sync(here.table) == [3]


@pytest.mark.asyncio
async def test_a_scan_in_another_process_sees_every_event_once(here: Here) -> None:
    async with here.node("a") as log:
        await log.append([StreamAppend(f"a/{n}", 0, ENDED) for n in range(70)])
        script = Path(__file__).with_name("scan_me.py")
        scan = await asyncio.create_subprocess_exec(
            *(sys.executable, script, here.server, here.schema, "140"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert scan.stdout is not None
        await scan.stdout.readline()  # it has begun
        done = await archive_log(log, 0, events_max=2)
        said, _ = await scan.communicate(b"stop\n")

    assert done.segments == 70
    assert json.loads(said)["scans"] > 0
    assert scan.returncode == 0


# Who else archives, and what goes wrong meanwhile


@pytest.mark.asyncio
async def test_of_two_nodes_that_archive_at_once_one_waits_and_says_so(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archiving, "WAITS_S", 0.0)
    begun, waits = asyncio.Event(), asyncio.Event()

    async def between(_done: Archiving, _took_s: float) -> None:
        begun.set()
        await waits.wait()

    async with here.node("a") as one, here.node("b") as other:
        await one.append([StreamAppend(f"a/{n}", 0, ENDED) for n in range(9)])
        first = asyncio.create_task(archive_log(one, 0, events_max=4, between=between))
        await begun.wait()
        done = [await archive_log(other, 0, waits=waits.set), await first]

    assert [each.events for each in done] == [0, 18]
    await run_sync(here.whole)


@pytest.mark.asyncio
@pytest.mark.parametrize("tampered", [False, True])
async def test_what_is_not_there_any_more_is_not_archived_and_the_log_goes_on(
    here: Here,
    monkeypatch: pytest.MonkeyPatch,
    tampered: bool,  # noqa: FBT001 - as pytest gives it
) -> None:
    loop, packed = asyncio.get_running_loop(), segment.packed

    async def no_claim(_log: PostgresLog, _name: str) -> None:
        """As if its epoch, and with it the claim, had ended unnoticed."""

    def late(rows: Sequence[Row]) -> segment.Packed:
        monkeypatch.setattr(archiving, "packed", packed)
        if tampered:
            here.sql("DELETE FROM events WHERE position = 2")
        else:
            meanwhile = archive_log(other, 0)
            asyncio.run_coroutine_threadsafe(meanwhile, loop).result()
        return packed(rows)

    monkeypatch.setattr(PostgresLog, "claim", no_claim)
    monkeypatch.setattr(archiving, "packed", late)
    async with here.node("a") as one, here.node("b") as other:
        await one.append([StreamAppend(f"a/{n}", 0, ENDED) for n in range(3)])
        with pytest.raises(EventsGoneError if tampered else VersionConflictError):
            await archive_log(one, 0)
        assert one.available
        await one.append([StreamAppend("a/1", 2, (Counted(),))])
    if not tampered:
        await run_sync(here.whole)
    table, archived = await run_sync(places, here.server, here.schema)
    everything = [*table, *archived]
    assert len({*everything}) == len(everything) == (6 if tampered else 8)


@pytest.mark.asyncio
async def test_cut_off_at_any_step_every_event_is_in_one_place(
    here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(db: psycopg.Connection[Any]) -> None:
        here.sql(f"SELECT pg_terminate_backend({db.info.backend_pid})")

    monkeypatch.setattr(lease, "_LOOK_EVERY_S", 0.02)  # as it is not woken
    steps, step = Steps(cut), 0
    steps.install(monkeypatch.setattr)
    back = asyncio.Event()

    def listen(available: bool) -> None:  # noqa: FBT001 - as it is called
        if available:
            back.set()

    async with here.node("a", retry_s=(0.001, 0.01)) as log:
        log.on_availability(listen)
        await log.append([StreamAppend("a/1", 0, ENDED)])
        done = Archiving()
        while not done.events:
            step += 1
            steps.left = step
            try:
                done = await archive_log(log, 0)
            except LogUnavailableError:
                await back.wait()
                back.clear()
            table, archived = await run_sync(places, here.server, here.schema)
            assert sorted([*table, *archived]) == [*range(1, table[-1] + 1)]
            if archived:
                break
    assert step > 10
    await run_sync(here.whole)


@pytest.mark.kill
def test_killed_at_any_step_every_event_is_in_one_place(here: Here) -> None:
    async def fill() -> None:
        async with here.node("a") as log:
            await log.append([StreamAppend(f"a/{n}", 0, ENDED) for n in range(3)])

    asyncio.run(fill())
    script = Path(__file__).with_name("archive_me.py")
    done = subprocess.run(
        [sys.executable, script, here.server, here.schema],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 10
    here.whole()


@pytest.mark.asyncio
async def test_nodes_archive_by_themselves_and_each_says_so(here: Here) -> None:
    policy = RetentionPolicy(older_than_s=0, every_s=0.01, events_max=4)
    ended = [StreamAppend(f"a/{n}", 0, ENDED) for n in range(10)]
    told: dict[str, RetentionRan] = {}
    async with here.node("w") as log:
        await log.append(ended)
        async with (
            here.node("a", retention=policy) as one,
            here.node("b", retention=policy),
        ):
            async for row in subscribe(one):
                if isinstance(row.event, RetentionRan):
                    told[row.header.node] = row.event
                if len(told) == 2:
                    break
    assert {each.failure for each in told.values()} == {""}
    assert sum(each.events for each in told.values()) == 20
    await run_sync(here.whole)


@pytest.mark.asyncio
async def test_nothing_readable_is_left_in_the_archive_of_whom_is_erased(
    here: Here, tmp_path: Path
) -> None:
    keys = Keyring(tmp_path / "keys.jsonl")
    async with here.node("a", keyring=keys) as log:
        await write(log, "ann", 0, Started(ANN), Ended())
        await write(log, "bob", 0, Started(BOB), Ended())
        archived = await archive_log(log, 0)
        before = [row.event for row in await log.read_stream("person/ann")]
        done = await erase_owner(
            log, keys, "ann", reason="", by="t", artifacts=tmp_path / "none"
        )
        hers = [row.event for row in await log.read_stream("person/ann")]
        his = [row.event for row in await log.read_stream("person/bob")]

    assert archived.events == 4
    assert before == [Started(ANN), Ended()]
    assert done.ok
    assert (done.events, done.readable, done.left) == (2, 2, 0)
    assert [type(event) for event in hers] == [Erased, Erased]
    assert his == [Started(BOB), Ended()]


# Format 1

FIRST = (
    "DROP TABLE segment_blocks",
    "DROP TABLE segments",
    "ALTER TABLE nodes DROP COLUMN format",
    "UPDATE meta SET format = 1",
)
"""What turns a schema into one that the first versions made."""
ENTER = (
    "INSERT INTO nodes SELECT 9, 'old', clock_timestamp() + make_interval(secs => {}), "
    "1, clock_timestamp()"
)
"""How their nodes enter."""


@pytest.mark.asyncio
async def test_a_schema_of_format_1_is_read_and_brought_up_to_date(here: Here) -> None:
    async with here.node("a") as log:
        await log.append([StreamAppend("a/1", 0, ENDED)])
        await log.append([StreamAppend("a/2", 0, ENDED)])
    await run_sync(here.sql, *FIRST)

    def read(reader: PostgresReader) -> list[int]:
        assert reader.digests(0, 4, limit=9)
        assert len(reader.read_stream("a/1")) == 2
        return [row.position for row in reader.read(limit=4)]

    await run_sync(here.whole)
    assert (await run_sync(would_archive, here.store, 0, 2**60)).events == 4
    with await run_sync(here.reader) as reader:
        assert await run_sync(read, reader) == [1, 2, 3, 4]
        await run_sync(here.sql, ENTER.format(60))
        with pytest.raises(LogFormatError, match="node 'old', of an earlier version"):
            await archive(here)
        await run_sync(here.sql, "UPDATE nodes SET expires = clock_timestamp()")
        done = await archive(here)
        assert done.events == 4
        assert await run_sync(read, reader) == [1, 2, 3, 4]
    await run_sync(here.whole)
    with pytest.raises(psycopg.errors.NotNullViolation, match="format"):
        await run_sync(here.sql, ENTER.format(60))
