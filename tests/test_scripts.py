"""The examples in scripts/ run as they stand."""

import asyncio
import runpy
from pathlib import Path

import pytest

from dramaturg.events import vocabulary
from dramaturg.events.log import StreamAppend
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.pipelines import ItemSubmitted, StageDone

SCRIPTS = Path(__file__).parent.parent / "scripts"


def test_time_per_stage_adds_up_to_a_position(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "events.db"
    asyncio.run(write_two_items(file))
    main = runpy.run_path(str(SCRIPTS / "time_per_stage.py"))["main"]

    main(str(file))
    assert capsys.readouterr().out.split() == [
        "read",
        "2",
        "done",
        "2.00",
        "ms",
        "each",
    ]
    main(str(file), "2")
    assert capsys.readouterr().out.split() == [
        "read",
        "1",
        "done",
        "2.00",
        "ms",
        "each",
    ]


async def write_two_items(file: Path) -> None:
    async with SqliteLog(file, vocabulary()) as log:
        events = (
            ItemSubmitted("letters", starts="read"),
            StageDone("read", took_us=2000),
        )
        for stream in ("item/letters/a", "item/letters/b"):
            await log.append([StreamAppend(stream, 0, events)])
