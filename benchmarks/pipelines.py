"""How many items a second a pipeline takes through six stages that do nothing.

    python -m benchmarks.pipelines [--quick]

prints one JSON line. Every step of an item is durable before the next begins: an item
is submitted, each of its six stages has its result fsynced, and its producer waits for
its end before it submits the next. The floor, on the same disk in the same run: as
many producers that make, for each item, seven durable appends one after the other by
a bare group-commit writer over the log's own tables, and do nothing else. The two take
turns, round by round, and medians are reported.

Beside items a second stands what an item costs in CPU, on the loop and elsewhere (the
writer's thread): other load on the machine and a slow disk disturb it less.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from time import perf_counter, process_time, thread_time
from typing import NamedTuple

from benchmarks.bare_log import BareWriter, same_tables

from dramaturg.actors.pipelines import Pipeline, Stage, Work, start_pipeline
from dramaturg.actors.runtime import ActorSystem
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.pipelines import StageDone
from dramaturg.events.vocabulary import vocabulary

STAGES = 6
ITEMS = {1: 200, 100: 6_000}
"""Producers, and how many items all of them submit in a round."""
ROUNDS = 5
AIM_PER_S = 3_000
"""Items a second with a hundred producers."""

Produce = Callable[[int], Awaitable[object]]


async def nothing(_: Work) -> None:
    """Do nothing."""


class Pace(NamedTuple):
    """How fast items went, and what one cost."""

    items_per_s: float
    loop_us: float
    """CPU time of the loop's thread for an item."""
    elsewhere_us: float
    """CPU time of all other threads for an item."""


async def drive(produce: Produce, producers: int, items: int) -> Pace:
    """Return the pace of so many producers."""

    async def producer(first: int) -> None:
        for number in range(first, items, producers):
            await produce(number)

    started, loop, process = perf_counter(), thread_time(), process_time()
    async with asyncio.TaskGroup() as group:
        for first in range(producers):
            group.create_task(producer(first))
    loop_us = (thread_time() - loop) * 1e6 / items
    all_us = (process_time() - process) * 1e6 / items
    return Pace(items / (perf_counter() - started), loop_us, all_us - loop_us)


async def ours(folder: Path, producers: int, items: int) -> Pace:
    """Measure the pipeline."""
    stages = [Stage(f"stage-{n}", nothing, concurrency=100) for n in range(STAGES)]
    async with (
        SqliteLog(folder / "log.db", vocabulary(), node="bench") as log,
        ActorSystem(log=log) as system,
    ):
        running = await start_pipeline(system, Pipeline("bench", stages))

        async def produce(number: int) -> None:
            submitted = await running.submit({"number": number})
            await running.result(submitted.item)

        return await drive(produce, producers, items)


async def bare(folder: Path, producers: int, items: int) -> Pace:
    """Measure as many durable appends, and nothing else."""
    writer = BareWriter(folder, same_tables(), StageDone(stage="stage-1"))

    async def produce(number: int) -> None:
        for version in range(STAGES + 1):
            await writer.append(f"item/bench/{number:036}", version)

    try:
        return await drive(produce, producers, items)
    finally:
        writer.close()


def measure(rounds: int, share: int) -> dict[str, object]:
    """Return the medians of all rounds."""
    found: dict[str, list[Pace]] = {}
    for _ in range(rounds):
        for producers, items in ITEMS.items():
            for name, variant in (("ours", ours), ("bare", bare)):
                with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
                    pace = asyncio.run(variant(Path(folder), producers, items // share))
                found.setdefault(f"{name}_{producers}", []).append(pace)
    middle = {
        name: Pace(*map(statistics.median, zip(*paces, strict=True)))
        for name, paces in found.items()
    }
    return {
        "benchmark": "pipelines",
        "stages": STAGES,
        "items_per_s": {str(n): round(middle[f"ours_{n}"].items_per_s) for n in ITEMS},
        "floor_items_per_s": {
            str(n): round(middle[f"bare_{n}"].items_per_s) for n in ITEMS
        },
        "ratio": {
            str(n): round(
                middle[f"ours_{n}"].items_per_s / middle[f"bare_{n}"].items_per_s, 3
            )
            for n in ITEMS
        },
        "cpu_us_per_item": {
            name: {
                "loop": round(pace.loop_us),
                "elsewhere": round(pace.elsewhere_us),
            }
            for name, pace in middle.items()
        },
        "aim_items_per_s": {"100": AIM_PER_S},
    }


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    quick = parser.parse_args().quick
    print(json.dumps(measure(1 if quick else ROUNDS, 4 if quick else 1)))


if __name__ == "__main__":
    main()
