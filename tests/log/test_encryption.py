"""Payloads encrypted per owner, and what is left of them once the key is destroyed."""

import asyncio
import errno
import gzip
import os
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec
import pytest
from anyio.to_thread import run_sync
from hypothesis import given
from hypothesis import strategies as st

from dramaturg.events import Erased, Event, Fold, Registry, Withheld
from dramaturg.events.log import (
    Context,
    LogDamagedError,
    LogUnavailableError,
    Recorded,
    Snapshot,
    StreamAppend,
)
from dramaturg.events.log.archive import folder_of
from dramaturg.events.log.archive.archiving import archive_log
from dramaturg.events.log.artifacts import ArtifactStore
from dramaturg.events.log.encryption import (
    EncryptionMissingError,
    KeyMissingError,
    Keyring,
)
from dramaturg.events.log.encryption.ciphertext import ciphertext
from dramaturg.events.log.encryption.erasing import (
    Erasure,
    PlainPayloadsError,
    erase_owner,
    would_erase,
)
from dramaturg.events.log.encryption.event import EVENTS, STREAM, OwnerErased
from dramaturg.events.log.file_store import FileStore
from dramaturg.events.log.reader import LogReader
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.log.transfer import backup_log
from dramaturg.events.log.verify import verify
from dramaturg.events.log.wal import wal_of
from dramaturg.projections import Timeline

from .encrypted import EncryptionContract
from .vocabulary import REGISTRY, Counted, Ended, Noted, Started

READING = REGISTRY.merged(Registry(EVENTS))
ANN = "Ann Miller, 7 Hill Road"
OWNERS = "ann", "bob", "", "Zoë\n\u2028", '"}'
BOB = "Bob Baker, 12 Lake View"


class Total(msgspec.Struct, frozen=True):
    count: int = 0
    name: str = ""
    erased: int = 0


def evolve(state: Total, event: Event) -> Total:
    match event:
        case Counted(by):
            return msgspec.structs.replace(state, count=state.count + by)
        case Started(name):
            return msgspec.structs.replace(state, name=name)
        case _:
            return state


FOLD = Fold("person", Total, lambda _: Total(), evolve)


@dataclass
class Place:
    """A folder with a log, its keys and its artifacts."""

    folder: Path

    def __post_init__(self) -> None:
        self.log = self.folder / "log.db"
        self.keys = Keyring(self.folder / "keys.jsonl")
        self.artifacts = self.folder / "artifacts"

    def open(self, keyring: Keyring | None = None) -> SqliteLog:
        return SqliteLog(self.log, REGISTRY, keyring=keyring or self.keys, seals=None)

    def reader(self) -> LogReader:
        return LogReader(self.log, READING, self.keys)

    def stream(self, stream: str) -> list[Recorded]:
        with self.reader() as reader:
            return reader.read_stream(stream)

    async def archive(self) -> None:
        async with self.open() as log:
            assert (await archive_log(log, 0)).events

    async def write(
        self,
        append: StreamAppend,
        owner: str,
        snapshot: Snapshot | None = None,
        *,
        encrypted: bool = True,
    ) -> None:
        keyring = self.keys if encrypted else None
        async with SqliteLog(self.log, REGISTRY, keyring=keyring, seals=None) as log:
            await log.append([append], of(owner))
            if snapshot is not None:
                log.save_snapshot(snapshot)

    async def erase(self, *, partly: bool = False) -> Erasure:
        async with self.open() as log:
            return await erase_owner(
                log,
                self.keys,
                "ann",
                reason="she asked",
                by="tester",
                artifacts=self.artifacts,
                folder=self.folder,
                partly=partly,
            )


def of(owner: str) -> Context:
    return Context(at_us=1, owner=owner, by="tester")


class SqliteFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    def open(self, keyring: Keyring | None) -> SqliteLog:
        return SqliteLog(self._path, REGISTRY, keyring=keyring, seals=None)

    def stored(self) -> bytes:
        files = self._path.parent.glob(f"{self._path.name}*")
        return b"".join(file.read_bytes() for file in files)


class TestSqliteLog(EncryptionContract):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> SqliteFile:
        return SqliteFile(tmp_path / "log.db")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    folder = tmp_path / "var"
    folder.mkdir()
    return Place(folder)


async def fill(place: Place) -> None:
    """Write of two persons, one of whom ends, with snapshots and artifacts."""
    store = ArtifactStore(place.artifacts)
    hers = await store.put_bytes(b"her letter")
    shared = await store.put_bytes(b"a form")
    async with place.open() as log:
        for owner, text in (("ann", ANN), ("bob", BOB)):
            stream = f"person/{owner}"
            await log.append(
                [StreamAppend(stream, 0, (Started(text), Counted(3)))], of(owner)
            )
            await log.append([StreamAppend(stream, 2, (Counted(4),))], of(""))
            state = msgspec.json.encode(Total(7, text))
            log.save_snapshot(Snapshot(stream, 3, log.position, 1, state))
        about = [msgspec.to_builtins(each) for each in (hers, shared)]
        noted = StreamAppend("note/ann", 0, (Noted(about), Ended()))
        await log.append([noted], of("ann"))
        noted = StreamAppend("note/bob", 0, (Noted(about[1:]),))
        await log.append([noted], of("bob"))


