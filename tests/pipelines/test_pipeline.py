"""A pipeline that runs, on a log in memory and a clock that is advanced by hand."""

import pytest

from dramaturg.actors.pipelines.pipeline import Pipeline, Stage
from dramaturg.actors.pipelines.tree import start_pipeline
from dramaturg.actors.pipelines.work import Work
from dramaturg.actors.runtime import ActorSystem, ManualClock
from dramaturg.events.log.memory import MemoryLog
from dramaturg.events.vocabulary import vocabulary


async def double(work: Work) -> int:
    return 2 * int(work.results.get("first", work.payload))


@pytest.mark.asyncio
async def test_an_item_goes_through_its_stages() -> None:
    pipeline = Pipeline("numbers", [Stage("first", double), Stage("second", double)])
    log = MemoryLog(vocabulary())
    async with ActorSystem(log=log, clock=ManualClock()) as system:
        running = await start_pipeline(system, pipeline)
        submitted = await running.submit(3)
        item = await running.result(submitted.item)

    assert item.place == "done"
    assert bytes(item.results["second"]) == b"12"
