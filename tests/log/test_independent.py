"""A program that knows docs/format.md alone reads logs, and finds what `verify` finds."""

import asyncio
import shutil
import sqlite3
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from anyio import open_file
from hypothesis import given, settings
from hypothesis import strategies as st

from dramaturg.events.log import LogError
from dramaturg.events.log.transfer import ImportRejectedError, export_log, import_log
from dramaturg.events.log.verify import verify

from . import independent
from .everything import EDGES, write_everything
from .formats.make import AWKWARD

KEPT = sorted((Path(__file__).parent / "formats").glob("v*/*.db"))

PARTS = {
    **dict.fromkeys(("gap", "row", "version", "prev", "document"), "event"),
    **dict.fromkeys(("digest", "committed"), "event"),
    **dict.fromkeys(("head", "open", "orphan"), "stream"),
    **dict.fromkeys(("end", "schema"), "meta"),
}
"""What `verify` calls what, where the two have other words."""

PRIMARY = {
    "meta": "id",
    "events": "position",
    "streams": "stream",
    "snapshots": "stream, version, fold_version",
    "keys": "scope, key",
    "segments": "segment",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a log that has everything, of its keys and its export."""
    folder = tmp_path_factory.mktemp("made")

    async def make() -> None:
        await write_everything(folder / "log.db")
        async with await open_file(folder / "export.ndjson", "wb") as file:
            await export_log(folder / "log.db", file.write)

    asyncio.run(make())
    return folder


@contextmanager
def copied(made: Path) -> Generator[Path]:
    with TemporaryDirectory() as folder:
        yield Path(shutil.copytree(made, folder, dirs_exist_ok=True)) / "log.db"


def read_by_document(path: Path) -> set[tuple[str, Any]]:
    """Return what the independent program finds, as parts and as events' positions."""
    try:
        with closing(independent.Log(path)) as log:
            found = list(log.check())
    except (sqlite3.Error, *independent.UNREADABLE) as error:
        return {("refused", str(error))}
    return {(part, at if part == "event" else None) for part, at in found}


def verified(path: Path) -> set[tuple[str, Any]]:
    """Return what `verify` finds, in the same words."""
    try:
        damages = verify(path).damages
    except LogError as error:
        return {("refused", str(error))}
    parts = [(PARTS.get(each.kind, each.kind), each.position) for each in damages]
    return {(part, at if part == "event" else None) for part, at in parts}


@pytest.mark.parametrize(
    "kept", KEPT, ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_every_kept_log_is_read_by_the_document(kept: Path, tmp_path: Path) -> None:
    path = shutil.copytree(kept.parent, tmp_path / "made") / kept.name

    with closing(independent.Log(path)) as log:
        assert list(log.check()) == []
        assert len(list(log.events())) == verify(path).events >= 4


def test_a_log_with_everything_is_read_by_the_document(
    made: Path,
) -> None:
    path = made / "log.db"
    keys = independent.read_keys(made / "keys.jsonl")
    plain = [msgspec.json.encode(event) for event in EDGES]

    with closing(independent.Log(path)) as log:
        damages, events = list(log.check()), list(log.events())
        (snapshot,) = log.rows("SELECT * FROM snapshots WHERE fold_version = 3")
    private = [event for event in events if event.stream == f"person/{AWKWARD}"]
    erased = [event for event in events if event.stream == "person/ann"]
    open_to_all = [event.data for event in events if event.stream == AWKWARD]

    assert damages == []
    assert verified(path) == set()
    assert len(log.segments) == 2
    assert open_to_all == plain
    assert [decrypted(event, keys) for event in private] == plain
    with pytest.raises(KeyError):
        decrypted(erased[0], keys)
    stream, version, _, fold_version, state, _ = snapshot
    place = independent.array("snapshot", stream, version, fold_version)
    assert independent.decrypted(state, place, keys) == b"3"


def decrypted(event: independent.Event, keys: dict[str, bytes]) -> bytes:
    place = independent.array("event", event.stream, event.version, event.tag)
    return independent.decrypted(event.data, place, keys)


def flipped(content: bytes, at: int, bit: int) -> bytes:
    changed = bytearray(content)
    changed[at % len(changed)] ^= 1 << bit
    return bytes(changed)


def change_cell(path: Path, table: str, at: int, bit: int) -> tuple[str, Any] | None:
    """Flip a bit of one value of a table; return the part, None: it is no certain one."""
    primary = PRIMARY[table]
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.text_factory = bytes
        db.execute("PRAGMA ignore_check_constraints=ON")
        rows = db.execute(f"SELECT * FROM {table} ORDER BY {primary}")  # noqa: S608 - constants
        columns = [str(column[0]) for column in rows.description]
        found = rows.fetchall()
        row, column = found[at % len(found)], at // len(found) % len(columns)
        value = row[column]
        new: Any = 0
        if isinstance(value, bytes):
            new = flipped(value, at // 7, bit)
        elif value is not None:
            new = value ^ 1 << bit
        name = columns[column]
        kind = f"CASE typeof({name}) WHEN 'text' THEN CAST(? AS TEXT) ELSE ? END"
        change = (
            f"UPDATE {table} SET {name} = {kind} WHERE ({primary}) = "  # noqa: S608 - constants
            f"(SELECT {primary} FROM {table} ORDER BY {primary} LIMIT 1 OFFSET ?)"
        )
        try:
            db.execute(change, (new, new, at % len(found)))
        except sqlite3.IntegrityError:
            return None
    if name == "format":  # of a log of another one all is wrong
        return None
    return table.rstrip("s"), row[0] if table == "events" else None


PLACES = st.integers(0, 2**40)
BITS = st.integers(0, 7)


@settings(max_examples=20, deadline=None)
@given(table=st.sampled_from(sorted(PRIMARY)), at=PLACES, bit=BITS)
def test_the_two_name_the_same_value_that_was_changed(
    made: Path, table: str, at: int, bit: int
) -> None:
    with copied(made) as path:
        changed = change_cell(path, table, at, bit)
        mine, theirs = read_by_document(path), verified(path)

    assert bool(mine) == bool(theirs)
    refused = any("refused" in {part for part, _ in found} for found in (mine, theirs))
    if mine and changed and not refused:
        assert changed in mine & theirs


@settings(max_examples=20, deadline=None)
@given(number=st.integers(0, 3), at=PLACES, bit=BITS)
def test_the_two_agree_on_a_flipped_bit_of_a_file(
    made: Path, number: int, at: int, bit: int
) -> None:
    with copied(made) as path:
        segments = sorted(path.with_name("log.db-segments").iterdir())
        file = [*segments, path, path][number]
        file.write_bytes(flipped(file.read_bytes(), at, bit))
        mine, theirs = read_by_document(path), verified(path)

    assert bool(mine) == bool(theirs)
    if file in segments:
        assert ("segment", None) in mine & theirs


@settings(max_examples=10, deadline=None)
@given(at=PLACES, bit=BITS)
def test_the_two_agree_on_a_flipped_bit_of_an_export(
    made: Path, at: int, bit: int
) -> None:
    export = (made / "export.ndjson").read_bytes()
    changed = flipped(export, at, bit)
    with TemporaryDirectory() as folder:
        refused = asyncio.run(imported(Path(folder) / "log.db", changed))

    assert list(independent.check_export(export)) == []
    assert bool(list(independent.check_export(changed))) == refused


async def imported(path: Path, export: bytes) -> bool:
    """Tell whether an import is refused."""
    rest = [export]

    async def read(_size: int) -> bytes:
        return rest.pop() if rest else b""

    try:
        await import_log(path, read)
    except ImportRejectedError:
        return True
    return False