def stored(place: Place) -> bytes:
    """Return all bytes of the folder, archived ones unpacked, but the keys."""
    files = [path for path in place.folder.rglob("*") if path.is_file()]
    texts = [path.read_bytes() for path in files if path != place.keys.path]
    texts += [gzip.decompress(p.read_bytes()) for p in files if p.suffix == ".gz"]
    return b"".join(texts)


def test_nothing_that_has_an_owner_is_ever_written_in_the_clear(
    place: Place,
) -> None:
    asyncio.run(fill(place))

    found = stored(place)
    assert ANN.encode() not in found
    assert BOB.encode() not in found
    assert b'"by":4' in found, "the event that nobody owns is as it was"
    assert [each.event for each in place.stream("person/ann")] == [
        Started(ANN),
        Counted(3),
        Counted(4),
    ]
    with place.reader() as reader:
        snapshot = reader.snapshot("person/ann", 1)
    assert snapshot is not None
    assert msgspec.json.decode(snapshot.state, type=Total) == Total(7, ANN)
    assert place.keys.path.stat().st_mode & 0o077 == 0
    report = verify(place.log, READING, folds=[FOLD], keyring=place.keys)
    assert report.ok, report.damages


def test_those_who_share_an_append_have_each_their_own_key(place: Place) -> None:
    async def share() -> None:
        async with place.open() as log:
            shared = log.submit(
                [StreamAppend("x", 0, (Counted(4),))], of(""), lambda _: None
            )
            assert shared is not None
            for owner, text in (("ann", ANN), ("bob", BOB)):
                event = Started(text)
                stream = StreamAppend(f"person/{owner}", 0, (event,), of(owner))
                assert shared.extend([stream])
            await log.append([StreamAppend("x", 1, (Counted(5),))], of(""))

    asyncio.run(share())

    found = stored(place)
    assert ANN.encode() not in found
    assert BOB.encode() not in found
    assert b'"by":4' in found, "the event that nobody owns is as it was"
    asyncio.run(place.erase())
    assert [each.event for each in place.stream("person/bob")] == [Started(BOB)]
    assert isinstance(place.stream("person/ann")[0].event, Erased)


def test_after_an_erasure_the_log_is_whole_and_nothing_of_it_is_readable(
    place: Place,
) -> None:
    asyncio.run(fill(place))
    backup = place.folder.parent / "backup.db"
    backup_log(place.log, backup)
    before = stored(place)
    wanted = would_erase(
        partial(FileStore, place.log), place.keys, "ann", place.artifacts
    )
    assert (wanted.events, wanted.streams, wanted.readable) == (4, 2, 4)
    assert (wanted.artifacts, wanted.artifacts_shared) == (1, 1)
    assert stored(place) == before

    done = asyncio.run(place.erase())

    assert done.ok
    assert (done.events, done.readable, done.artifacts) == (4, 4, 1)
    assert done.searched >= 2
    assert b"her letter" not in stored(place)
    assert b"a form" in stored(place)
    assert verify(place.log, READING, folds=[FOLD]).ok
    first, second, third = (each.event for each in place.stream("person/ann"))
    assert isinstance(first, Erased)
    assert (first.tag, first.version) == ("test.started", 1)
    assert isinstance(second, Erased)
    assert third == Counted(4)
    assert place.stream("person/bob")[0].event == Started(BOB)
    (_, said) = place.stream(STREAM)
    assert isinstance(said.event, OwnerErased)
    assert (said.event.owner, said.event.keys) == ("ann", (first.key,))
    assert said.header.by == "tester"
    assert b"0" * 64 in place.keys.path.read_bytes()
    with LogReader(backup, READING, place.keys) as reader:
        assert isinstance(reader.read_stream("person/ann")[0].event, Erased)
        assert reader.snapshot("person/ann", 1) is None
    assert ANN.encode() not in backup.read_bytes()


def test_a_state_passes_over_what_was_erased_unless_its_fold_knows_better(
    place: Place,
) -> None:
    asyncio.run(fill(place))
    asyncio.run(place.erase())

    def counted(state: Total, _event: Erased) -> Total:
        return msgspec.structs.replace(state, erased=state.erased + 1)

    knowing = Fold("person", Total, lambda _: Total(), evolve, erased=counted)
    with place.reader() as reader:
        plain = Timeline(reader, [FOLD]).state("person/ann")
        counting = Timeline(reader, [knowing]).state("person/ann")
    assert (plain.state, plain.erased, plain.version) == (Total(4), 2, 3)
    assert counting.state == Total(4, erased=2)


