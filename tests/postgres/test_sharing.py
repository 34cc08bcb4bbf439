"""What nodes that share a log owe each other, in one process or with threads."""

import asyncio
import datetime as dt
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import psycopg
import pytest
from anyio import to_thread
from psycopg.conninfo import make_conninfo

from dramaturg.events.log import (
    Appended,
    IdempotencyKey,
    LogUnavailableError,
    OutcomeUnknownError,
    StreamAppend,
    subscribe,
)
from dramaturg.events.log.postgres import (
    NotOwnerError,
    PostgresLog,
    PostgresReader,
    lease,
)
from dramaturg.events.log.postgres.claims import take, terminate_overdue
from dramaturg.events.log.postgres.committer import EXPIRED_EVERY
from dramaturg.events.log.postgres.engine import PostgresEngine
from dramaturg.events.log.postgres.lease import Lease
from dramaturg.events.log.postgres.schema import FORMAT, connect

from ..log.contract import append
from ..log.vocabulary import REGISTRY, Counted, Started

CUT = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE application_name = 'dramaturg:{}'"
)
LEASE_S = 600.0


Node = Callable[..., PostgresLog]
Sql = Callable[[str], Awaitable[list[Any]]]


@pytest.fixture
def node(server: str, schema: str) -> Node:
    def make(name: str) -> PostgresLog:
        return PostgresLog(
            server,
            REGISTRY,
            schema=schema,
            node=f"{schema}-{name}",
            lease_s=LEASE_S,
            retry_s=(0.01, 0.1),
        )

    return make


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have leases renewed all the time; short ones would be over in a busy moment."""
    monkeypatch.setattr(lease, "RENEWALS", 10_000)


@pytest.fixture
def sql(server: str, schema: str) -> Sql:
    async def run(statement: str) -> list[Any]:
        def work() -> list[Any]:
            with connect(server, schema, name="test") as db:
                cursor = db.execute(statement.encode())
                return cursor.fetchall() if cursor.description else []

        return await to_thread.run_sync(work)

    return run


async def back(log: PostgresLog) -> None:
    """Wait until a log that failed, or is about to, can be written again."""
    heard = asyncio.Event()

    def listen(available: bool) -> None:  # noqa: FBT001 - as it is called
        if available:
            heard.set()

    forget = log.on_availability(listen)
    await heard.wait()
    forget()


def test_of_many_who_claim_at_once_one_owns(server: str, schema: str) -> None:
    epochs = range(1, 7)
    wanted = ["a", "b/1", "b/", "c/1/", "c/", "c/1/2", "d/1", "d/2"]
    begin = threading.Barrier(len(epochs))
    owned: dict[int, set[str]] = {}

    async def make() -> None:
        async with PostgresLog(server, REGISTRY, schema=schema):
            pass

    asyncio.run(make())
    with connect(server, schema) as db:
        for epoch in epochs:
            db.execute(
                "INSERT INTO nodes VALUES (%s, '', 'infinity', 0, now(), %s)",
                (epoch, FORMAT),
            )

    def claim(epoch: int) -> None:
        with connect(server, schema) as db:
            begin.wait()
            mine: set[str] = set()
            for number in range(len(wanted)):
                name = wanted[(epoch + number) % len(wanted)]
                mine |= {*take(db, schema, epoch, [name]).names}
            owned[epoch] = mine

    threads = [threading.Thread(target=claim, args=(epoch,)) for epoch in epochs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    pairs = [(name, epoch) for epoch, names in owned.items() for name in names]
    for name, epoch in pairs:
        for other, others in pairs:
            if epoch != others:
                assert name != other
                assert not (name.endswith("/") and other.startswith(name))
    free = {name for name in ("a", "d/1", "d/2") if name not in dict(pairs)}
    assert not free


@pytest.mark.asyncio
async def test_what_one_node_gives_up_the_next_gets_until_all_had_it(
    node: Node,
) -> None:
    names = [f"part/{number}" for number in range(8)]
    async with AsyncExitStack() as stack:
        logs = [await stack.enter_async_context(node(name)) for name in "abc"]
        had: dict[str, list[str]] = {name: [] for name in names}
        holder: dict[str, str] = {}

        async def hold(log: PostgresLog, name: str) -> None:
            await log.claim(name)
            assert name not in holder
            holder[name] = log.node
            had[name].append(log.node)
            await append(log, name, len(had[name]) - 1, Counted())
            for other in logs:
                if other is not log:
                    with pytest.raises(NotOwnerError, match=log.node):
                        await append(other, name, len(had[name]), Counted())
            del holder[name]
            log.disclaim(name)

        async with asyncio.TaskGroup() as tasks:
            for log in logs:
                for name in names:
                    tasks.create_task(hold(log, name))
    everyone = sorted(log.node for log in logs)
    assert all(sorted(nodes) == everyone for nodes in had.values())


@pytest.mark.asyncio
async def test_readers_see_no_gap_while_nodes_append(
    node: Node, server: str, schema: str
) -> None:
    each, writers = 15, 8
    async with node("a") as a, node("b") as b, node("c") as c:
        total = 2 * each * writers
        looked: list[int] = []

        def look() -> None:
            reader = PostgresReader(server, REGISTRY, schema=schema)
            seen = 0
            while seen < total:
                position = reader.position
                rows = reader.read(seen, limit=37)
                first = seen + 1
                assert [r.position for r in rows] == [*range(first, first + len(rows))]
                assert seen + len(rows) >= min(position, seen + 37)
                times = [row.header.committed for row in rows]
                assert times == sorted(times)
                seen += len(rows)
                looked.append(len(rows))
            reader.close()

        async def write(log: PostgresLog, stream: str) -> None:
            for version in range(each):
                await append(log, stream, version, Counted(version))

        async def follow() -> None:
            after = 0
            async for row in subscribe(c):
                after += 1
                assert row.position == after
                if after == total:
                    return

        positions: list[int] = []
        a.on_commit(positions.append)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(to_thread.run_sync(look))
            tasks.create_task(follow())
            for number in range(writers):
                tasks.create_task(write(a, f"a/{number}"))
                tasks.create_task(write(b, f"b/{number}"))
        assert positions == sorted(set(positions))
        assert sum(looked) == total


@pytest.mark.usefixtures("often")
@pytest.mark.asyncio
async def test_a_notice_that_is_lost_is_made_up_for(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = threading.Event()

    def hear(_: Lease, timeout_s: float) -> None:
        deaf.wait(timeout_s)

    monkeypatch.setattr(Lease, "_hear", hear)
    async with node("a") as a, node("b") as b:
        await append(a, "part/1", 0, Started("x"))
        async for row in subscribe(b):
            assert row.position == 1
            break


@pytest.mark.usefixtures("often")
@pytest.mark.asyncio
async def test_a_renewal_tells_of_what_others_wrote_and_leaves_the_rest_to_the_writer(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: asyncio.Queue[int] = asyncio.Queue()
    renewed = threading.Semaphore(0)
    deaf = threading.Event()
    renew = Lease._renewed  # pyright: ignore[reportPrivateUsage] - told all at its end

    def renew_and_say_so(lease: Lease) -> bool:
        alive = renew(lease)
        renewed.release()
        return alive

    def hear(_: Lease, timeout_s: float) -> None:
        deaf.wait(timeout_s)

    def on_heard(log: PostgresLog, position: int) -> None:
        if log.node.endswith("-a"):
            heard.put_nowait(position)

    monkeypatch.setattr(Lease, "_renewed", renew_and_say_so)
    monkeypatch.setattr(Lease, "_hear", hear)
    monkeypatch.setattr(PostgresLog, "_on_heard", on_heard)
    async with node("a") as a:
        await append(a, "part/1", 0, Started("x"))
        for _ in range(3):  # the first may have begun before the append
            await to_thread.run_sync(renewed.acquire)
        assert heard.empty()

        async with node("b") as b:
            await append(b, "part/2", 0, Started("x"))
            assert await heard.get() == 2


@pytest.mark.asyncio
async def test_what_is_told_while_a_log_opens_is_known_once_it_is_open(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, heard = asyncio.get_running_loop(), threading.Event()
    enter, hear = PostgresEngine.open, PostgresLog._on_heard  # pyright: ignore[reportPrivateUsage] - what is between them

    def on_heard(log: PostgresLog, position: int) -> None:
        hear(log, position)
        heard.set()

    monkeypatch.setattr(PostgresLog, "_on_heard", on_heard)
    async with node("a") as a:

        def slowly(engine: PostgresEngine, acknowledged: int | None) -> Any:
            committer = enter(engine, acknowledged)
            told = append(a, "part/1", 0, Started("x"))
            asyncio.run_coroutine_threadsafe(told, loop).result()
            heard.wait()
            return committer

        monkeypatch.setattr(PostgresEngine, "open", slowly)
        async with node("b") as b:
            assert b.position == 1


@pytest.mark.asyncio
async def test_a_claim_outlives_a_failure_of_the_log(node: Node, sql: Sql) -> None:
    async with node("a") as a, node("b") as b:
        await a.claim("part/")
        waiting = asyncio.create_task(b.claim("part/1"))
        again = asyncio.create_task(back(b))
        await asyncio.sleep(0)
        await sql(CUT.format(b.node))
        await again
        assert not waiting.done()
        a.disclaim("part/")
        await waiting
        await append(b, "part/1", 0, Started("x"))
        with pytest.raises(NotOwnerError):
            await append(a, "part/1", 1, Counted())


@pytest.mark.asyncio
async def test_who_waits_no_more_owns_nothing(node: Node) -> None:
    async with node("a") as a, node("b") as b:
        await a.claim("part/1")
        waiting = [asyncio.create_task(b.claim("part/1")) for _ in range(2)]
        await b.claim("part/2")
        waiting[0].cancel()
        await asyncio.wait(waiting[:1])
        a.disclaim("part/1")
        await waiting[1]

        taken = asyncio.create_task(a.claim("part/3"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)  # it has been asked for
        taken.cancel()
        await b.claim("part/3")
        with pytest.raises(asyncio.CancelledError):
            await taken


@pytest.mark.asyncio
async def test_a_log_that_is_closed_refuses_claims(node: Node) -> None:
    async with node("a") as a:
        await a.claim("part/1")
        async with node("b") as b:
            waiting = asyncio.create_task(b.claim("part/1"))
            await asyncio.sleep(0)
        with pytest.raises(LogUnavailableError, match="the log is closed"):
            await waiting
        with pytest.raises(LogUnavailableError, match="the log is closed"):
            await b.claim("part/1")
        b.disclaim("part/1")


@pytest.mark.usefixtures("often")
@pytest.mark.asyncio
async def test_a_node_that_was_fenced_notices_without_writing(
    node: Node, sql: Sql
) -> None:
    async with node("a") as a:
        await a.claim("part/1")
        again = asyncio.create_task(back(a))
        await asyncio.sleep(0)
        await sql("DELETE FROM nodes")
        await again
        assert a.epoch == 2
        assert await sql("SELECT * FROM claims") == []


@pytest.mark.asyncio
async def test_a_node_that_was_fenced_is_told_when_it_claims(
    node: Node, sql: Sql
) -> None:
    async with node("a") as a:
        await sql("DELETE FROM nodes")
        refused = asyncio.create_task(append(a, "part/1", 0, Started("x")))
        with pytest.raises(LogUnavailableError, match="away for longer than its lease"):
            await refused
        await a.claim("part/1")
        assert a.epoch == 2


@pytest.mark.usefixtures("often")
@pytest.mark.asyncio
async def test_a_node_that_lives_renews_its_lease(node: Node, sql: Sql) -> None:
    lasts = "SELECT expires, expires - clock_timestamp() FROM nodes"
    async with node("a"):
        ends: set[dt.datetime] = set()
        while len(ends) < 3:
            ((end, left),) = await sql(lasts)
            assert left <= dt.timedelta(seconds=LEASE_S)
            ends.add(end)
        assert max(ends) > min(ends)


@pytest.mark.asyncio
async def test_a_node_that_is_late_fences_others_and_not_itself(
    node: Node, server: str, schema: str, sql: Sql
) -> None:
    late = "UPDATE nodes SET expires = clock_timestamp() WHERE epoch = {}"
    async with node("a") as a, node("b") as b:
        await a.claim("part/1")
        await sql(late.format(a.epoch))
        await a.claim("part/2")
        await append(a, "part/2", 0, Started("x"))
        assert a.epoch == 1

        assert await b.others() == []
        await b.claim("part/1")
        with pytest.raises(LogUnavailableError, match="away for longer than its lease"):
            await append(a, "part/1", 0, Started("x"))

    def terminated(epoch: int) -> bool:
        """Tell whether who looks ends an overdue transaction of epoch 9."""
        with connect(server, schema) as db, connect(server, schema) as overdue:
            overdue.execute("BEGIN")
            pid = overdue.info.backend_pid
            db.execute(
                "INSERT INTO nodes SELECT 9, '', clock_timestamp(), pid, backend_start, "
                "%s FROM pg_stat_activity WHERE pid = %s",
                (FORMAT, pid),
            )
            terminate_overdue(db, epoch)
            db.execute("DELETE FROM nodes WHERE epoch = 9")
            try:
                overdue.execute("SELECT 1")
            except psycopg.Error:
                return True
            return False

    assert await to_thread.run_sync(terminated, 8)
    assert not await to_thread.run_sync(terminated, 9)


@pytest.mark.asyncio
async def test_what_is_read_outlives_a_cut_of_its_connection(
    node: Node, server: str, schema: str, sql: Sql
) -> None:
    async with node("a") as a:
        await append(a, "part/1", 0, Started("x"))
        reader = await to_thread.run_sync(
            lambda: PostgresReader(server, REGISTRY, schema=schema, node=f"{schema}-r")
        )
        await sql(CUT.format(f"{schema}-r"))
        assert await to_thread.run_sync(lambda: reader.position) == 1
        await to_thread.run_sync(reader.close)


FAIL = """
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN {}; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER failing AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION fail()
"""


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("what", "unknown"),
    [
        ("RAISE EXCEPTION 'no'", False),
        ("PERFORM pg_terminate_backend(pg_backend_pid())", True),
    ],
)
async def test_an_outcome_is_unknown_only_if_the_server_did_not_say(
    node: Node, sql: Sql, what: str, *, unknown: bool
) -> None:
    async with node("a") as a:
        await sql(FAIL.format(what))
        again = asyncio.create_task(back(a))
        with pytest.raises(
            LogUnavailableError, match="the log cannot be written"
        ) as told:
            await append(a, "part/1", 0, Started("x"))
        assert isinstance(told.value, OutcomeUnknownError) is unknown
        await sql("DROP TRIGGER failing ON events")  # with it, no node opens the log
        await again
        done = await a.append([StreamAppend("part/1", 0, (Started("x"),))])
        assert isinstance(done, Appended)


def test_options_of_the_user_are_kept(server: str, schema: str) -> None:
    given = make_conninfo(server, options="-c statement_timeout=7s")
    with connect(given, schema) as db:
        assert db.execute("SHOW statement_timeout").fetchone() == ("7s",)
        assert db.execute("SHOW search_path").fetchone() == (schema,)
    with pytest.raises(psycopg.Error):
        connect("nonsense", schema)


@pytest.mark.asyncio
async def test_keys_are_free_again_once_they_expired(node: Node, sql: Sql) -> None:
    async with node("a") as a:
        soon = time.time_ns() // 1000 + 300_000
        key = IdempotencyKey("s", "k", "part/1", soon)
        start = [StreamAppend("part/1", 0, (Started("x"),))]
        await a.append(start, keys=[key])
        await a.append([], keys=[IdempotencyKey("s", "other", "part/1", soon)])
        for version in range(1, EXPIRED_EVERY + 1):
            await append(a, "part/1", version, Counted())
        await sql("SELECT pg_sleep(0.3)")
        for version in range(EXPIRED_EVERY + 1, 2 * EXPIRED_EVERY + 1):
            await append(a, "part/1", version, Counted())
        assert await sql("SELECT * FROM keys") == []
