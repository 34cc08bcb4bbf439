"""A log in PostgreSQL is verified, exported and imported as a file is."""

import re
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from anyio import to_thread
from eventsourcing.persistence import StoredEvent

from dramaturg.events import Fold
from dramaturg.events.log import (
    IdempotencyKey,
    LogDamagedError,
    LogError,
    LogUnavailableError,
    LogUnreadableError,
    Snapshot,
    StreamAppend,
)
from dramaturg.events.log.postgres import PostgresLog
from dramaturg.events.log.postgres.reader import PostgresReader
from dramaturg.events.log.postgres.schema import connect
from dramaturg.events.log.postgres.shape import oddities, require_shape
from dramaturg.events.log.postgres.store import PostgresStore
from dramaturg.events.log.postgres.target import NotAloneError, PostgresTarget
from dramaturg.events.log.recorders import LogApplicationRecorder, LogDatastore
from dramaturg.events.log.sealer import SealPolicy
from dramaturg.events.log.store import Opening
from dramaturg.events.log.transfer import ImportRejectedError, export_log, import_log
from dramaturg.events.log.verify import Report, verify

from ..log.contract import append
from ..log.formats.make import AWKWARD
from ..log.test_encryption import FOLD
from ..log.test_transfer import exported, write_one
from ..log.vocabulary import REGISTRY, Counted, Ended, Started

Sql = Callable[..., Awaitable[None]]


@pytest.fixture
def store(server: str, schema: str) -> Opening:
    return partial(PostgresStore, server, schema=schema)


@pytest.fixture
def sql(server: str, schema: str) -> Sql:
    def run(*statements: str) -> None:
        with psycopg.connect(server, options=f"-c search_path={schema}") as db:
            for statement in statements:
                db.execute(statement.encode())

    return partial(to_thread.run_sync, run)


async def out_of(store: Opening, **options: Any) -> bytes:
    lines: list[bytes] = []

    async def write(data: bytes) -> None:
        lines.append(data)

    await export_log(store, write, **options)
    return b"".join(lines)


async def into(target: Any, export: bytes) -> tuple[int, int, int, int]:
    parts = [export]

    async def read(_size: int) -> bytes:
        return parts.pop() if parts else b""

    done = await import_log(target, read)
    return done.events, done.known, done.keys, done.position


async def checked(store: Opening, **options: Any) -> Report:
    folds: list[Fold[Any]] = [FOLD]
    return await to_thread.run_sync(
        partial(verify, store, REGISTRY, folds=folds, **options)
    )


async def fill(server: str, schema: str) -> None:
    seals = SealPolicy(events_max=3)
    async with PostgresLog(server, REGISTRY, schema=schema, seals=seals) as log:
        key = IdempotencyKey("s", "k", "person/1")
        start = StreamAppend("person/1", 0, (Started("x"), Counted(2)))
        await log.append([start], keys=[key])
        log.save_snapshot(Snapshot("person/1", 2, 2, 1, b'{"count":2,"name":"x"}'))
        await log.append([StreamAppend("person/2", 0, (Started("y"), Ended()))])


@pytest.mark.asyncio
async def test_a_file_goes_into_a_database_and_back_byte_for_byte(
    server: str, schema: str, store: Opening, tmp_path: Path
) -> None:
    path = tmp_path / "log.db"
    await write_one(path)
    export = await exported(path)
    target = partial(PostgresTarget, server, schema=schema)
    half = export.splitlines(keepends=True)[:4]
    with pytest.raises(ImportRejectedError, match="it was cut off"):
        await into(target, b"".join(half))

    assert await into(target, export) == (5, 3, 1, 8)
    assert await into(target, export) == (0, 8, 1, 8)

    assert await out_of(store) == export
    assert await into(tmp_path / "twin.db", export) == (8, 0, 1, 8)
    report = await checked(store)
    assert report.ok, report.damages
    assert (report.events, report.streams, report.seals) == (8, 4, 1)
    async with PostgresLog(server, REGISTRY, schema=schema) as log:
        assert log.epoch == 2
        assert await log.key_stream(AWKWARD, "k") == AWKWARD
        await log.append([StreamAppend("b/1", 3, (Counted(),))])
        with pytest.raises(NotAloneError, match="stop all nodes"):
            await into(target, export)
    part = await out_of(store, streams=["b/1"])
    assert part.count(b'"stream":"b/1"') == 4