def test_archived_events_are_erased_where_they_are(place: Place) -> None:
    asyncio.run(fill(place))
    asyncio.run(place.archive())
    segments = {p: p.read_bytes() for p in folder_of(place.log).iterdir()}

    assert asyncio.run(place.erase()).ok

    assert segments == {p: p.read_bytes() for p in folder_of(place.log).iterdir()}
    assert isinstance(place.stream("note/ann")[0].event, Erased)
    assert verify(place.log).ok


def test_who_comes_back_gets_a_new_key_and_can_be_erased_again(
    place: Place,
) -> None:
    asyncio.run(fill(place))
    asyncio.run(place.erase())
    asyncio.run(place.write(StreamAppend("person/ann", 3, (Counted(9),)), "ann"))
    assert place.stream("person/ann")[3].event == Counted(9)

    assert asyncio.run(place.erase()).readable == 1
    assert asyncio.run(place.erase()).readable == 0, "nothing is left to do"

    assert len(place.stream(STREAM)) == 4
    assert isinstance(place.stream("person/ann")[3].event, Erased)


def test_without_the_right_keys_nothing_passes_for_erased(place: Place) -> None:
    asyncio.run(fill(place))
    with (
        LogReader(place.log, READING) as reader,
        pytest.raises(KeyMissingError, match=r"position 1: .*no key file was named"),
    ):
        reader.read()
    with LogReader(place.log, READING, withhold=True) as reader:
        rows = reader.read()
        events = [row.event for row in rows if row.stream == "person/ann"]
        assert events[2] == Counted(4)
        assert isinstance(events[0], Withheld)
        assert events[0].key in place.keys.names("ann")
        assert reader.withheld == sum(row.header.owner != "" for row in rows)
    other = place.folder / "other.jsonl"
    with LogReader(place.log, READING, Keyring(other)) as reader:
        assert reader.snapshot("person/ann", 1) is None
        with pytest.raises(KeyMissingError, match=r"position 1: the key .* is not in"):
            reader.read()
        assert reader.position_at(2**52) == reader.position
    assert verify(place.log, READING, folds=[FOLD]).ok, "which needs no keys"


def test_what_was_written_before_encryption_is_named_and_not_passed_over(
    place: Place,
) -> None:
    snapshot = Snapshot("person/ann", 1, 1, 1, b'{"name":"Ann"}')
    first = StreamAppend("person/ann", 0, (Started(ANN),))
    asyncio.run(place.write(first, "ann", snapshot, encrypted=False))
    asyncio.run(place.write(StreamAppend("person/ann", 1, (Counted(3),)), "ann"))
    with pytest.raises(PlainPayloadsError, match="positions 1") as refused:
        asyncio.run(place.erase())
    assert refused.value.positions == [1]
    assert place.stream("person/ann")[1].event == Counted(3)

    done = asyncio.run(place.erase(partly=True))

    assert not done.ok
    assert done.plain == (1,)
    assert done.left == 2
    assert isinstance(place.stream("person/ann")[1].event, Erased)


def test_text_that_still_stands_in_another_file_is_found(place: Place) -> None:
    asyncio.run(fill(place))
    copy = place.folder / "search.idx"
    copy.write_bytes(b"..." + ANN.encode())

    done = asyncio.run(place.erase())

    assert not done.ok
    assert done.traces == (str(copy),)


def test_nobody_is_erased_who_has_no_events(place: Place) -> None:
    asyncio.run(place.write(StreamAppend("person/bob", 0, (Started(BOB),)), "bob"))

    assert asyncio.run(place.erase()).events == 0
    assert place.stream(STREAM) == []


def test_an_erasure_killed_at_any_step_is_finished_by_the_next(
    place: Place, tmp_path: Path
) -> None:
    store = ArtifactStore(place.artifacts)
    letter = msgspec.to_builtins(asyncio.run(store.put_bytes(b"her letter")))
    noted = StreamAppend("note/ann", 0, (Noted(letter),))
    asyncio.run(place.write(noted, "ann", Snapshot("note/ann", 1, 1, 1, b"{}")))
    copies = tmp_path / "copies"
    copies.mkdir()
    script = str(Path(__file__).with_name("erase_me.py"))
    words = [sys.executable, script, str(place.folder), str(copies)]

    done = subprocess.run(words, capture_output=True, text=True, check=False)

    assert not done.returncode, done.stderr
    assert int(done.stdout) > 15


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring(tmp_path_factory.mktemp("keys") / "keys.jsonl")


