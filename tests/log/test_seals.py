"""A log is sealed by its owner: every so often, and when it is closed."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dramaturg.events import Registry
from dramaturg.events.log import (
    Context,
    Recorded,
    StreamAppend,
    sealer,
    sealing,
    subscribe,
)
from dramaturg.events.log.lull import Lull
from dramaturg.events.log.reader import LogReader
from dramaturg.events.log.seal import EVENTS, STREAM, MerkleTree, Sealed, merkle_root
from dramaturg.events.log.sealer import SealPolicy
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.log.verify import verify

from .contract import append
from .faults import Faults
from .vocabulary import REGISTRY, Counted

OFTEN = SealPolicy(events_max=3, within_s=1000)
SELDOM = SealPolicy(events_max=1000, within_s=1000)


async def seals(log: SqliteLog) -> AsyncIterator[Recorded]:
    """Yield the seals of a log as they come."""
    async for recorded in subscribe(log):
        if recorded.stream == STREAM:
            yield recorded


async def stored(path: Path) -> list[tuple[int, int, int]]:
    """Return position, first and last of every seal in a file that verifies."""

    def read() -> list[tuple[int, int, int]]:
        report = verify(path, REGISTRY)
        assert report.ok, report.damages
        with LogReader(path, Registry(EVENTS)) as reader:
            found = reader.read_stream(STREAM)
        return [
            (r.position, r.event.first, r.event.last)
            for r in found
            if isinstance(r.event, Sealed)
        ]

    return await asyncio.to_thread(read)


@pytest.mark.asyncio
async def test_a_seal_comes_after_so_many_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (sealer, sealing):
        monkeypatch.setattr(module, "PAGE", 2)
    path = tmp_path / "log.db"
    async with SqliteLog(path, REGISTRY, seals=OFTEN) as log:
        sealed = seals(log)
        found: list[Recorded] = []
        for version in range(0, 12, 4):
            await append(log, "a/1", version, *(Counted(n) for n in range(4)))
            found.append(await anext(sealed))
        end = log.position

    counts = [r.event.count for r in found if isinstance(r.event, Sealed)]
    assert counts == [4, 5, 5]  # the seal before and four more
    assert await stored(path) == [(5, 1, 4), (10, 5, 9), (15, 10, 14)]
    assert end == 15  # the stop found nothing new to seal


@pytest.mark.asyncio
async def test_a_seal_comes_after_some_time(tmp_path: Path) -> None:
    policy = SealPolicy(within_s=0.001)
    async with SqliteLog(tmp_path / "log.db", REGISTRY, seals=policy) as log:
        sealed = seals(log)
        for version in range(3):
            await append(log, "a/1", version, Counted())
            await anext(sealed)
        position = log.position

    assert position == 6


@pytest.mark.asyncio
async def test_a_clean_stop_seals_what_was_queued_and_nothing_twice(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.db"
    async with SqliteLog(path, REGISTRY, seals=SELDOM) as log:
        empty = log.position
    async with SqliteLog(path, REGISTRY, seals=SELDOM) as log:
        queued = asyncio.create_task(append(log, "a/1", 0, Counted(), Counted()))
        await asyncio.sleep(0)
    await queued
    for _ in range(2):
        async with SqliteLog(path, REGISTRY, seals=SELDOM) as log:
            assert log.position == 3

    assert empty == 0
    assert await stored(path) == [(3, 1, 2)]


@pytest.mark.asyncio
async def test_only_digests_that_others_wrote_are_read_and_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (sealer, sealing):
        monkeypatch.setattr(module, "PAGE", 3)
    digests, read = LogReader.digests, list[int]()

    def watched(
        reader: LogReader, after: int, until: int, *, limit: int
    ) -> Sequence[tuple[int, bytes]]:
        page = digests(reader, after, until, limit=limit)
        read.extend(position for position, _ in page)
        return page

    monkeypatch.setattr(LogReader, "digests", watched)
    path = tmp_path / "log.db"
    async with SqliteLog(path, REGISTRY, seals=None) as log:
        for version in range(20):
            await append(log, "a/1", version, Counted())
    async with SqliteLog(path, REGISTRY, seals=OFTEN) as log:
        for version in range(20, 40):
            await append(log, "a/1", version, Counted())

    assert read[:20] == [*range(1, 21)]
    assert len(read) <= 22  # the last page may have reached two more


@pytest.mark.asyncio
async def test_too_many_digests_to_be_kept_are_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealer, "TOLD_MAX", 2)
    path = tmp_path / "log.db"
    async with SqliteLog(path, REGISTRY, seals=SELDOM) as log:
        for version in range(40):
            await append(log, "a/1", version, Counted())

    assert await stored(path) == [(41, 1, 40)]


def test_a_lull_is_the_time_from_when_a_commit_begins() -> None:
    lull = Lull()
    found: list[bool] = []
    waiting = threading.Thread(target=lambda: found.append(lull.wait()))
    waiting.start()
    while waiting.is_alive():
        lull.begin()
        waiting.join(0.001)
    assert found == [True]


def test_commits_before_anybody_waited_are_no_lull() -> None:
    lull = Lull()
    lull.begin()
    lull.begin()
    assert not lull.wait()


@pytest.mark.parametrize(("backlog", "waits"), [(100, 1), (1, 0)])
@pytest.mark.asyncio
async def test_digests_wait_for_commits_unless_there_are_none_or_too_many_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backlog: int, waits: int
) -> None:
    waited: list[bool] = []

    def wait(_: Lull) -> bool:
        waited.append(True)
        return False

    monkeypatch.setattr(Lull, "wait", wait)
    for module in (sealer, sealing):
        monkeypatch.setattr(module, "PAGE", 4)
    monkeypatch.setattr(sealer, "SLICE", 2)
    monkeypatch.setattr(sealer, "BACKLOG", backlog)
    path = tmp_path / "log.db"
    async with SqliteLog(path, REGISTRY, seals=SELDOM) as log:
        await append(log, "a/1", 0, *(Counted(n) for n in range(4)))
    assert await stored(path) == [(5, 1, 4)]
    assert len(waited) == waits  # for the first of two slices; then none is expected


@pytest.mark.asyncio
async def test_after_a_failure_it_goes_on_from_the_last_seal(tmp_path: Path) -> None:
    path, faults = tmp_path / "log.db", Faults()
    log = SqliteLog(
        path, REGISTRY, seals=OFTEN, retry_s=(0.001, 0.01), connection=faults.connection
    )
    back = asyncio.Event()
    async with log:
        log.on_availability(lambda available: back.set() if available else None)
        await append(log, "a/1", 0, Counted(), Counted(), Counted())
        await anext(seals(log))
        faults.fail("COMMIT", "SQLITE_IOERR_FSYNC", written=True)
        log.submit(
            [StreamAppend("a/1", 3, (Counted(),) * 3)],
            Context(1),
            lambda _outcome: faults.mend(),
        )
        await back.wait()
        await append(log, "a/1", 6, Counted())

    firsts = [first for _, first, _ in await stored(path)]
    assert firsts[:2] == [1, 4]


@pytest.mark.asyncio
async def test_a_log_that_cannot_be_written_is_closed_unsealed(tmp_path: Path) -> None:
    path, faults = tmp_path / "log.db", Faults()
    failed = asyncio.Event()
    async with SqliteLog(
        path, REGISTRY, retry_s=(60, 60), connection=faults.connection
    ) as log:
        log.on_availability(lambda _available: failed.set())
        await append(log, "a/1", 0, Counted())
        faults.fail("COMMIT", "SQLITE_FULL")
        log.submit([StreamAppend("a/1", 1, (Counted(),))], Context(1), lambda _: None)
        await failed.wait()
        faults.mend()

    assert await stored(path) == []


@pytest.mark.asyncio
async def test_a_disk_that_fails_at_the_end_does_no_harm(tmp_path: Path) -> None:
    path, faults = tmp_path / "log.db", Faults()
    async with SqliteLog(path, REGISTRY, connection=faults.connection) as log:
        await append(log, "a/1", 0, Counted())
        faults.fail("COMMIT", "SQLITE_FULL")

    assert await stored(path) == []


@pytest.mark.asyncio
async def test_what_is_no_seal_among_the_seals_stops_the_sealing_alone(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.db"
    async with SqliteLog(path, REGISTRY, seals=None) as log:
        await append(log, STREAM, 0, Counted())
    async with SqliteLog(path, REGISTRY, seals=OFTEN) as log:
        for version in range(6):
            await append(log, "a/1", version, Counted())
        position = log.position

    assert position == 7


@pytest.mark.parametrize("policy", [{"events_max": 0}, {"within_s": 0.0}])
def test_a_policy_that_would_seal_for_ever_is_refused(policy: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="seals need"):
        SealPolicy(**policy)


@given(st.lists(st.lists(st.binary(min_size=32, max_size=32), max_size=9)))
def test_a_tree_that_grows_has_the_root_of_the_whole(pages: list[list[bytes]]) -> None:
    tree = MerkleTree()
    for page in pages:
        tree.add(page)

    assert tree.root == merkle_root(digest for page in pages for digest in page)
