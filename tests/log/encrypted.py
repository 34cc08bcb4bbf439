"""What every engine promises of a log with keys; each engine's tests inherit these."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import msgspec
import pytest
from anyio.to_thread import run_sync

from dramaturg.events import Erased, Event
from dramaturg.events.log import Context, EventLog, Snapshot, StreamAppend
from dramaturg.events.log.encryption import KeyMissingError, Keyring
from dramaturg.events.log.encryption.erasing import (
    ErasableLog,
    Erasure,
    erase_owner,
)
from dramaturg.events.log.encryption.event import (
    MARK,
    STREAM,
    EncryptionBegan,
    ErasureBegan,
    OwnerErased,
)

from .vocabulary import Counted, Started

ANN = "Ann Miller, 7 Hill Road"
BOB = "Bob Baker, 12 Lake View"


class Log(EventLog, ErasableLog, Protocol):
    """What every engine gives."""


class EncryptedEngine(Protocol):
    """Opens one log again and again, with keys and without."""

    def open(self, keyring: Keyring | None) -> AbstractAsyncContextManager[Log]: ...

    def stored(self) -> bytes:
        """Return all that the store holds of payloads and snapshots."""
        ...


async def write(log: EventLog, owner: str, version: int, *events: Event) -> None:
    append = StreamAppend(f"person/{owner or 'none'}", version, events)
    await log.append([append], Context(at_us=1, owner=owner))


class EncryptionContract:
    """Subclasses give a fixture `engine`."""

    @pytest.fixture
    def keys(self, tmp_path: Path) -> Keyring:
        return Keyring(tmp_path / "keys.jsonl")

    @pytest.fixture
    def other(self, tmp_path: Path) -> Keyring:
        return Keyring(tmp_path / "other.jsonl")

    @pytest.mark.asyncio
    async def test_only_who_has_keys_reads_what_has_an_owner(
        self, engine: EncryptedEngine, keys: Keyring
    ) -> None:
        async with engine.open(keys) as log:
            await write(log, "ann", 0, Started(ANN), Counted(3))
            await write(log, "", 0, Started("nobody's"))
            state = msgspec.json.encode(ANN)
            log.save_snapshot(Snapshot("person/ann", 2, 2, 1, state))
            await write(log, "bob", 0, Started(BOB))
        async with engine.open(keys) as log:
            rows = await log.read_stream("person/ann")
            page = await log.read()
            snapshot = await log.snapshot("person/ann", 1)

        stored = await run_sync(engine.stored)
        assert [row.event for row in rows] == [Started(ANN), Counted(3)]
        assert Started(BOB) in [row.event for row in page]
        assert snapshot is not None
        assert snapshot.state == state
        assert b"nobody's" in stored
        assert ANN.encode() not in stored
        assert BOB.encode() not in stored

    @pytest.mark.asyncio
    async def test_what_was_erased_is_erased_and_the_others_are_not(
        self, engine: EncryptedEngine, keys: Keyring
    ) -> None:
        async with engine.open(keys) as log:
            await write(log, "ann", 0, Started(ANN))
            await write(log, "bob", 0, Started(BOB))
            log.save_snapshot(Snapshot("person/ann", 1, 1, 1, b"{}"))
        await run_sync(keys.destroy, "ann")
        await run_sync(keys.destroy, "")
        async with engine.open(keys) as log:
            await write(log, "ann", 1, Counted(9))
            hers = [row.event for row in await log.read_stream("person/ann")]
            his = [row.event for row in await log.read_stream("person/bob")]
            snapshot = await log.snapshot("person/ann", 1)

        first, second = hers
        assert isinstance(first, Erased)
        assert (first.tag, first.version) == ("test.started", 1)
        assert second == Counted(9), "who comes back gets a new key"
        assert his == [Started(BOB)]
        assert snapshot is None

    @pytest.mark.asyncio
    async def test_an_erasure_is_said_and_looked_after(
        self, engine: EncryptedEngine, keys: Keyring, tmp_path: Path
    ) -> None:
        async with engine.open(keys) as log:
            await write(log, "ann", 0, Started(ANN), Counted(3))
            await write(log, "bob", 0, Started(BOB))
            log.save_snapshot(Snapshot("person/ann", 2, 2, 1, b"{}"))
            await write(log, "", 0, Started("nobody's"))

            async def erase() -> Erasure:
                return await erase_owner(
                    log,
                    keys,
                    "ann",
                    reason="she asked",
                    by="tester",
                    artifacts=tmp_path / "artifacts",
                )

            done = await erase()
            again = await erase()
            said = [row.event for row in await log.read_stream(STREAM)]
            hers = [row.event for row in await log.read_stream("person/ann")]
        with pytest.raises(KeyMissingError, match=MARK):
            async with engine.open(None):
                pass

        assert done.ok
        assert (done.events, done.streams, done.readable, done.open) == (2, 1, 2, 1)
        assert (again.events, again.readable) == (2, 0)
        assert [type(event) for event in said] == [ErasureBegan, OwnerErased]
        assert [type(event) for event in hers] == [Erased, Erased]

    @pytest.mark.asyncio
    async def test_an_encrypted_log_is_refused_without_its_keyring(
        self, engine: EncryptedEngine, keys: Keyring, other: Keyring
    ) -> None:
        async with engine.open(keys) as log:
            await write(log, "ann", 0, Started(ANN))
        with pytest.raises(KeyMissingError, match="open it with the keyring"):
            async with engine.open(None):
                pass
        await run_sync(other.encrypt, "ann", b"{}", b"")
        with pytest.raises(KeyMissingError, match=r"put the key file of the log there"):
            async with engine.open(other):
                pass
        await run_sync(keys.destroy, "ann")
        async with engine.open(keys) as log:
            await write(log, "ann", 1, Started(ANN))
            rows = await log.read_stream("person/ann")

        assert [type(row.event) for row in rows] == [Erased, Started]

    @pytest.mark.asyncio
    async def test_the_first_event_that_is_encrypted_marks_the_log_once(
        self, engine: EncryptedEngine, keys: Keyring
    ) -> None:
        async with engine.open(keys) as log:
            await write(log, "", 0, Started("nobody's"))
            log.save_snapshot(Snapshot("person/none", 1, 1, 1, b"{}"))
        async with engine.open(None) as log:
            await write(log, "", 1, Counted())
            assert await log.head(MARK) is None
        for version in range(2):
            async with engine.open(keys) as log:
                await write(log, "ann", version, Counted())
                await write(log, "bob", version, Counted())
        async with engine.open(keys) as log:
            (mark,) = await log.read_stream(MARK)
            hers, _ = await log.read_stream("person/ann")

        assert isinstance(mark.event, EncryptionBegan)
        assert mark.event.key in await run_sync(keys.names, "ann")
        assert mark.position == hers.position + 1
        assert mark.header.committed == hers.header.committed
        assert mark.header.owner == ""
