"""A pipeline on a log on disk, with real time."""

import asyncio
from pathlib import Path

import anyio
import pytest

from dramaturg.actors.pipelines import Pipeline, Stage, Work, start_pipeline
from dramaturg.actors.retries import RetryPolicy, TransientError
from dramaturg.actors.runtime import ActorSystem
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.vocabulary import vocabulary

SOON = RetryPolicy(base_s=0.001, cap_s=0.001, attempts_max=5)


async def flaky(work: Work) -> int:
    if work.attempt < 3 and work.payload % 5 == 0:
        raise TransientError("not yet")
    return await anyio.to_thread.run_sync(lambda: work.payload * 2)


@pytest.mark.asyncio
async def test_a_hundred_items_at_once_all_end(tmp_path: Path) -> None:
    stages = [
        Stage("read", flaky, concurrency=20, retry=SOON),
        Stage("store", flaky, concurrency=3, retry=SOON),
    ]
    async with (
        SqliteLog(tmp_path / "log.db", vocabulary()) as log,
        ActorSystem(log=log) as system,
    ):
        declared = Pipeline("numbers", stages, in_flight_max=40)
        running = await start_pipeline(system, declared)

        async def produce(number: int) -> str:
            submitted = await running.submit(number, key=str(number % 90))
            return (await running.result(submitted.item)).place

        places = await asyncio.gather(*map(produce, range(100)))
        figures = await running.figures()

    assert set(places) == {"done"}
    assert figures.ended == {"done": 90}
    assert figures.stages["read"].failed == 2 * 18


@pytest.mark.asyncio
async def test_a_second_life_goes_on_with_what_the_first_left(tmp_path: Path) -> None:
    async def hang(_: Work) -> None:
        await anyio.sleep_forever()

    async def life(function: object, *, submits: bool) -> dict[str, int]:
        stage = Stage("read", function)  # type: ignore[arg-type]  # a stage function
        async with (
            SqliteLog(tmp_path / "log.db", vocabulary()) as log,
            ActorSystem(log=log) as system,
        ):
            declared = Pipeline("numbers", [stage], spread_s=0.01)
            running = await start_pipeline(system, declared)
            if submits:
                for number in range(10):
                    await running.submit(number, key=str(number))
                return {}
            await running.wait_idle()
            for number in range(10):
                assert not (await running.submit(number, key=str(number))).is_new
            return (await running.figures()).ended

    await life(hang, submits=True)

    assert await life(flaky, submits=False) == {"done": 10}
