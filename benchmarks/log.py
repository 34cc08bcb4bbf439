"""How fast the log appends durably and replays, against floors measured beside it.

    python -m benchmarks.log [--quick]

prints one JSON line. Appenders are tasks of one loop that each append an event to a
stream of their own and wait until it is durable. The floors, in the same kind of file
with the same fsync per commit: `raw`, plain sqlite3 with a commit per append; `bare`, a
writer thread that commits whatever is queued into the log's own tables and compares
versions, but knows no header, digest, key, limit or failure; `bare_table`, the same
into a single table, which is no event store but shows what the disk can do. The
variants take turns, round by round, and medians are reported.
"""

import argparse
import asyncio
import json
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path

import msgspec
from benchmarks.bare_log import BareWriter, Insert, one_table, same_tables

from dramaturg.events import Event, Registry
from dramaturg.events.log import Context, StreamAppend
from dramaturg.events.log.reader import LogReader
from dramaturg.events.log.schema import connect_writer
from dramaturg.events.log.sqlite import SqliteLog

APPENDERS = {1: 400, 10: 2_000, 100: 20_000, 1000: 20_000}
"""Concurrent appenders, and how many events all of them append in a round."""
REPLAYED = 100_000
ROUNDS = 5


class Finished(Event, tag="bench.finished"):
    """An event of ordinary size."""

    stage: str
    started_us: int
    result: str


EVENT = Finished("extract-entities", 1_763_791_000_000_000, "x" * 80)
REGISTRY = Registry([Finished])

Append = Callable[[str, int], Awaitable[object]]
"""Appends one event to a stream that stands at a version."""

Variant = Callable[[Path, int, int], Coroutine[None, None, float]]
"""Returns events per second, given a folder, appenders and events."""


async def drive(append: Append, appenders: int, events: int) -> float:
    """Return the events per second of so many concurrent appenders."""

    async def appender(name: str) -> None:
        for version in range(events // appenders):
            await append(name, version)

    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(appenders):
            group.create_task(appender(f"item/bench/{number:06}"))
    return events / (time.perf_counter() - started)


async def ours(folder: Path, appenders: int, events: int) -> float:
    """Measure `SqliteLog.append`."""
    async with SqliteLog(folder / "log.db", REGISTRY, node="bench") as log:
        context = Context(1_763_791_000_000_000, "bench", corr="c-1")
        return await drive(
            lambda name, version: log.append(
                [StreamAppend(name, version, (EVENT,))],
                context,
            ),
            appenders,
            events,
        )


async def bare(folder: Path, appenders: int, events: int) -> float:
    """Measure a bare group-commit writer of the log's own tables."""
    return await _bare(folder, same_tables(), appenders, events)


async def bare_table(folder: Path, appenders: int, events: int) -> float:
    """Measure a bare group-commit writer of a single table."""
    return await _bare(folder, one_table(), appenders, events)


async def _bare(folder: Path, insert: Insert, appenders: int, events: int) -> float:
    writer = BareWriter(folder, insert, EVENT)
    try:
        return await drive(writer.append, appenders, events)
    finally:
        writer.close()


async def raw(folder: Path, appenders: int, events: int) -> float:
    """Measure a commit per append; more appenders cannot make it faster."""
    events = min(events, APPENDERS[1])
    db = connect_writer(folder / "raw.db")
    db.execute(
        "CREATE TABLE raw("
        "position INTEGER PRIMARY KEY, stream TEXT, version INTEGER, state TEXT)",
    )
    started = time.perf_counter()
    for number in range(events):
        row = (f"item/bench/{number % appenders}", number, msgspec.json.encode(EVENT))
        db.execute("INSERT INTO raw(stream, version, state) VALUES (?, ?, ?)", row)
    taken = time.perf_counter() - started
    db.close()
    return events / taken


async def replay(folder: Path, events: int) -> dict[str, float]:
    """Measure reading all events back, decoded, against reading their rows alone."""
    path = folder / "replay.db"
    async with SqliteLog(path, REGISTRY) as log:
        for start in range(0, events, 1000):
            stream = StreamAppend(f"item/{start}", 0, (EVENT,) * 1000)
            await log.append([stream])
    with LogReader(path, REGISTRY) as reader:
        started = time.perf_counter()
        position = 0
        while page := reader.read(position):
            position = page[-1].position
        replayed = events / (time.perf_counter() - started)
    db = sqlite3.connect(path)
    started = time.perf_counter()
    rows = db.execute("SELECT position, stream, version, tag, state FROM events")
    while rows.fetchmany(1000):
        pass
    floor = events / (time.perf_counter() - started)
    db.close()
    return {
        "events_per_s": round(replayed),
        "rows_per_s": round(floor),
        "ratio": round(replayed / floor, 3),
    }


def measure(variant: Variant, appenders: int, events: int) -> float:
    """Run a variant in a folder and a loop of its own."""
    with tempfile.TemporaryDirectory(prefix="dramaturg-bench-") as folder:
        return asyncio.run(variant(Path(folder), appenders, events))


def appends(appenders: int, events: int, rounds: int) -> dict[str, float]:
    """Measure all variants in turns; return medians and ratios."""
    variants: dict[str, Variant] = {
        "ours": ours,
        "bare": bare,
        "bare_table": bare_table,
        "raw": raw,
    }
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, variant in variants.items():
            taken[name].append(measure(variant, appenders, events))
    median = {name: statistics.median(rates) for name, rates in taken.items()}
    return {
        "events_per_s": round(median["ours"]),
        "bare_per_s": round(median["bare"]),
        "bare_table_per_s": round(median["bare_table"]),
        "raw_per_s": round(median["raw"]),
        "of_bare": round(median["ours"] / median["bare"], 3),
        "of_bare_table": round(median["ours"] / median["bare_table"], 3),
        "times_raw": round(median["ours"] / median["raw"], 2),
    }


def main() -> None:
    """Measure everything and print one line."""
    parser = argparse.ArgumentParser(description="Measure the log.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    quick = parser.parse_args().quick
    part, rounds = (10, 3) if quick else (1, ROUNDS)
    report = {
        "benchmark": "log",
        "append": {
            str(appenders): appends(appenders, max(events // part, appenders), rounds)
            for appenders, events in APPENDERS.items()
        },
        "replay": measure_replay(REPLAYED // part),
    }
    print(json.dumps(report))


def measure_replay(events: int) -> dict[str, float]:
    """Measure the replay in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="dramaturg-bench-") as folder:
        return asyncio.run(replay(Path(folder), events))


if __name__ == "__main__":
    main()