@pytest.mark.asyncio
async def test_a_sound_log_is_found_sound(
    server: str, schema: str, store: Opening
) -> None:
    await fill(server, schema)

    told: list[tuple[int, int]] = []

    def tell(at: int, end: int) -> None:
        told.append((at, end))

    report = await checked(store, progress=tell)

    assert report.ok, report.damages
    assert (report.path, report.streams) == (f"postgresql:{schema}", 3)
    assert told == [(report.events, report.events)]
    assert report.seals


@pytest.mark.asyncio
async def test_every_damage_is_named(
    server: str, schema: str, store: Opening, sql: Sql
) -> None:
    await fill(server, schema)
    await sql(
        "UPDATE events SET state = replace(state, '2}', '9}') WHERE position = 2",
        "UPDATE streams SET open = true WHERE stream = 'person/2'",
        "UPDATE snapshots SET state = '{}'",
        "UPDATE keys SET stream = 'person/9'",
        "DELETE FROM events WHERE position = (SELECT max(position) FROM events)",
    )

    report = await checked(store, anchors=["0" * 64])

    kinds = {(damage.kind, damage.position) for damage in report.damages}
    assert {("digest", 2), ("snapshot", 2), ("key", 0)} <= kinds
    assert {kind for kind, _ in kinds} >= {"open", "head", "end", "seal"}
    assert b'{"damage":{"kind":"digest","position":2' in await out_of(store)


@pytest.mark.parametrize(
    ("gone", "missing"), [("= 1", 1), ("IN (2, 3)", 2), ("= 3", 3), ("= 4", 4)]
)
@pytest.mark.asyncio
async def test_events_that_are_gone_are_not_passed_over(
    server: str, schema: str, sql: Sql, gone: str, missing: int
) -> None:
    async with PostgresLog(server, REGISTRY, schema=schema) as log:
        for name in ("person/1", "person/2"):
            events = (Started(name), Counted(2))
            await log.append([StreamAppend(name, 0, events)])
    await sql(f"DELETE FROM events WHERE position {gone}")  # noqa: S608 - above
    stream = "person/1" if missing < 3 else "person/2"

    def look() -> None:
        with PostgresReader(server, REGISTRY, schema=schema) as reader:
            words = f"position {missing}, though the log goes on to 4"
            with pytest.raises(LogDamagedError, match=words):
                reader.read()
            with pytest.raises(LogDamagedError, match=words):
                reader.read(missing - 1, limit=1)
            with pytest.raises(LogDamagedError, match=words):
                reader.digests(0, 4, limit=9)
            with pytest.raises(LogDamagedError, match=f"{stream}"):
                reader.read_stream(stream)
            with pytest.raises(LogDamagedError, match=f"{stream}"):
                reader.read_stream(stream, at=missing)
            assert len(reader.read(0, missing - 1)) == missing - 1

    await to_thread.run_sync(look)


HARMLESS = (
    (
        "CREATE INDEX i ON events(tag)",
        r"CREATE INDEX i ON events USING btree \(tag\) is",
    ),
    ("CREATE TABLE events_old(x int)", "table events_old is none of a log's"),
    ("CREATE VIEW v AS SELECT 1", "view v is none of a log's"),
    ("CREATE TABLE t(x int CHECK (x > 1))", "table t is none of a log's"),
    ("DROP INDEX keys_expires", "CREATE INDEX keys_expires .* is missing"),
)
TRIGGER = """CREATE TRIGGER t BEFORE UPDATE ON events FOR EACH ROW
    EXECUTE FUNCTION suppress_redundant_updates_trigger()"""
