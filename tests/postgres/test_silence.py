"""A server that does not answer, and one that does not know what it answered before."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
import pytest
from anyio import to_thread

from dramaturg.events.log import LogDamagedError, LogUnavailableError
from dramaturg.events.log.postgres import PostgresLog
from dramaturg.events.log.postgres import engine as writing
from dramaturg.events.log.postgres.connection import Connection
from dramaturg.events.log.postgres.engine import PostgresEngine
from dramaturg.events.log.postgres.lease import Heard
from dramaturg.events.log.postgres.schema import check_again, connect, create

from ..log.contract import append
from ..log.vocabulary import REGISTRY, Started

LEASE_S = 600.0


@pytest.fixture
def engine(server: str, schema: str) -> Callable[[], PostgresEngine]:
    def ignore(_: int) -> None:
        pass

    heard = Heard(ignore, lambda: None, lambda: None)
    return lambda: PostgresEngine(
        server,
        schema=schema,
        node=f"{schema}-a",
        lease_s=LEASE_S,
        now_us=lambda: 1,
        heard=heard,
        encrypts=False,
    )


@contextmanager
def locked(server: str, schema: str) -> Generator[Connection]:
    """Hold the lock of the log's end, as a node in the middle of a group does."""
    with connect(server, schema, patience_s=LEASE_S) as db, db.transaction():
        db.execute("SELECT 1 FROM meta FOR UPDATE")
        yield db


def test_a_statement_without_an_answer_ends_its_connection(
    server: str, schema: str
) -> None:
    with closing(connect(server, schema, answer_s=0.05)) as db:
        with pytest.raises(psycopg.OperationalError, match=r"not answered for 0\.05 s"):
            db.execute("SELECT pg_sleep(20)")
        assert db.closed
        with pytest.raises(psycopg.OperationalError, match="closed"):
            db.execute("SELECT 1")
    with closing(connect(server, schema)) as db:
        db.answer_s = 600.0
        assert [*db.notifies(timeout=0.0)] == []
        with pytest.raises(psycopg.Error, match="syntax"):
            db.execute("SELECT FROM WHERE")
        assert not db.closed


@pytest.mark.asyncio
async def test_a_log_whose_server_is_silent_says_so_and_goes_on(
    server: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Connection] = []

    def kept(*args: Any, **options: Any) -> Connection:
        opened.append(connect(*args, **options))
        return opened[-1]

    monkeypatch.setattr(writing, "connect", kept)
    log = PostgresLog(server, REGISTRY, schema=schema, lease_s=LEASE_S)
    again = asyncio.Event()
    log.on_availability(lambda available: again.set() if available else None)
    async with log:
        opened[0].answer_s = 0.05  # that of the writer
        lock = locked(server, schema)
        await to_thread.run_sync(lock.__enter__)
        with pytest.raises(LogUnavailableError, match="has not answered for"):
            await append(log, "part/1", 0, Started("x"))
        await to_thread.run_sync(lock.__exit__, None, None, None)
        await again.wait()
        await append(log, "part/1", 0, Started("x"))


def test_who_opens_a_log_ends_the_group_of_a_node_whose_lease_is_over(
    engine: Callable[[], PostgresEngine], server: str, schema: str
) -> None:
    first, second = engine(), engine()
    first.open(None)
    with connect(server, schema, patience_s=LEASE_S) as overdue:
        overdue.execute("BEGIN; SELECT 1 FROM meta FOR UPDATE")
        with connect(server, schema) as db:
            db.execute(
                "INSERT INTO nodes SELECT 9, '', clock_timestamp(), pid, "
                "backend_start, 2 FROM pg_stat_activity WHERE pid = %s",
                (overdue.info.backend_pid,),
            )
        second.open(None)
        with pytest.raises(psycopg.OperationalError, match="terminat"):
            overdue.execute("SELECT 1")
    second.close()
    first.close()


def test_a_log_that_lost_what_it_acknowledged_is_not_gone_on_with(
    engine: Callable[[], PostgresEngine], server: str, schema: str
) -> None:
    log = engine()
    with pytest.raises(psycopg.errors.UndefinedTable):
        log.open(0)  # it was there, so it is not made anew
    log.close()
    with connect(server, schema) as db:
        create(db, schema)
        check_again(db, schema, 0)
        with pytest.raises(LogDamagedError, match="ends at position 0, but 7 was"):
            check_again(db, schema, 7)
