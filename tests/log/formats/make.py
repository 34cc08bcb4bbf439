"""Makes one log of each kind in the format that is written today.

    python tests/log/formats/make.py FOLDER

A folder of files stands here for every format there ever was, made by the code of its
time. They are never made again: that they open, fold and verify today is the promise.
When the format changes, files of the new one are added, before anything is released.
"""

import asyncio
import shutil
import sys
from pathlib import Path

from eventsourcing.persistence import StoredEvent, Tracking

from dramaturg.applications.documents.assembly import open_documents
from dramaturg.applications.documents.corpus import from_paths
from dramaturg.applications.documents.settings import DocumentSettings
from dramaturg.events import Event, Registry, vocabulary
from dramaturg.events.log import Context, IdempotencyKey, Snapshot, StreamAppend
from dramaturg.events.log.archive.archiving import archive_log
from dramaturg.events.log.recorders import LogDatastore, LogProcessRecorder
from dramaturg.events.log.sqlite import SqliteLog

AWKWARD = 'a/"\\\b\f\n\r\t\x01\x1f\x7f/é\u2028\U0001f3ad,"data":{}'


class Weighed(Event, tag="test.weighed", version=1):
    """What the first version of the class said; today's stands in test_formats.py."""

    pounds: int


class WeighedInKilograms(Event, tag="test.weighed", version=2):
    """The second."""

    kilograms: float


class Forgotten(Event, tag="test.forgotten", version=4):
    """Nobody registers it any more."""

    anything: dict[str, int]


class Done(Event, tag="test.done", closes=True):
    """It has ended."""


async def plain(path: Path) -> None:
    """Streams with awkward names, keys, snapshots, old versions and unknown tags."""
    context = Context(5, AWKWARD, AWKWARD, AWKWARD, (AWKWARD, 7))
    now = iter(range(1_000, 10**6, 10))
    registry = Registry([Weighed, Forgotten, Done])
    async with SqliteLog(path, registry, node="n", now_us=lambda: next(now)) as log:
        await log.append([StreamAppend(AWKWARD, 0, (Weighed(3), Weighed(4)))], context)
        keys = [
            IdempotencyKey("scales", "k-1", "scale/1"),
            IdempotencyKey("scales", "k-2", "scale/2", 10**15),
        ]
        both = [
            StreamAppend("scale/1", 0, (Weighed(10), Weighed(20))),
            StreamAppend("scale/2", 0, (Weighed(7), Forgotten({"x": 1}))),
        ]
        await log.append(both, context, keys=keys)
        log.save_snapshot(Snapshot("scale/1", 2, 4, 1, b"30"))
        await log.append([StreamAppend("scale/1", 2, (Weighed(2),))])
    registry = Registry([WeighedInKilograms, Forgotten, Done])
    async with SqliteLog(path, registry, node="m", now_us=lambda: next(now)) as log:
        new = WeighedInKilograms(1.5), Done()
        await log.append([StreamAppend("scale/1", 3, new)])
        await log.append([StreamAppend("lost/1", 0, (Forgotten({"y": 2}),))])


async def documents(path: Path, work: Path) -> None:
    """Write the log of a document pipeline: done items, a dead letter, a breaker."""
    docs = work / "docs"
    await asyncio.to_thread(_write_documents, docs)
    async with (
        SqliteLog(path, vocabulary()) as log,
        open_documents(work, DocumentSettings(), log=log) as job,
    ):
        await job.ingest(await asyncio.to_thread(from_paths, (docs,)))


def _write_documents(docs: Path) -> None:
    docs.mkdir(parents=True)
    (docs / "one.txt").write_text("msgspec and anyio; write to ann@example.org\n")
    (docs / "two.md").write_text("# Two\n\nUses `structlog`.\n")
    (docs / "empty.txt").touch()


async def archived(path: Path, whole: Path) -> None:
    """Write the log of a document pipeline whose closed streams are in a segment."""
    await asyncio.to_thread(shutil.copyfile, whole, path)
    async with SqliteLog(path, vocabulary()) as log:
        await archive_log(log, 0)


def recorded(path: Path) -> None:
    """Write what the library's recorders write: opaque states, versions from 0."""
    with LogDatastore(path) as datastore:
        recorder = LogProcessRecorder(datastore)
        states = [StoredEvent("a/1", n, "made.up", bytes([n, 255])) for n in range(4)]
        recorder.insert_events(states, tracking=Tracking("other", 21))


if __name__ == "__main__":
    FOLDER = Path(sys.argv[1])
    asyncio.run(plain(FOLDER / "plain.db"))
    asyncio.run(documents(FOLDER / "documents.db", FOLDER / "work"))
    recorded(FOLDER / "recorded.db")
    asyncio.run(archived(FOLDER / "archived.db", FOLDER / "documents.db"))
