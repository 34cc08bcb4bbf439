"""Logs that earlier versions wrote open, are read, folded, verified and continued."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from anyio.to_thread import run_sync

from dramaturg import ActorSystem, Ask, ChildSpec, Decision, EventSourced
from dramaturg.actors.runtime import UnknownTagError
from dramaturg.events import Event, Fold, Registry, UnknownEvent, vocabulary
from dramaturg.events.log import KeyTakenError
from dramaturg.events.log.api import IdempotencyKey, StreamAppend
from dramaturg.events.log.reader import LogReader
from dramaturg.events.log.recorders import LogDatastore, LogProcessRecorder
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.log.tables import FORMAT
from dramaturg.events.log.verify import verify
from dramaturg.projections import Timeline, standard_folds

from .formats.make import AWKWARD

FORMATS = sorted((Path(__file__).parent / "formats").glob("v*"))
GRAMS = 453.59237


class Weighed(Event, tag="test.weighed", version=3):
    """Today's class: the files hold its first version and its second."""

    grams: int


class Done(Event, tag="test.done", closes=True):
    pass


def in_kilograms(old: dict[str, Any]) -> dict[str, Any]:
    return {"kilograms": old["pounds"] * GRAMS / 1000}


def in_grams(old: dict[str, Any]) -> dict[str, Any]:
    return {"grams": round(old["kilograms"] * 1000)}


UPCASTERS = {("test.weighed", 1): in_kilograms, ("test.weighed", 2): in_grams}
REGISTRY = Registry([Weighed, Done], UPCASTERS)


@pytest.fixture(params=FORMATS, ids=lambda path: path.name)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    shutil.copytree(request.param, tmp_path / "made")
    return tmp_path / "made"


def format_of(path: Path) -> int:
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as db:
        return int(db.execute("SELECT format FROM meta").fetchone()[0])


def test_files_of_every_format_are_kept() -> None:
    assert [path.name for path in FORMATS] == [f"v{n}" for n in range(1, FORMAT + 1)]


@pytest.mark.parametrize("name", ["plain.db", "documents.db", "recorded.db"])
def test_what_was_written_is_as_it_was_written(folder: Path, name: str) -> None:
    folds = standard_folds() if name == "documents.db" else ()

    report = verify(folder / name, vocabulary(), folds=folds)
    format_now = format_of(folder / name)

    assert report.damages == ()
    assert report.events >= 4
    kept = [made / name for made in FORMATS if format_of(made / name) == format_now]
    assert (
        kept[0].read_bytes() == (folder / name).read_bytes()
    )  # reading changes nothing


def test_old_events_are_read_as_today_s(folder: Path) -> None:
    with LogReader(folder / "plain.db", REGISTRY) as reader:
        scale = [r.event for r in reader.read_stream("scale/1")]
        other = [r.event for r in reader.read_stream("scale/2")]
        awkward = [r.event for r in reader.read_stream(AWKWARD)]
        header = reader.read_stream(AWKWARD)[0].header
        key = reader.key_stream("scales", "k-1", 0)

    pounds = [Weighed(round(n * GRAMS)) for n in (10, 20, 2)]
    assert scale == [*pounds, Weighed(1500), Done()]
    assert other == [Weighed(3175), UnknownEvent("test.forgotten", 4, FORGOTTEN)]
    assert awkward == [Weighed(1361), Weighed(1814)]
    assert (header.by, header.cause, header.node) == (AWKWARD, (AWKWARD, 7), "n")
    assert key == "scale/1"


FORGOTTEN = b'{"anything":{"x":1}}'


@pytest.mark.asyncio
async def test_an_old_log_is_continued_in_today_s_format(folder: Path) -> None:
    path = folder / "plain.db"
    async with SqliteLog(path, REGISTRY) as log:
        before = log.position
        snapshot = await log.snapshot("scale/1", 1)
        await log.append([StreamAppend(AWKWARD, 2, (Weighed(5),))])
        with pytest.raises(KeyTakenError):
            await log.append([], keys=[IdempotencyKey("scales", "k-1", "x")])
        await log.append([], keys=[IdempotencyKey("scales", "k-3", "x")])
        after = [r.event for r in await log.read(before, before + 1)]

    report = await run_sync(verify, path, REGISTRY)
    assert snapshot is not None
    assert (snapshot.version, snapshot.state) == (2, b"30")
    assert after == [Weighed(5)]
    assert report.damages == ()
    assert report.seals >= 1
    assert await run_sync(format_of, path) == FORMAT


