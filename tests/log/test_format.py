"""docs/format.md says what stands in the file: another program could go by it."""

import asyncio
import json
import re
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from eventsourcing.persistence import StoredEvent
from hypothesis import given, settings
from hypothesis import strategies as st

from dramaturg.events import Event
from dramaturg.events.log import Context, StreamAppend
from dramaturg.events.log.archive.archiving import archive_log
from dramaturg.events.log.artifacts import Artifact
from dramaturg.events.log.digest import chained
from dramaturg.events.log.document import join
from dramaturg.events.log.recorders import LogApplicationRecorder, LogDatastore
from dramaturg.events.log.schema import APPLICATION_ID
from dramaturg.events.log.seal import merkle_root
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.log.tables import FORMAT
from dramaturg.events.log.verify import verify

from .forged import tamper
from .vocabulary import REGISTRY, Counted, Ended, Mixed, Noted, Started

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text()

AWKWARD = 'a/"\\\b\f\n\r\t\x01\x1f\x7f/é\u2028\U0001f3ad,"data":{}'


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def recipe() -> Callable[[Path], Iterable[int]]:
    (code,) = blocks("python")
    names: dict[str, Callable[[Path], Iterable[int]]] = {}
    exec(code, names)  # noqa: S102 - what the page tells its readers to run
    return names["check"]


async def write(path: Path) -> None:
    context = Context(5, AWKWARD, AWKWARD, AWKWARD, (AWKWARD, 7))
    async with SqliteLog(path, REGISTRY, node="n") as log:
        events: list[Event] = [Started(AWKWARD), Noted({AWKWARD: [1.5, None]})]
        await log.append([StreamAppend(AWKWARD, 0, tuple(events))], context)
        broken = Mixed(raw=msgspec.Raw(b'{"a":\n1}'))
        await log.append([StreamAppend("b/1", 0, (broken, Ended()))])
        await log.append([StreamAppend(AWKWARD, 2, (Counted(2),))])


def test_the_tables_are_those_of_a_new_file(tmp_path: Path) -> None:
    LogDatastore(tmp_path / "log.sqlite").close()
    with closing(sqlite3.connect(tmp_path / "log.sqlite")) as db:
        query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
        found = [" ".join(sql.split()) for (sql,) in db.execute(query)]
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (encoding,) = db.execute("PRAGMA encoding").fetchone()
        (written,) = db.execute("SELECT format FROM meta").fetchone()

    (sql,) = blocks("sql")
    said = [" ".join(statement.split()) for statement in sql.split(";")]
    assert [statement for statement in said if statement] == found
    assert f"`PRAGMA application_id` is {application} " in PAGE
    assert application == APPLICATION_ID
    assert encoding == "UTF-8"
    assert f"# The file format, version {written}\n" in PAGE
    assert written == FORMAT


@pytest.mark.asyncio
async def test_the_recipe_checks_a_log_and_finds_a_change(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    await write(path)

    def check() -> None:
        rule = recipe()
        assert list(rule(path)) == []
        assert verify(path, REGISTRY).ok
        tamper(path, "UPDATE events SET tag = 'x' WHERE position = 2")
        assert list(rule(path)) == [2]

    def check_archived() -> None:
        with closing(sqlite3.connect(path)) as db:
            (left,) = db.execute("SELECT count(*) FROM events WHERE stream = 'b/1'")
        assert left == (0,)
        check()

    async with SqliteLog(path, REGISTRY) as log:
        await archive_log(log, 0)
    await asyncio.to_thread(check_archived)


@settings(deadline=None)
@given(stream=st.text(), tag=st.text(), version=st.integers(1, 2**53))
def test_a_place_is_written_as_the_page_says(
    stream: str,
    tag: str,
    version: int,
) -> None:
    place = json.dumps(
        [7, stream, version, tag],
        ensure_ascii=False,
        separators=(",", ":"),
    ).encode("utf-8")
    data, header = b'{"by":2}', b'{"v":1}'
    parts = bytes(32) + sha256(data).digest() + place + header

    found = chained(bytes(32), 7, stream, version, tag, header, data)

    assert found == sha256(parts).digest()


def test_the_example_of_a_document_is_one() -> None:
    example = blocks("json")[0].strip().encode()
    named = re.findall(r"In the\nexample `(.*?)` and `(.*?)`", PAGE)
    header, data = (text.encode() for text in named[0])

    assert join(header, data) == example
    section = PAGE.split("## The document")[1].split("\n## ")[0]
    members = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert set(json.loads(example)) <= set(members)


def test_a_recorders_file_differs_as_the_page_says(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    with LogDatastore(path) as datastore:
        recorder = LogApplicationRecorder(datastore)
        recorder.insert_events([StoredEvent("a", 0, "t", b"\xff")])

    with closing(sqlite3.connect(path)) as db:
        query = "SELECT typeof(state), version, digest FROM events"
        kind, version, digest = db.execute(query).fetchone()
    assert (kind, version) == ("blob", 0)
    assert digest == chained(bytes(32), 1, "a", 0, "t", b"", b"\xff")


@pytest.mark.asyncio
async def test_a_living_log_is_sealed_and_verified(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    await write(path)
    async with SqliteLog(path, REGISTRY) as log:
        await log.append([StreamAppend("c/1", 0, (Counted(1),))])
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT position, state FROM events WHERE stream = 'log/seals'"
        seals = [(at, json.loads(state)["data"]) for at, state in db.execute(query)]
        (digests,) = zip(*db.execute("SELECT digest FROM events"), strict=True)
    report = await asyncio.to_thread(verify, path, REGISTRY)

    assert [(at, seal["first"], seal["last"]) for at, seal in seals] == [
        (6, 1, 5),
        (8, 6, 7),
    ]
    root = merkle_root(digests[5:7]).hex()
    assert seals[1][1] == {"first": 6, "last": 7, "root": root}
    assert report.ok
    assert report.seals == 2


def test_an_artifact_is_referred_to_as_the_page_says() -> None:
    assert set(json.loads(msgspec.json.encode(Artifact("d", 1)))) == {
        "digest",
        "size_bytes",
    }
    assert '{"digest":"...","size_bytes":...}' in PAGE
