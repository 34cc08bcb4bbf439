"""A process that is killed in the middle of its work, and what its log then says."""

import asyncio
import random
import signal
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest

from dramaturg.actors.pipelines import FOLD
from dramaturg.events import Erased, Event
from dramaturg.events.log import seal
from dramaturg.events.log.encryption import Keyring
from dramaturg.events.log.encryption.erasing import Erasure, erase_owner
from dramaturg.events.log.reader import LogReader
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.log.verify import verify
from dramaturg.events.pipelines import ItemDone, ItemSubmitted, StageDone, StageStarted
from dramaturg.events.vocabulary import vocabulary

from ..forks import Forks

KILLS = 6


@pytest.fixture
def forks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Forks]:
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    with Forks(tmp_path, "tests.pipelines.killed", "run") as forks:
        yield forks


def run(forks: Forks, *words: object) -> tuple[int, str]:
    """Return how the process ended and what it said."""
    with forks.start(*words) as process:
        said = process.stdout.read().decode()
        assert process.wait() in {0, -signal.SIGKILL}
    return process.wait(), said


def items_in(log: Path) -> dict[str, list[Event]]:
    streams: dict[str, list[Event]] = defaultdict(list)
    with LogReader(log, vocabulary()) as reader:
        for recorded in reader.read():
            assert isinstance(recorded.event, Event)
            streams[recorded.stream].append(recorded.event)
    del streams["pipeline/small"]
    del streams[seal.STREAM]
    return streams


@pytest.mark.kill
@pytest.mark.timeout(180)
def test_a_killed_pipeline_finishes_every_acknowledged_item_once(
    forks: Forks, tmp_path: Path
) -> None:
    log = tmp_path / "log.db"
    chance = random.Random(7)
    acknowledged: set[str] = set()
    for _ in range(KILLS):
        code, items = run(forks, log, chance.randint(1, 15))
        acknowledged |= {*items.split()}
        assert code
    code, items = run(forks, log, 0)
    acknowledged |= {*items.split()}
    assert code == 0

    streams = items_in(log)

    assert {stream.rpartition("/")[2] for stream in streams} == acknowledged
    first = [events[0] for events in streams.values()]
    keys = [event.key for event in first if isinstance(event, ItemSubmitted)]
    assert sorted(keys) == sorted(f"item-{n}" for n in range(20))
    for stream, events in streams.items():
        state = FOLD.initial(stream)
        for event in events:
            state = FOLD.evolve(state, event)
        assert state.place == "done"
        assert isinstance(events[-1], ItemDone)
        done = [event.stage for event in events if isinstance(event, StageDone)]
        assert done == ["read", "parse", "store"]
        assert sum(isinstance(event, ItemDone) for event in events) == 1
        _attempts_are_exact(events)


def _attempts_are_exact(events: list[Event]) -> None:
    """Every attempt was logged before it ran, under the next number."""
    number: dict[str, int] = {}
    for event in events:
        match event:
            case ItemSubmitted(starts=stage) | StageDone(starts=stage) if stage:
                number[stage] = 1
            case StageStarted(stage=stage, attempt=attempt):
                number[stage] = number.get(stage, 0) + 1
                assert attempt == number[stage]
            case _:
                pass


@pytest.mark.kill
@pytest.mark.timeout(180)
def test_work_that_kills_its_process_has_as_many_attempts_as_any(
    forks: Forks, tmp_path: Path
) -> None:
    log = tmp_path / "log.db"
    kills = 0
    while run(forks, log, "poison")[0]:
        kills += 1

    places: dict[str, str] = {}
    for stream, events in items_in(log).items():
        state = FOLD.initial(stream)
        for event in events:
            state = FOLD.evolve(state, event)
        places[state.key] = state.place
        _attempts_are_exact(events)
    assert kills == 3
    assert places.pop("item-3") == "rolled_back"
    assert {*places.values()} <= {"done", "rolled_back"}, "beside it, too"
    assert len(places) == 19


def live(forks: Forks, folder: Path, kill_after: int) -> list[str]:
    """Return whose attempts there were in a life that ends as it is told."""
    code, said = run(forks, folder, kill_after)
    assert code == (-signal.SIGKILL if kill_after else 0)
    found = [line.partition(" ") for line in said.splitlines()]
    assert all(payload.endswith(f"of {owner}") for owner, _, payload in found), found
    return [owner for owner, _, _ in found]


@pytest.mark.kill
@pytest.mark.timeout(180)
def test_the_work_of_the_erased_ends_though_the_process_is_killed_before_and_after(
    tmp_path: Path,
) -> None:
    keyring, log = Keyring(tmp_path / "keys.jsonl"), tmp_path / "log.db"

    async def erase() -> Erasure:
        async with SqliteLog(log, vocabulary(), keyring=keyring) as opened:
            return await erase_owner(
                opened,
                keyring,
                "ann",
                reason="she asked",
                by="test",
                artifacts=tmp_path / "artifacts",
                folder=tmp_path,
            )

    with Forks(tmp_path, "tests.pipelines.erased", "run") as forks:
        assert {*live(forks, tmp_path, 9)} == {"ann", "bob"}
        assert asyncio.run(erase()).ok
        live(forks, tmp_path, 3)
        live(forks, tmp_path, 0)

    with LogReader(log, vocabulary(), keyring) as reader:
        assert reader.open_streams("item/") == []
        rows = [row for row in reader.read(limit=10_000) if "item/" in row.stream]
    places: dict[str, str] = {}
    for stream in {row.stream for row in rows}:
        state = FOLD.initial(stream)
        for row in rows:
            if row.stream == stream and isinstance(row.event, Event | Erased):
                state = FOLD.step(state, row.event)
        places[stream] = state.place
    submitted = [row for row in rows if row.version == 1]
    erased = {row.stream for row in submitted if isinstance(row.event, Erased)}
    his = {row.stream for row in submitted if row.header.owner == "bob"}
    assert {places[stream] for stream in his} == {"done"}
    assert len(his) == 8
    assert erased
    assert {places[stream] for stream in erased} <= {"done", "discarded"}
    hers = {row.stream for row in submitted if row.header.owner == "ann"}
    assert len(hers) == 8, "those that were not submitted before are done now"
    assert {places[stream] for stream in hers - erased} <= {"done"}
    report = verify(log, vocabulary(), folds=[FOLD], keyring=keyring)
    assert report.ok, report.damages