@given(
    owner=st.sampled_from(OWNERS),
    data=st.binary(max_size=200),
    at=st.binary(max_size=20),
)
def test_what_is_encrypted_comes_back_in_its_place_and_in_no_other(
    keys: Keyring, owner: str, data: bytes, at: bytes
) -> None:
    text = keys.encrypt(owner, data, at)

    found = ciphertext(text)
    assert found is not None
    assert msgspec.json.decode(text)["key"] in keys.names(owner)
    assert Keyring(keys.path).decrypt(found, at) == data
    with pytest.raises(LogDamagedError):
        keys.decrypt(found, at + b".")
    assert keys.encrypt(owner, data, at) != text


def test_a_line_that_a_crash_cut_off_is_no_key_and_is_cut_off(keys: Keyring) -> None:
    keys.encrypt("ann", b"", b"")
    before = keys.path.read_bytes()
    keys.path.write_bytes(before + b'{"status":"live","key":"00')
    other = Keyring(keys.path)
    assert other.names("ann")

    other.encrypt("somebody new", b"", b"")

    assert keys.path.read_bytes().startswith(before + b'{"status":"live","key":"')
    assert len(other.names("somebody new")) == 1


def test_a_key_that_was_changed_is_named_and_so_is_a_file_of_something_else(
    place: Place,
) -> None:
    found = ciphertext(place.keys.encrypt("ann", b"{}", b""))
    assert found is not None
    text = place.keys.path.read_bytes()
    place.keys.path.write_bytes(text[:24] + b"zzzz" + text[28:])
    with pytest.raises(LogDamagedError, match="'ann' is not as it was written"):
        Keyring(place.keys.path).decrypt(found, b"")
    place.keys.path.write_bytes(b"{}\n")
    with pytest.raises(LogDamagedError, match="no key file, or damaged at byte 0"):
        Keyring(place.keys.path).names("ann")


def test_an_erasure_cut_off_in_the_key_file_holds_and_is_finished(
    place: Place,
) -> None:
    found = ciphertext(place.keys.encrypt("ann", b"{}", b""))
    assert found is not None
    text = place.keys.path.read_bytes()
    place.keys.path.write_bytes(text.replace(b"live", b"dead"))
    assert Keyring(place.keys.path).decrypt(found, b"") is None

    assert Keyring(place.keys.path).destroy("ann") == 0

    assert b'"key":"' + b"0" * 64 in place.keys.path.read_bytes()


def test_a_key_whose_destruction_may_not_be_on_the_disk_is_destroyed_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.keys.encrypt("ann", b"{}", b"")
    syncs, written = iter([True, False]), list[bytes]()
    pwrite = os.pwrite

    def fsync(_: int) -> None:
        if not next(syncs):
            raise OSError(errno.EIO, "it failed")

    def spy(fd: int, text: bytes, at: int) -> int:
        written.append(text)
        return pwrite(fd, text, at)

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fsync)
        with pytest.raises(OSError, match="it failed"):
            place.keys.destroy("ann")
    monkeypatch.setattr(os, "pwrite", spy)

    assert place.keys.destroy("ann") == 0  # as far as can be read
    assert written == [b"dead", b"0" * 64]


def test_an_erasure_leaves_the_log_its_locks(place: Place) -> None:
    """Else whoever looks at it meanwhile takes himself for the last to close it."""
    look = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT 1 FROM meta')"

    async def erase() -> None:
        async with place.open() as log:
            await erase_owner(
                log,
                place.keys,
                "ann",
                reason="she asked",
                by="tester",
                artifacts=place.artifacts,
                folder=place.folder,
            )
            command = [sys.executable, "-c", look, str(place.log)]
            await run_sync(lambda: subprocess.run(command, check=True))
            assert await run_sync(lambda: wal_of(place.log).exists())

    asyncio.run(fill(place))
    asyncio.run(erase())


def test_while_no_key_can_be_kept_nothing_is_written(place: Place) -> None:
    async def write() -> None:
        async with place.open(Keyring(place.folder / "none" / "keys.jsonl")) as log:
            with pytest.raises(LogUnavailableError, match="cannot take a new key"):
                await log.append([StreamAppend("a/1", 0, (Counted(),))], of("ann"))

    asyncio.run(write())

    assert verify(place.log).events == 0


def test_without_the_package_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = "cryptography.hazmat.primitives.ciphers.aead"
    monkeypatch.setitem(sys.modules, name, None)

    with pytest.raises(EncryptionMissingError, match=r"dramaturg\[encryption\]"):
        Keyring(tmp_path / "keys.jsonl")


def test_only_who_has_keys_loads_what_encrypts() -> None:
    code = "import dramaturg.events.log.sqlite, sys; print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert "cryptography" not in run.stdout


def test_a_key_file_that_cannot_be_read_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(KeyMissingError, match=r"cannot be read .*directory"):
        Keyring(tmp_path).names("ann")
