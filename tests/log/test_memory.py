"""The twin keeps the contract, and fails when it is told to."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from dramaturg.events.log import (
    Appended,
    EventLog,
    Incarnation,
    LogUnavailableError,
    MemoryLog,
    OutcomeUnknownError,
)
from dramaturg.events.log.encryption import Keyring, MemoryKeyring
from dramaturg.events.log.memory_store import MemoryStore

from .contract import AT, LogContract, Outcomes, append, on
from .encrypted import EncryptionContract
from .vocabulary import REGISTRY, Counted, Started


class MemoryEngine:
    def __init__(self) -> None:
        self.now_us = 1_000
        self._last: MemoryLog | None = None

    def open(
        self, *, unwritten_max: int = 1000
    ) -> AbstractAsyncContextManager[EventLog]:
        log = self._last and self._last.reopened()
        self._last = log or MemoryLog(
            REGISTRY,
            node="n1",
            unwritten_max=unwritten_max,
            now_us=lambda: self.now_us,
        )
        return self._last


class TestMemoryLog(LogContract):
    @pytest.fixture
    def engine(self) -> MemoryEngine:
        return MemoryEngine()


class EncryptedMemory:
    def __init__(self) -> None:
        self._store = MemoryStore()

    @asynccontextmanager
    async def open(self, keyring: Keyring | None) -> AsyncGenerator[MemoryLog]:
        assert keyring is None or isinstance(keyring, MemoryKeyring)
        async with MemoryLog(REGISTRY, keyring=keyring, store=self._store) as log:
            yield log

    def stored(self) -> bytes:
        return b"".join(row.data for row in self._store.rows)


class TestEncryptedMemoryLog(EncryptionContract):
    @pytest.fixture
    def engine(self) -> EncryptedMemory:
        return EncryptedMemory()

    @pytest.fixture
    def keys(self) -> MemoryKeyring:
        return MemoryKeyring()

    @pytest.fixture
    def other(self) -> MemoryKeyring:
        return MemoryKeyring()


@pytest.mark.asyncio
async def test_held_appends_wait_until_they_are_released() -> None:
    log = MemoryLog(REGISTRY)
    outcomes = Outcomes()
    log.hold()
    for n in range(3):
        log.submit([on("a/1", n, Counted())], AT, outcomes(str(n)))
    await asyncio.sleep(0)
    assert outcomes.names == []
    log.release(2)
    assert outcomes.names == []
    await asyncio.sleep(0)
    assert outcomes.names == ["0", "1"]
    assert log.position == 2
    log.release()
    await asyncio.sleep(0)

    assert outcomes.names == ["0", "1", "2"]
    assert (await append(log, "a/1", 3, Counted())).position == 4


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("unknown", "written", "error"),
    [
        (False, False, LogUnavailableError),
        (True, False, OutcomeUnknownError),
        (True, True, OutcomeUnknownError),
    ],
)
async def test_a_failing_log_refuses_what_is_queued(
    *, unknown: bool, written: bool, error: type
) -> None:
    log = MemoryLog(REGISTRY)
    outcomes = Outcomes()
    one = Incarnation()
    heard: list[object] = []
    log.on_availability(heard.append)
    log.hold()
    log.submit([on("a/1", 0, Started())], AT, outcomes("queued"), incarnation=one)
    log.fail(unknown=unknown, written=written)
    assert outcomes.names == []
    with pytest.raises(LogUnavailableError):
        await append(log, "b/1", 0, Started())
    log.release()
    log.recover()
    await append(log, "b/1", 0, Started())

    assert outcomes.kinds() == [("queued", error)]
    assert one.revoked
    assert heard == [False, True]
    assert log.epoch == 2
    assert (await log.head("a/1") is not None) == written


@pytest.mark.asyncio
async def test_a_failure_ends_the_congestion() -> None:
    log = MemoryLog(REGISTRY, unwritten_max=1)
    heard: list[bool] = []
    log.on_congestion(heard.append)
    log.hold()
    log.submit([on("a/1", 0, Started())], AT, lambda _: None)
    waiting = asyncio.create_task(append(log, "b/1", 0, Started()))
    await asyncio.sleep(0)
    log.fail()
    with pytest.raises(LogUnavailableError):
        await waiting

    assert heard == [True, False]


@pytest.mark.asyncio
async def test_a_crash_loses_what_was_not_committed() -> None:
    log = MemoryLog(REGISTRY)
    await append(log, "a/1", 0, Started())
    log.hold()
    log.submit([on("a/1", 1, Counted())], AT, lambda _: None)
    again = log.reopened()
    appended = await append(again, "a/1", 1, Counted())

    assert isinstance(appended, Appended)
    assert appended.position == 2
    assert not log.available
    assert again.epoch == 2
