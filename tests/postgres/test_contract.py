"""The log in PostgreSQL keeps the contract, and what only a server can keep."""

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import Any

import psycopg
import pytest
from anyio import to_thread

from dramaturg.events.log import (
    EventLog,
    LogDamagedError,
    LogFormatError,
    LogUnavailableError,
    LogUnreadableError,
    OutcomeUnknownError,
    Snapshot,
)
from dramaturg.events.log.postgres import PostgresLog, PostgresReader

from ..log.contract import LogContract, append
from ..log.vocabulary import REGISTRY, Counted, Ended, Started


class PostgresEngine:
    def __init__(self, server: str, schema: str) -> None:
        self.now_us = 1_000
        self._server = server
        self._schema = schema

    def open(
        self, *, unwritten_max: int = 1000
    ) -> AbstractAsyncContextManager[EventLog]:
        return PostgresLog(
            self._server,
            REGISTRY,
            schema=self._schema,
            node="n1",
            unwritten_max=unwritten_max,
            now_us=lambda: self.now_us,
        )


class TestPostgresLog(LogContract):
    @pytest.fixture
    def engine(self, server: str, schema: str) -> PostgresEngine:
        return PostgresEngine(server, schema)


def sql(server: str, schema: str, *statements: str) -> list[Any]:
    rows: list[Any] = []
    with psycopg.connect(
        server, autocommit=True, options=f"-c search_path={schema}"
    ) as db:
        for statement in statements:
            cursor = db.execute(statement.encode())
            rows = cursor.fetchall() if cursor.description else []
    return rows


@pytest.mark.asyncio
async def test_a_reader_needs_no_writer(server: str, schema: str) -> None:
    async with PostgresLog(server, REGISTRY, schema=schema, now_us=lambda: 7) as log:
        await append(log, "part/1", 0, Started("x"), Counted(2))
        await append(log, "prop/1", 0, Started("y"), Ended())
        log.save_snapshot(Snapshot("part/1", 2, 2, 1, b"{}"))

    def look() -> None:
        reader = PostgresReader(server, REGISTRY, schema=schema)
        assert reader.position == 4
        assert [head.stream for head in reader.streams()] == ["part/1", "prop/1"]
        assert [head.stream for head in reader.open_streams("pr")] == []
        assert [row.version for row in reader.read_stream("part/1", after=1)] == [2]
        assert [row.version for row in reader.read_stream("part/1", at=1)] == [1]
        assert reader.position_at(7) == 4
        assert reader.position_at(6) == 0
        assert reader.snapshot("part/1", 1, at=1) is None
        assert reader.snapshot("part/1", 1, at=2) is not None
        assert len(reader.digests(1, 3, limit=9)) == 2
        reader.close()

    await to_thread.run_sync(look)


@pytest.mark.asyncio
async def test_what_was_changed_is_found(server: str, schema: str) -> None:
    async with PostgresLog(server, REGISTRY, schema=schema) as log:
        await append(log, "part/1", 0, Started("x"), Counted(2))
        log.save_snapshot(Snapshot("part/1", 2, 2, 1, b"{}"))
        await append(log, "part/2", 0, Started("x"))
        await to_thread.run_sync(
            sql,
            server,
            schema,
            "UPDATE events SET state = replace(state, '2}', '3}') WHERE position = 2",
            "UPDATE snapshots SET state = '[]'",
        )
        with pytest.raises(LogDamagedError, match="position 2 of stream 'part/1'"):
            await log.read_stream("part/1")
        assert await log.snapshot("part/1", 1) is None


@pytest.mark.asyncio
async def test_only_the_newest_snapshots_are_kept(server: str, schema: str) -> None:
    async with PostgresLog(server, REGISTRY, schema=schema) as log:
        await append(log, "part/1", 0, *[Counted(1)] * 6)
        for version in range(1, 7):
            log.save_snapshot(Snapshot("part/1", version, version, 1, b"{}"))
        await append(log, "part/1", 6, Counted(1))
        await append(log, "part/1", 7, Counted(1))

    rows = await to_thread.run_sync(
        sql, server, schema, "SELECT version FROM snapshots ORDER BY 1"
    )
    assert rows == [(3,), (4,), (5,), (6,)]


def test_settings_that_cannot_work_are_refused(server: str) -> None:
    with pytest.raises(LogFormatError, match="lower case"):
        PostgresLog(server, REGISTRY, schema="No")
    with pytest.raises(ValueError, match="lease_s is 0"):
        PostgresLog(server, REGISTRY, lease_s=0)


@pytest.mark.asyncio
async def test_a_server_that_is_not_there_is_told_of() -> None:
    nowhere = "postgresql://nobody@127.0.0.1:1/none"

    with pytest.raises(LogUnavailableError, match=r"cannot be opened: .*check"):
        async with PostgresLog(nowhere, REGISTRY):
            pass
    with pytest.raises(LogUnreadableError, match="cannot be read"):
        await to_thread.run_sync(lambda: PostgresReader(nowhere, REGISTRY, schema="x"))


@pytest.mark.asyncio
async def test_a_log_of_a_newer_format_is_refused(server: str, schema: str) -> None:
    async with PostgresLog(server, REGISTRY, schema=schema):
        pass
    await to_thread.run_sync(sql, server, schema, "UPDATE meta SET format = 99")

    with pytest.raises(LogFormatError, match="format 99"):
        async with PostgresLog(server, REGISTRY, schema=schema):
            pass


@pytest.mark.asyncio
async def test_after_its_connection_is_cut_it_goes_on_in_the_next_epoch(
    server: str, schema: str
) -> None:
    async with PostgresLog(
        server, REGISTRY, schema=schema, retry_s=(0.01, 0.1), lease_s=5.0
    ) as log:
        await append(log, "part/1", 0, Started("x"))
        heard: list[bool] = []
        back = asyncio.Event()

        def listen(available: bool) -> None:  # noqa: FBT001 - as it is called
            heard.append(available)
            if available:
                back.set()

        log.on_availability(listen)
        await to_thread.run_sync(
            sql,
            server,
            schema,
            # That of the lease would have it open again, perhaps before the append.
            "SELECT pg_terminate_backend(pid) FROM nodes",
        )
        with pytest.raises((LogUnavailableError, OutcomeUnknownError)):
            await append(log, "part/1", 1, Counted(1))
        await back.wait()
        await append(log, "part/1", 1, Counted(2))
        rows = await log.read_stream("part/1")

    assert heard[0] is False
    assert [row.header.epoch for row in rows] == [1, 2]