HARMFUL = (
    (TRIGGER, "trigger t on events is none"),
    ("CREATE RULE r AS ON DELETE TO keys DO INSTEAD NOTHING", "rule r on keys is none"),
    ("CREATE POLICY p ON streams", "policy p on streams is none"),
    (
        "ALTER TABLE streams ENABLE ROW LEVEL SECURITY",
        "table streams, with row security",
    ),
    ("ALTER TABLE snapshots SET UNLOGGED", "table snapshots, unlogged is none"),
    ("ALTER TABLE keys DROP CONSTRAINT keys_pkey", "constraint keys_pkey .* missing"),
    (
        "ALTER TABLE events ALTER prev SET DEFAULT 7",
        "column events.prev bigint DEFAULT",
    ),
    ("ALTER TABLE claims DISABLE TRIGGER ALL", "disabled trigger .* on claims"),
    ("CREATE TABLE child() INHERITS (events)", "heir of events"),
    ("CREATE UNIQUE INDEX i ON streams(version)", "CREATE UNIQUE INDEX i ON streams"),
)


@pytest.mark.asyncio
async def test_what_hangs_on_the_tables_is_named(
    server: str, schema: str, store: Opening, sql: Sql
) -> None:
    async with PostgresLog(server, REGISTRY, schema=schema, seals=None):
        pass

    def look(statement: str, words: str, *, refused: bool) -> None:
        with connect(server, schema) as db, db.transaction(force_rollback=True):
            db.execute(statement.encode())
            said = list(oddities(db))
            assert any(re.match(words, oddity.message) for oddity in said), said
            with (
                pytest.raises(LogDamagedError, match="It may change what is written")
                if refused
                else nullcontext()
            ):
                require_shape(db, schema)

    for statement, words in HARMLESS:
        await to_thread.run_sync(partial(look, statement, words, refused=False))
    for statement, words in HARMFUL:
        await to_thread.run_sync(partial(look, statement, words, refused=True))
    assert (await checked(store)).damages == ()
    await sql(TRIGGER)
    (damage,) = (await checked(store)).damages
    assert (damage.kind, damage.message) == (
        "schema",
        "trigger t on events is none of a log's",
    )
    with pytest.raises(LogDamagedError, match="trigger t on events"):
        async with PostgresLog(server, REGISTRY, schema=schema):
            pass


@pytest.mark.asyncio
async def test_what_cannot_be_gone_through_is_said_to_be_so(store: Opening) -> None:
    with pytest.raises(LogUnreadableError, match="there is no log in schema"):
        await checked(store)
    nowhere = partial(PostgresTarget, "postgresql://nobody@127.0.0.1:1/x", schema="x")
    start = b'{"log":2,"after":0,"until":0,"streams":[],"epoch":1,"committed":0}\n'
    with pytest.raises(LogUnavailableError, match="nothing more can be imported"):
        await into(nowhere, start)


@pytest.mark.asyncio
async def test_the_events_of_recorders_stay_in_files(
    server: str, schema: str, tmp_path: Path
) -> None:
    def record() -> None:
        with LogDatastore(tmp_path / "records.db") as datastore:
            recorder = LogApplicationRecorder(datastore)
            recorder.insert_events([StoredEvent("a", 1, "t", b"x")])

    await to_thread.run_sync(record)
    export = await exported(tmp_path / "records.db")
    with pytest.raises(LogError, match="import it into a file"):
        await into(partial(PostgresTarget, server, schema=schema), export)


@pytest.mark.asyncio
async def test_a_schema_may_have_the_name_of_a_word_of_sql(
    server: str, sql: Sql
) -> None:
    try:
        for version in range(2):  # made, and found again
            async with PostgresLog(server, REGISTRY, schema="order") as log:
                await append(log, "a/1", version, Counted())
    finally:
        await sql('DROP SCHEMA "order" CASCADE')
