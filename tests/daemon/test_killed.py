"""SIGKILL at random moments: every document ends once, and nothing is made up.

The command runs as a process, with a graph database that fails and hangs on purpose.
More documents come in between two kills, so that there is always work to interrupt.
"""

import asyncio
import json
import random
import signal
import sqlite3
import subprocess
import sys
from asyncio import to_thread
from collections import Counter
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from dramaturg.applications.documents.assembly import open_documents
from dramaturg.applications.documents.questions import open_for_questions
from dramaturg.applications.documents.settings import BREAKER, Layout
from dramaturg.events import vocabulary
from dramaturg.events.log.reader import LogReader
from dramaturg.events.log.verify import verify
from dramaturg.projections import (
    OVERVIEW,
    Checkpoints,
    Runner,
    StreamState,
    Timeline,
    standard_folds,
)

from ..forks import Forked, Forks

COMMAND = "dramaturg.daemon.commands.ingest"
KILLS = 20
ENDED = {"done", "dead_lettered"}
DOCUMENTS_A_ROUND = 3


class Told:
    """Reads what a process tells, in a thread, until it is dead."""

    def __init__(self, process: Forked) -> None:
        self._process = process
        self._lines: list[dict[str, Any]] = []
        self._thread = Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        for line in self._process.stdout:
            if line.endswith(b"\n"):  # the last one may be cut
                self._lines.append(json.loads(line))

    def until_the_end(self, statuses: set[int]) -> list[dict[str, Any]]:
        self._thread.join()
        assert self._process.wait() in statuses
        return self._lines


def write_documents(docs: Path, start: int) -> None:
    for number in range(start, start + DOCUMENTS_A_ROUND):
        text = (
            f"Note {number}: msgspec and anyio are looked after by ann@example.org.\n"
        )
        (docs / f"note-{number}.txt").write_text(text * (number + 1))


@pytest.mark.kill
@pytest.mark.timeout(280)
def test_every_document_ends_exactly_once_however_often_the_process_is_killed(
    tmp_path: Path,
) -> None:
    docs, data = tmp_path / "docs", tmp_path / "var"
    docs.mkdir()
    (docs / "empty.txt").touch()
    (docs / "damaged.pdf").write_bytes(b"%PDF-1.7\nrubbish")
    dice = random.Random(20)
    acknowledged: list[dict[str, Any]] = []
    kills = documents = 0
    words = ("ingest", docs, "--data", data, "--json")

    with Forks(tmp_path, "dramaturg.daemon.cli", "main", COMMAND) as forks:
        while kills < KILLS:
            write_documents(docs, documents)
            documents += DOCUMENTS_A_ROUND
            chaos = ("--chaos", "0.5", "--seed", kills)
            with forks.start(*words, *chaos, stderr=tmp_path / "errors.txt") as process:
                told = Told(process)
                try:
                    process.wait(timeout=dice.uniform(0.0, 0.5))
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
                acknowledged += told.until_the_end({1, -signal.SIGKILL})

    calm = [sys.executable, "-m", "dramaturg.daemon", *map(str, words)]
    ended = subprocess.run(calm, capture_output=True, check=False)
    assert ended.returncode == 1, ended.stderr  # two are no documents
    last = [json.loads(line) for line in ended.stdout.splitlines()]

    *lines, summary = last
    assert sorted(failed["stage"] for failed in summary["failed"]) == [
        "extract",
        "store",
    ]
    check_the_log(data, [*acknowledged, *lines], documents)
    check_graph_and_index(data, {f"file:{path}" for path in docs.glob("*.txt")})
    asyncio.run(check_the_actors(data))


def check_the_log(data: Path, told: list[dict[str, Any]], documents: int) -> None:
    layout = Layout(data)
    assert verify(layout.log, vocabulary()).ok
    with LogReader(layout.log, vocabulary()) as reader:
        for line in told:
            if "end" in line:
                (recorded,) = reader.read(line["position"] - 1, limit=1)
                assert (recorded.stream, recorded.event.tag) == (
                    line["item"],
                    line["end"],
                )
        timeline = Timeline(reader, standard_folds())
        replayed = timeline.states(at=reader.position, closed=True)
        items = [s.state for s in replayed.values() if s.stream.startswith("item/")]
        places = Counter(item.place for item in items)
        assert places == {"done": documents, "dead_lettered": 2}
        assert len({item.key for item in items}) == documents + 2
        transactions = {
            state.state.phase
            for state in replayed.values()
            if state.stream.startswith("transaction/")
        }
        assert transactions <= {"committed", "rolled_back"}
        for stream, state in replayed.items():
            assert timeline.state(stream) == state  # snapshots, heads and all
        with Checkpoints(data / "projections.sqlite") as checkpoints:
            lived = Runner(OVERVIEW, checkpoints).catch_up(reader)
        assert lived == Runner(OVERVIEW).catch_up(reader)


def check_graph_and_index(data: Path, keys: set[str]) -> None:
    done = {key for key in keys if not key.endswith("empty.txt")}
    once = {(key, 1) for key in done}
    layout = Layout(data)
    counted = "SELECT key, count(*) FROM documents GROUP BY key"
    assert set(rows(layout.index, counted)) == once
    assert rows(layout.index, "SELECT count(*) FROM texts") == [(len(done),)]
    in_graph = asyncio.run(
        ask(layout.graph, "MATCH (d:Document) RETURN d.key, count(*)")
    )
    assert set(in_graph) == once


async def check_the_actors(data: Path) -> None:
    """What the actors know after all that is what a replay from position 1 gives."""
    async with open_documents(data) as job:
        entries = {entry.stream: entry for entry in await job.dead_letters()}
        assert not await job.coordinator.active()
        breaker = job.breaker.machine.state
    states = await to_thread(replayed, data)
    assert breaker == states[f"breaker/{BREAKER}"].state
    assert entries == {
        stream: state.state
        for stream, state in states.items()
        if stream.startswith("dead-letter/") and state.open
    }


def replayed(data: Path) -> dict[str, StreamState]:
    with LogReader(Layout(data).log, vocabulary()) as reader:
        timeline = Timeline(reader, standard_folds())
        return timeline.states(at=reader.position, closed=True)


async def ask(graph: Path, cypher: str) -> tuple[tuple[Any, ...], ...]:
    async with open_for_questions(graph) as reader:
        return (await reader.ask_cypher(cypher)).rows


def rows(file: Path, query: str) -> list[tuple[Any, ...]]:
    database = sqlite3.connect(file)
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()
