"""What leaves a log as lines of JSON comes into another one byte for byte."""

import asyncio
import json
import resource
import shutil
import sqlite3
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anyio.to_thread import run_sync
from eventsourcing.persistence import StoredEvent

from dramaturg.events.log import (
    IdempotencyKey,
    LogLockedError,
    LogUnavailableError,
    StreamAppend,
)
from dramaturg.events.log.archive import folder_of
from dramaturg.events.log.archive.archiving import archive_log
from dramaturg.events.log.lock import WriterLock
from dramaturg.events.log.recorders import LogApplicationRecorder, LogDatastore
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.log.transfer import (
    Imported,
    ImportRejectedError,
    backup_log,
    export_log,
    import_log,
    importing,
)
from dramaturg.events.log.transfer.backup import BackupError
from dramaturg.events.log.transfer.parts import part_of
from dramaturg.events.log.verify import verify

from .forged import forge, tamper
from .formats.make import AWKWARD
from .test_processes import start
from .vocabulary import REGISTRY, Counted, Ended, Mixed, Started

KEPT = Path(__file__).parent / "formats" / "v2" / "documents.db"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Return a copy of a log with a bit of everything."""
    (tmp_path / "kept").mkdir()
    return Path(shutil.copy(KEPT, tmp_path / "kept"))


TABLES = (
    "events",
    "streams",
    "keys",
    "(SELECT next_position, committed, epoch FROM meta)",
)


async def exported(path: Path, **options: Any) -> bytes:
    lines: list[bytes] = []

    async def write(data: bytes) -> None:
        lines.append(data)

    await export_log(path, write, **options)
    return b"".join(lines)


async def imported(path: Path, export: bytes, chunk: int = 1 << 20) -> Imported:
    rest = [export[at : at + chunk] for at in range(0, len(export), chunk)]

    async def read(_size: int) -> bytes:
        return rest.pop(0) if rest else b""

    return await import_log(path, read)


def contents(path: Path) -> list[list[Any]]:
    with closing(sqlite3.connect(path)) as db:
        return [
            db.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608 - constants
            for table in TABLES
        ]


async def write_one(path: Path) -> None:
    """Make a log with all that is awkward in a line."""
    raw = b'{\n"data": [1,\r 2],"data":3 }'
    async with SqliteLog(path, REGISTRY, node="n") as log:
        odd = Mixed(raw=msgspec.Raw(raw))
        key = IdempotencyKey(AWKWARD, "k", AWKWARD, 2**52)
        await log.append([StreamAppend(AWKWARD, 0, (Started("x"), odd))], keys=[key])
        await log.append([StreamAppend("a/1", 0, (Counted(), Ended()))])
        await log.append([StreamAppend("b/1", 0, (Started(), Ended(), Counted()))])


@pytest.mark.asyncio
@pytest.mark.parametrize("chunk", [97, 1 << 20])
async def test_a_log_comes_out_of_another_s_export_byte_for_byte(
    tmp_path: Path, chunk: int
) -> None:
    path, twin = tmp_path / "log.db", tmp_path / "twin.db"
    await write_one(path)
    export = await exported(path)

    done = await imported(twin, export, chunk)

    assert done == Imported(8, 0, 1, 8)
    assert await run_sync(contents, twin) == await run_sync(contents, path)
    assert await exported(twin) == export
    assert (await run_sync(verify, twin, REGISTRY)).ok
    assert {json.loads(line)["position"] for line in export.splitlines()[1:-2]} == {
        *range(1, 9)
    }


@pytest.mark.asyncio
async def test_an_import_that_was_cut_off_goes_on_where_it_stopped(
    kept: Path,
    tmp_path: Path,
) -> None:
    twin = tmp_path / "twin.db"
    export = await exported(kept)

    with pytest.raises(ImportRejectedError, match=r"cut off; [1-9].* are sound"):
        await imported(twin, export[: len(export) // 2], 500)
    assert (await run_sync(verify, twin)).ok
    done = await imported(twin, export, 500)
    again = await imported(twin, export)

    assert 0 < done.known < 38
    assert done.events + done.known == 38
    assert (again.events, again.known) == (0, 38)
    assert await run_sync(contents, twin) == await run_sync(contents, kept)


@pytest.mark.asyncio
async def test_a_later_part_continues_an_earlier_one(
    kept: Path, tmp_path: Path
) -> None:
    twin = tmp_path / "twin.db"
    parts = [await exported(kept, until=20), await exported(kept, after=20)]
    with pytest.raises(ImportRejectedError, match=r"ends at position 0 .* after 20"):
        await imported(twin, parts[1])

    for part in parts:
        await imported(twin, part)

    assert await run_sync(contents, twin) == await run_sync(contents, kept)


@pytest.mark.asyncio
async def test_heads_are_found_again_however_few_are_remembered(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "HEADS_MAX", 2)
    twin = tmp_path / "twin.db"

    await imported(twin, await exported(kept), 3000)

    assert await run_sync(contents, twin) == await run_sync(contents, kept)


DAMAGE = b'{"kind":"gap","position":5,"stream":"","message":"positions 5 to 6"}'
REPLACED = {
    "no event": b'{"position":5}',
    "no line": b"[]",
    "damaged": b'{"damage":' + DAMAGE + b"}",
}


def changed(  # noqa: C901 - a case per kind of damage
    lines: Sequence[bytes], how: str
) -> list[bytes]:
    """Spoil an export as a careless or a clever person would."""
    first, *events, end = lines
    replaced = REPLACED.get(how)
    if replaced is not None:
        events[4] = replaced
    match how:
        case "changed":
            events[4] = events[4].replace(b'"attempt":', b'"attempt" :', 1)
            events[4] = events[4].replace(b'"data":{', b'"data":{ ', 1)
        case "missing":
            del events[4]
        case "reordered":
            events[3:5] = events[4], events[3]
        case "doubled":
            events.insert(4, events[3])
        case "renumbered":
            event = json.loads(events[4])
            events[4] = json.dumps({**event, "version": 9}).encode()
            events[4] = events[4].replace(b'": ', b'":').replace(b', "', b',"')
        case "no key":
            events[-1] = b'{"key":5}'
        case "another end":
            end = end.replace(b'"events":38', b'"events":37')
        case "after the end":
            return [first, *events, end, events[0]]
        case "streams":
            first = first.replace(b'"streams":[]', b'"streams":["a"]')
        case "first":
            first = b"{}"
        case _:
            assert replaced
    return [first, *events, end]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("changed", "line 6 .*position 5 does not fit its digest"),
        ("missing", "line 6 .*position 6 stands where 5 should"),
        ("reordered", "line 5 .*position 5 stands where 4 should"),
        ("doubled", "line 6 .*position 4 stands where 5 should"),
        ("renumbered", "line 6 .*version 9 of .* does not follow"),
        ("no event", "line 6 .*no event"),
        ("no key", "no key"),
        ("no line", "line 6 .*no line of an export"),
        ("damaged", "line 6 .*is damaged.*positions 5 to 6"),
        ("another end", "not as it was written"),
        ("after the end", "something follows"),
        ("streams", "some streams alone"),
        ("first", "no export"),
    ],
)
async def test_an_export_that_was_tampered_with_is_refused(
    kept: Path, tmp_path: Path, how: str, words: str
) -> None:
    lines = changed((await exported(kept)).splitlines(), how)

    with pytest.raises(ImportRejectedError, match=words):
        await imported(tmp_path / "twin.db", b"".join(line + b"\n" for line in lines))


@pytest.mark.asyncio
async def test_what_is_not_even_a_line_is_refused(tmp_path: Path) -> None:
    for nothing in (b"", b"text"):
        with pytest.raises(ImportRejectedError, match="no export"):
            await imported(tmp_path / "twin.db", nothing)


@pytest.mark.asyncio
async def test_a_log_with_another_history_or_writer_is_left_alone(
    kept: Path,
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.db"
    await write_one(path)
    before = await run_sync(contents, path)
    export = await exported(kept)
    with pytest.raises(ImportRejectedError, match="another event at position 1"):
        await imported(path, export)
    lock = WriterLock(path)
    await run_sync(lock.acquire)
    with pytest.raises(LogLockedError):
        await imported(path, export)
    await run_sync(lock.release)

    assert await run_sync(contents, path) == before


@pytest.mark.asyncio
async def test_some_streams_are_exported_alone(kept: Path) -> None:
    lines = (await exported(kept, streams=["breaker/graph-db"])).splitlines()

    assert [json.loads(line).get("stream") for line in lines] == [
        None,
        *["breaker/graph-db"] * 3,
        None,
    ]


@pytest.mark.asyncio
async def test_a_recorder_s_log_is_exported_and_imported(tmp_path: Path) -> None:
    path, twin = tmp_path / "log.db", tmp_path / "twin.db"

    def record() -> None:
        with LogDatastore(path) as datastore:
            states = [StoredEvent("a", n, "t", bytes([n, 255])) for n in range(3)]
            LogApplicationRecorder(datastore).insert_events(states)

    await run_sync(record)
    await imported(twin, await exported(path))

    assert await run_sync(contents, twin) == await run_sync(contents, path)


@pytest.mark.asyncio
async def test_of_a_damaged_log_all_that_is_left_is_exported_and_the_rest_named(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log.db"
    events = [(f"part/{n % 3}", Counted(n)) for n in range(9)]
    await run_sync(forge, path, events)
    await run_sync(
        tamper,
        path,
        "UPDATE events SET state = x'7bff0a' WHERE position = 3",
        "UPDATE events SET digest = 'x' WHERE position = 5",
        "DELETE FROM events WHERE position = 7",
    )

    lines = [json.loads(line) for line in (await exported(path)).splitlines()]

    found = [line["position"] for line in lines if "position" in line]
    assert found == [1, 2, 3, 4, 6, 8, 9]
    damages = [line["damage"] for line in lines if "damage" in line]
    assert {(d["kind"], d["position"]) for d in damages} >= {
        ("digest", 3),
        ("row", 5),
        ("gap", 7),
    }
    assert lines[-1]["end"]["damages"] == len(damages)
    assert lines[4]["form"] == "blob"  # as it is no JSON any more
    with pytest.raises(ImportRejectedError, match="is damaged"):
        await imported(tmp_path / "twin.db", await exported(path))


@pytest.mark.parametrize(
    ("statement", "kind"),
    [
        ("UPDATE keys SET stream = 'item/documents/other'", "key"),
        ("DROP TABLE keys", "key"),
        ("UPDATE streams SET version = 9 WHERE stream LIKE 'item/%'", "head"),
        ("UPDATE streams SET position = 'x' WHERE stream LIKE 'item/%'", "head"),
        ("DROP TABLE streams", "head"),
    ],
)
@pytest.mark.asyncio
async def test_what_an_import_would_take_over_unseen_is_named(
    kept: Path, statement: str, kind: str
) -> None:
    await run_sync(tamper, kept, statement)

    lines = [json.loads(line) for line in (await exported(kept)).splitlines()]

    assert sum("position" in line for line in lines) == 38
    assert {line["damage"]["kind"] for line in lines if "damage" in line} == {kind}


# A copy


def test_a_log_is_copied_while_another_process_writes_it(tmp_path: Path) -> None:
    path, copy = tmp_path / "log.db", tmp_path / "copy.db"
    told: list[tuple[int, int]] = []
    with start("kill_me.py", path) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(50)]
        acknowledged = max(int(line.split()[2]) for line in lines[1:])
        report = backup_log(path, copy, progress=lambda at, end: told.append((at, end)))
        later = process.stdout.readline()
        process.kill()

    assert later
    assert report.ok
    assert report.events >= acknowledged
    assert told[-1][0] == told[-1][1] > 0
    assert verify(copy).ok
    assert not list(tmp_path.glob(".*"))


@pytest.mark.asyncio
async def test_what_a_killed_backup_left_is_cleared_away(
    kept: Path, tmp_path: Path
) -> None:
    async with SqliteLog(kept, REGISTRY) as log:
        await archive_log(log, 0)
    target = tmp_path / "copy.db"

    def look() -> list[str]:
        (tmp_path / ".copy.db.killed.part" / "copy.db-segments").mkdir(parents=True)
        shutil.copytree(folder_of(kept), folder_of(target))
        with part_of(target) as held:  # by somebody who is at it
            assert backup_log(kept, target).ok
            assert held.exists()
        return [each.name for each in tmp_path.glob("*copy*")]

    assert sorted(await run_sync(look)) == ["copy.db", "copy.db-segments"]
    left = tmp_path / ".copy.db.killed.part"  # after its last step but one
    await run_sync(left.mkdir)
    with pytest.raises(BackupError, match="already: name"):
        await run_sync(backup_log, kept, target)
    assert not await run_sync(left.exists)
    await run_sync(target.unlink)
    (segment,) = await run_sync(lambda: list(folder_of(target).iterdir()))
    await run_sync(segment.write_bytes, b"another log's")
    with pytest.raises(BackupError, match="of another log"):
        await run_sync(backup_log, kept, target)
    assert await run_sync(segment.read_bytes) == b"another log's"


@contextmanager
def limited(size_bytes: int) -> Generator[None]:
    """Let no file of this process grow beyond a size, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_named_by_whoever_writes_to_it(
    kept: Path, tmp_path: Path
) -> None:
    export, twin = asyncio.run(exported(kept)), tmp_path / "twin.db"
    with limited(34_000):  # in which SQLite's shared memory has room
        with pytest.raises(BackupError, match=r"cannot take the copy: .*make room"):
            backup_log(kept, tmp_path / "copy.db")
        with pytest.raises(LogUnavailableError, match=r"twin\.db .*the space on its"):
            asyncio.run(imported(twin, export))
    with pytest.raises(ImportRejectedError, match="cut off"):
        asyncio.run(imported(twin, export[: len(export) // 3]))
    with (
        limited(34_000),
        pytest.raises(LogUnavailableError, match=r"into .*twin\.db: .*make room"),
    ):
        asyncio.run(imported(twin, export))

    assert asyncio.run(imported(twin, export)).position == 38
    assert not list(tmp_path.glob("*copy*"))


def test_a_copy_takes_no_other_file_s_place(kept: Path, tmp_path: Path) -> None:
    (taken := tmp_path / "copy.db").write_text("mine")

    with pytest.raises(BackupError, match="already"):
        backup_log(kept, taken)
    assert taken.read_text() == "mine"


def test_no_copy_is_made_of_a_damaged_log(kept: Path, tmp_path: Path) -> None:
    shutil.copyfile(kept, path := tmp_path / "log.db")
    tamper(path, "UPDATE events SET tag = 'x' WHERE position = 9")

    with pytest.raises(BackupError, match="'digest', position=9"):
        backup_log(path, tmp_path / "copy.db")
    assert sorted(p.suffix for p in tmp_path.iterdir() if "copy" in p.name) == []
