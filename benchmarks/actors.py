"""Actors beside asyncio.Queue and a task, pykka, thespian and xoscar, in one run.

    python -m benchmarks.actors [--quick] [--loop asyncio|uvloop]

prints one JSON line. The sides take turns, round by round, and medians are reported:
nanoseconds of CPU of the whole process for one tell, ask, hop or spawn, and wall time
beside it where a side has threads. `times` is how often as much the side needs as we
do; `awaits` is our figure in bare awaits of a coroutine that does nothing. Packages
that are not installed are named under `absent` (dependency group `bench`).
"""

import argparse
import asyncio
import gc
import json
import logging
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import structlog
import uvloop
from benchmarks.actor_figures import figures
from benchmarks.actor_sides import (
    BURST,
    SPREAD,
    Absent,
    Ours,
    Plain,
    PykkaSide,
    Side,
    ThespianSide,
    XoscarSide,
)

ROUNDS = 7
COUNTS = {
    "tell": 20_000,
    "tell_pairs": 20_000,
    "tell_sparse": 20_000,
    "ask": 10_000,
    "ask_at_once": 10_000,
    "hop": 10_000,
    "spawn": 1_000,
}
SIDES: tuple[type[Side], ...] = (Ours, Plain, XoscarSide, ThespianSide, PykkaSide)
AWAITS = 50_000

Times = dict[tuple[str, str], list[tuple[float, float]]]
"""CPU and wall nanoseconds by work and side, a pair a round."""


async def nothing() -> None:
    """Do nothing."""


async def bare_await_ns() -> float:
    """Return what an await costs that does nothing."""
    start = time.process_time()
    for _ in range(AWAITS):
        await nothing()
    return (time.process_time() - start) / AWAITS * 1e9


async def measured(side: Side, work: str, count: int) -> tuple[float, float]:
    """Return CPU and wall nanoseconds of one of `count`."""
    count = max(count // side.share, SPREAD if work == "tell_sparse" else BURST)
    gc.collect()
    cpu, clock = time.process_time(), time.perf_counter()
    await getattr(side, work)(count)
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    if work == "spawn":
        await side.clear()
    return cpu / count * 1e9, clock / count * 1e9


async def compared(*, quick: bool) -> dict[str, Any]:
    """Have the sides take turns."""
    sides: list[Side] = []
    absent: list[str] = []
    for kind in SIDES:
        try:
            sides.append(kind())
        except Absent as error:
            absent.append(str(error))
            print(f"left out, not installed: {error}", file=sys.stderr)
    times: Times = {}
    bare: list[float] = []
    for side in sides:
        await side.open()
    gc.freeze()  # what others have imported is not to be collected at our expense
    for number in range(2 if quick else ROUNDS + 1):
        bare.append(await bare_await_ns())
        for work, count in COUNTS.items():
            for side in sides:
                if work in side.works:
                    cost = await measured(side, work, count // (10 if quick else 1))
                    if number:  # the first round warms up
                        times.setdefault((work, side.name), []).append(cost)
    gc.unfreeze()
    for side in sides:
        await side.close()
    return table(times, statistics.median(bare)) | {"absent": absent}


def table(times: Times, bare_ns: float) -> dict[str, Any]:
    """Return the medians, work by work."""
    result: dict[str, Any] = {"bare_await_ns": round(bare_ns)}
    for work in COUNTS:
        row = result[work] = {}
        ours = statistics.median(cpu for cpu, _ in times[work, Ours.name])
        for (each, side), pairs in times.items():
            if each != work:
                continue
            cpu = statistics.median(cpu for cpu, _ in pairs)
            wall = statistics.median(wall for _, wall in pairs)
            row[side] = {"cpu_ns": round(cpu), "wall_ns": round(wall)}
            if side != Ours.name:
                row[side]["times"] = round(cpu / ours, 2)
        row[Ours.name]["awaits"] = round(ours / bare_ns, 1)
    return result


async def everything(*, quick: bool) -> dict[str, Any]:
    """Measure on the running loop."""
    result = await compared(quick=quick)
    with tempfile.TemporaryDirectory() as folder:
        return result | await figures(Path(folder), quick=quick)


def main() -> None:
    """Measure and print."""
    loops = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    parser = argparse.ArgumentParser(description="Measure actors.")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--loop", choices=loops, help="this loop only")
    options = parser.parse_args()
    errors = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=errors)  # a line per crash would be measured
    result: dict[str, Any] = {
        "benchmark": "actors",
        "python": ".".join(map(str, sys.version_info[:3])),
    }
    for name in [options.loop] if options.loop else loops:
        with asyncio.Runner(loop_factory=loops[name]) as runner:
            result[name] = runner.run(everything(quick=options.quick))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