def test_what_the_actors_did_is_folded_as_ever(folder: Path) -> None:
    with LogReader(folder / "documents.db", vocabulary()) as reader:
        states = Timeline(reader, standard_folds()).states(closed=True)

    found = sorted((name.split("/")[0], phase(s.state)) for name, s in states.items())
    if ("system", "") in found:  # which came with format 3
        found.remove(("system", ""))
    assert found == [
        ("breaker", "closed"),
        ("dead-letter", "parked"),
        ("item", "dead_lettered"),
        ("item", "done"),
        ("item", "done"),
        ("pipeline", ""),
        ("transaction", "committed"),
        ("transaction", "committed"),
    ]


ARCHIVED = {"v2": 35, "v3": 34}


def phase(state: Any) -> str:
    return str(getattr(state, "phase", getattr(state, "place", "")))


@pytest.mark.parametrize("made", FORMATS[1:], ids=lambda path: path.name)
def test_what_was_archived_is_read_and_verified(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, folder := tmp_path / "made")
    report = verify(folder / "archived.db", vocabulary(), folds=standard_folds())
    with LogReader(folder / "archived.db", vocabulary()) as reader:
        states = Timeline(reader, standard_folds()).states(closed=True)
        segments = reader.stored.segments()

    assert report.damages == ()
    assert [segment.events for segment in segments] == [ARCHIVED[made.name]]
    places = [phase(state.state) for state in states.values()]
    assert (places.count("done"), places.count("parked")) == (2, 1)


def test_what_a_recorder_wrote_is_recorded_still(folder: Path) -> None:
    with LogDatastore(folder / "recorded.db") as datastore:
        recorder = LogProcessRecorder(datastore)
        states = [event.state for event in recorder.select_events("a/1")]
        tracked = recorder.max_tracking_id("other")

    assert states == [bytes([n, 255]) for n in range(4)]
    assert tracked == 21


# An unknown tag in an actor's own stream


class Weigh(Ask[int]):
    grams: int


class Scale(EventSourced[int]):
    fold = Fold(
        "scale",
        int,
        initial=lambda _: 0,
        evolve=lambda n, e: n + getattr(e, "grams", 0),
    )

    def __init__(self, stream: str) -> None:
        super().__init__()
        self.stream = stream

    def decide(self, state: int, command: Any, ctx: Any) -> Decision:  # noqa: ARG002 - the method's names
        return Decision((Weighed(command.grams),), reply=state + command.grams)


@pytest.mark.asyncio
async def test_an_actor_lives_on_old_events_but_not_on_unknown_ones(
    folder: Path,
) -> None:
    async with (
        SqliteLog(folder / "plain.db", REGISTRY) as log,
        ActorSystem(log=log) as system,
    ):
        scale = await system.spawn(
            ChildSpec(id="awkward", factory=lambda: Scale(AWKWARD))
        )
        weight = await scale.ask(Weigh(100))
        with pytest.raises(UnknownTagError, match=r"test\.forgotten") as caught:
            await system.spawn(ChildSpec(id="2", factory=lambda: Scale("scale/2")))

    assert weight == 1361 + 1814 + 100
    assert "position 6" in str(caught.value)
    assert "'scale/2'" in str(caught.value)


def test_an_upcaster_that_is_missing_is_named(folder: Path) -> None:
    bare = Registry([Weighed, Done])
    with (
        LogReader(folder / "plain.db", bare) as reader,
        pytest.raises(Exception, match=r"position 1: .* register an upcaster"),
    ):
        reader.read()


def events(path: Path) -> Iterator[tuple[int, str, bytes]]:
    with LogReader(path, Registry([])) as reader:
        for recorded in reader.read():
            assert isinstance(recorded.event, UnknownEvent)
            yield recorded.position, recorded.event.tag, recorded.event.data


def test_without_any_class_all_is_shown_as_it_stands(folder: Path) -> None:
    found = list(events(folder / "plain.db"))

    assert found[0] == (1, "test.weighed", b'{"pounds":3}')
    assert found[5] == (6, "test.forgotten", FORGOTTEN)
