"""A crash at every single write, sync and truncate; an error at each of them.

The crashes are not sampled: they are at every operation of a short life, and with
`make crash-points` at those of a long one, errors at each write of it as well. Many
leave the same bytes; from the last crash to the first, each disk is looked at once,
and so held to the most that was promised by anybody who left it.
"""

import asyncio
import hashlib
import os
import random
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from dramaturg.events.log import (
    Context,
    IdempotencyKey,
    LogUnavailableError,
    Snapshot,
    StreamAppend,
    committer,
)
from dramaturg.events.log.opening import open_for_writing
from dramaturg.events.log.reader import LogReader
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.log.verify import verify

from .vfs import FSYNC_ERROR, FULL, WRITE_ERROR, After, Disk, faulty_disk
from .vocabulary import REGISTRY, Counted, Started

LONG = os.environ.get("DRAMATURG_CRASH_POINTS") == "long"
APPENDS = 40 if LONG else 6
LIMIT_S = 3600 if LONG else 120
AFTER: tuple[After, ...] = ("kill", "power", "torn")
NAME = "log.db"
AT = Context(at_us=1)


class Life:
    """Appends one after the other, each to two streams, and notes what was promised."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.promised: list[tuple[int, int]] = []
        """After how many operations which append was acknowledged."""
        self.refused = 0

    async def live(self, path: Path, appends: Sequence[int]) -> None:
        async with SqliteLog(path, REGISTRY, seals=None, retry_s=(0.001, 0.01)) as log:
            for number in appends:
                await self.append(log, number)

    async def append(self, log: SqliteLog, number: int) -> None:
        """Append until it is acknowledged or found done, as an actor does."""
        event = Started(str(number)) if number == 0 else Counted(number)
        key = IdempotencyKey("crash", str(number), "part/a")
        while True:
            try:
                await log.append(
                    [StreamAppend(s, number, (event,)) for s in ("part/a", "part/b")],
                    AT,
                    keys=[key],
                )
            except LogUnavailableError:
                self.refused += 1
                await available(log)
                head = await log.head("part/a")
                if head is None or head.version <= number:
                    continue
            break
        self.promised.append((len(self.disk.ops), number))
        if number == APPENDS // 2:
            log.save_snapshot(Snapshot("part/a", number + 1, 2 * number + 1, 1, b"{}"))

    def promised_by(self, operation: int) -> int:
        """Return how many appends were acknowledged before this operation."""
        return sum(done <= operation for done, _ in self.promised)


async def available(log: SqliteLog) -> None:
    """Wait until the log can be written."""
    back = asyncio.Event()
    remove = log.on_availability(lambda is_so: back.set() if is_so else None)
    if not log.available:
        await back.wait()
    remove()


@contextmanager
def lived(folder: Path) -> Generator[Life]:
    """A life in two parts, with checkpoints in the middle of it."""
    folder.mkdir(exist_ok=True)
    with faulty_disk() as disk:
        life = Life(disk)
        for part in (range(APPENDS // 2), range(APPENDS // 2, APPENDS)):
            asyncio.run(life.live(folder / NAME, part))
        yield life


@pytest.fixture
def quick_path() -> Iterator[Path]:
    """A folder in memory: what reaches the disk is recorded, nothing else matters."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own in it
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture(autouse=True)
def checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the WAL be moved into the file after every few commits."""
    monkeypatch.setattr(committer, "CHECKPOINT_BYTES", 60_000)


def put(files: dict[str, bytearray], folder: Path) -> Path:
    """Make a disk of what a crash left."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder / NAME


class Seen:
    """Knows the disks that were looked at already, by their bytes."""

    def __init__(self) -> None:
        self._digests: set[bytes] = set()

    def is_new(self, files: dict[str, bytearray]) -> bool:
        digest = hashlib.sha256()
        for name, content in sorted(files.items()):
            digest.update(f"{name} {len(content)} ".encode())
            digest.update(content)
        before = len(self._digests)
        self._digests.add(digest.digest())
        return len(self._digests) > before


def recover(path: Path, promised: int, where: str) -> None:
    """Open what a crash left, and hold it to what was promised."""
    if promised == 0 and not path.exists():
        return
    with closing(open_for_writing(path, None)):
        pass
    check(path, promised, where)


def check(path: Path, promised: int, where: str) -> None:
    report = verify(path, REGISTRY)
    assert report.ok, (where, report.damages)
    with LogReader(path, REGISTRY) as reader:
        kept = [reader.read_stream(stream) for stream in ("part/a", "part/b")]
        keys = [reader.key_stream("crash", str(n), 1) for n in range(promised)]
    assert len(kept[0]) == len(kept[1]), (where, "half of an append")
    assert len(kept[0]) >= promised, (where, "an acknowledged append is missing")
    assert keys == ["part/a"] * promised, where
    for number, row in enumerate(kept[0]):
        wanted = Started("0") if number == 0 else Counted(number)
        assert msgspec.to_builtins(row.event) == msgspec.to_builtins(wanted), where


@pytest.mark.timeout(LIMIT_S)
def test_a_crash_at_any_operation_leaves_what_was_acknowledged(
    quick_path: Path,
) -> None:
    with lived(quick_path / "life") as life:
        disk = life.disk
    kinds = {op.kind for op in disk.ops}
    assert kinds == {"write", "sync", "truncate", "delete"}

    seen = Seen()
    for until in reversed(range(len(disk.ops) + 1)):
        for after in AFTER:
            files = disk.image(until, after, random.Random(until))
            if seen.is_new(files):
                path = put(files, quick_path / "left")
                recover(path, life.promised_by(until), f"{after} before {until}")


