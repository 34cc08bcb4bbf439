"""`dramaturg actors` beside a running process, after its death, and after its end."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from dramaturg.events import vocabulary
from dramaturg.events.actors import ActorsCounted, SystemStarted
from dramaturg.events.log import StreamAppend
from dramaturg.events.log.sqlite import SqliteLog

from .conftest import Run

Captured = pytest.CaptureFixture[str]

PROCESS = """
import asyncio, logging, sys, structlog
from dramaturg.actors.chronicle import ChronicleLimits, chronicled
from dramaturg.actors.runtime import *
from dramaturg.events import vocabulary
from dramaturg.events.log.sqlite import SqliteLog

structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

class Fail(Message):
    pass

class Worker(Actor):
    @handles
    def fail(self, message: Fail) -> None:
        raise ValueError("out of paper")

async def main():
    async with (
        SqliteLog(sys.argv[1], vocabulary()) as log,
        ActorSystem(log=log, name="plant") as system,
        chronicled(system, ChronicleLimits(first_s=0.01, interval_s=0.01)),
    ):
        ref = await system.spawn(ChildSpec(id="worker", factory=Worker))
        ref.tell(Fail())
        tags = []
        while "actor.restarted" not in tags or tags[-1] != "system.counted":
            await asyncio.sleep(0.01)
            events = await log.read_stream("system/plant")
            tags = [recorded.event.tag for recorded in events]
        print("up", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def process(tmp_path: Path) -> Generator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(tmp_path / "events.db")],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


def test_it_shows_a_running_process_and_what_became_of_it(
    process: "subprocess.Popen[str]",
    dramaturg: Run,
    tmp_path: Path,
    capsys: Captured,
) -> None:
    assert dramaturg("actors", "--data", tmp_path) == 0
    shown = capsys.readouterr().out
    assert f"system plant runs as process {process.pid}" in shown
    assert "last census at" in shown
    assert "ValueError: out of paper" in shown

    process.kill()
    process.wait()

    assert dramaturg("actors", "--data", tmp_path) == 0
    assert f"was killed as process {process.pid}" in capsys.readouterr().out
    assert dramaturg("actors", "--data", tmp_path, "--json") == 0
    worker = rows(capsys)["/worker"]
    assert (worker["kind"], worker["restarts"], worker["failures"]) == ("Worker", 1, 1)

    assert dramaturg("actors", "--data", tmp_path, "--at", "1", "--json") == 0
    assert rows(capsys) == {}
    assert dramaturg("actors", "--data", tmp_path, "--at", "0") == 0
    assert "no system has written of its actors" in capsys.readouterr().out


def test_an_ingestion_leaves_its_actors_in_the_log(
    dramaturg: Run, docs: Path, tmp_path: Path, capsys: Captured
) -> None:
    data = tmp_path / "var"
    assert dramaturg("ingest", docs, "--data", data) == 0
    capsys.readouterr()

    assert dramaturg("actors", "--data", data, "--json") == 0
    found = rows(capsys)
    assert found["/pipelines/documents/extract"]["handled"] == 3
    assert found["/breakers/graph-db"]["kind"] == "BreakerActor"
    assert {each["system"] for each in found.values()} == {"documents"}

    assert dramaturg("actors", "--data", data) == 0
    assert "system documents has stopped" in capsys.readouterr().out


@pytest.mark.asyncio
async def test_what_is_not_shown_is_counted(
    dramaturg: Run, tmp_path: Path, capsys: Captured
) -> None:
    async with SqliteLog(tmp_path / "events.db", vocabulary()) as log:
        events = (SystemStarted(1, os.getpid()), ActorsCounted(2, (), (), 7, 9))
        await log.append([StreamAppend("system/plant", 0, events)])

    assert await asyncio.to_thread(dramaturg, "actors", "--data", tmp_path) == 0
    shown = capsys.readouterr().out
    assert "at least 7 more actors, 9 more failures and restarts" in shown


def rows(capsys: Captured) -> dict[str, Any]:
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    return {row["path"]: row for row in told}