@pytest.mark.timeout(LIMIT_S)
def test_a_crash_while_recovering_from_a_crash_changes_nothing(
    quick_path: Path,
) -> None:
    with lived(quick_path / "life") as life:
        disk = life.disk
    points = [n for n, op in enumerate(disk.ops) if op.kind == "sync"]

    seen = Seen()
    for until in reversed(points if LONG else points[1::2]):
        files = disk.image(until + 1, "kill", random.Random(0))
        promised = life.promised_by(until)
        path = put(files, quick_path / "left")
        with faulty_disk() as again:
            for name, content in files.items():
                again.do("write", name, 0, bytes(content))
                again.do("sync", name)
            begin = len(again.ops)
            with closing(open_for_writing(path, None)):
                pass
        for second in range(begin, len(again.ops) + 1):
            for after in AFTER:
                image = again.image(second, after, random.Random(second))
                if seen.is_new(image):
                    left = put(image, quick_path / "left again")
                    recover(left, promised, f"{after} before {second} after {until}")


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("write", FULL),
        ("write", WRITE_ERROR),
        ("sync", FSYNC_ERROR),
        ("truncate", WRITE_ERROR),
    ],
)
@pytest.mark.timeout(LIMIT_S)
def test_after_an_error_at_any_operation_it_goes_on_and_nothing_is_lost(
    quick_path: Path, kind: str, code: int
) -> None:
    (quick_path / "first").mkdir()
    with faulty_disk() as disk:
        asyncio.run(Life(disk).live(quick_path / "first" / NAME, range(APPENDS)))
    numbers = [n for n, op in enumerate(disk.ops) if op.kind == kind]
    refused = 0
    if kind == "write" and not LONG:
        numbers = numbers[code % 2 :: 2]

    for number in numbers:
        folder = quick_path / f"{kind} {number}"
        folder.mkdir()
        with faulty_disk() as disk:
            disk.failing = failing_once(number, kind, code)
            life = Life(disk)
            try:
                asyncio.run(life.live(folder / NAME, range(APPENDS)))
            except LogUnavailableError:  # it could not be opened: once more
                asyncio.run(life.live(folder / NAME, range(APPENDS)))
            refused += life.refused
            files = disk.image(len(disk.ops), "power", random.Random(0))
        where = f"{kind} {number} failed with {code}"
        assert len(life.promised) == APPENDS, where
        check(folder / NAME, APPENDS, where)
        recover(put(files, quick_path / "left"), APPENDS, f"power lost after {where}")
    assert refused or kind == "truncate"


def failing_once(number: int, kind: str, code: int) -> "_Once":
    return _Once(number, kind, code)


class _Once:
    """Fails the first operation of a kind from a number on."""

    def __init__(self, number: int, kind: str, code: int) -> None:
        self._number, self._kind, self._code = number, kind, code

    def __call__(self, number: int, kind: str) -> int:
        if number < self._number or kind != self._kind:
            return 0
        self._number = 1 << 60
        return self._code


def test_a_disk_that_is_full_for_long_is_waited_out(quick_path: Path) -> None:
    with faulty_disk() as disk:
        life, failed = Life(disk), 0

        def full(_number: int, kind: str) -> int:
            nonlocal failed
            if kind != "write" or len(life.promised) < 2 or failed == 30:
                return 0
            failed += 1
            return FULL

        disk.failing = full
        asyncio.run(life.live(quick_path / NAME, range(APPENDS)))

    assert life.refused > 0
    assert len(life.promised) == APPENDS
    check(quick_path / NAME, APPENDS, "a full disk")


def test_on_a_slow_disk_many_appends_share_a_sync(quick_path: Path) -> None:
    begun = 0

    async def live(path: Path) -> None:
        async with SqliteLog(path, REGISTRY, seals=None) as log:
            before = len(disk.ops)
            disk.failing = slow
            async with asyncio.TaskGroup() as group:
                for n in range(50):
                    streams = [StreamAppend(f"part/{n}", 0, (Started("x"),))]
                    group.create_task(append(log, streams))
                await all_begun.wait()
                done.set()  # only now the first sync ends
            life.promised = [(len(disk.ops) - before, 50)]

    async def append(log: SqliteLog, streams: list[StreamAppend]) -> None:
        nonlocal begun
        begun += 1
        if begun == 50:
            all_begun.set()
        await log.append(streams, AT)

    def slow(_number: int, kind: str) -> int:
        if kind == "sync":
            done.wait(20)
        return 0

    all_begun, done = asyncio.Event(), threading.Event()
    with faulty_disk() as disk:
        life = Life(disk)
        asyncio.run(live(quick_path / NAME))

    ((after, _),) = life.promised
    syncs = sum(op.kind == "sync" for op in disk.ops[-after:])
    assert 0 < syncs < 10


def test_without_waiting_for_syncs_it_would_lose_what_it_promised(
    quick_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests above can fail: here is what they find."""
    from dramaturg.events.log import schema  # noqa: PLC0415 - to spoil it

    settings = [s for s in schema._SETTINGS if s[0] != "synchronous"]  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(schema, "_SETTINGS", [*settings, ("synchronous", "OFF", 0)])
    with lived(quick_path / "life") as life:
        disk = life.disk

    def all_points() -> None:
        for until in range(len(disk.ops) + 1):
            files = disk.image(until, "power", random.Random(until))
            path = put(files, quick_path / "left")
            recover(path, life.promised_by(until), f"power before {until}")

    with pytest.raises(Exception, match=r"missing|damaged|not a log|empty database"):
        all_points()
