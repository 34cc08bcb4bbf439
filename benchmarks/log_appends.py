"""Durable appends by many at once, ours and the floors in turns."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing
from pathlib import Path

import msgspec
from benchmarks.bare_log import BareWriter, Insert, one_table, same_tables

from dramaturg.events import Event, Registry
from dramaturg.events.log import Context, StreamAppend
from dramaturg.events.log.schema import connect_writer
from dramaturg.events.log.sqlite import SqliteLog


class Finished(Event, tag="bench.finished"):
    """An event of ordinary size."""

    stage: str
    started_us: int
    result: str


class Closed(Event, tag="bench.closed", closes=True):
    """The last event of a stream."""


EVENT = Finished("extract-entities", 1_763_791_000_000_000, "x" * 80)
REGISTRY = Registry([Finished, Closed])
CONTEXT = Context(1_763_791_000_000_000, "bench", corr="c-1")

RAW_MAX = 400
"""More events are not committed one by one."""

Append = Callable[[str, int], Awaitable[object]]
"""Appends one event to a stream that stands at a version."""


class Load(msgspec.Struct):
    """So many tasks of one loop, each with its own streams, of which it takes turns."""

    appenders: int
    events: int
    versions: dict[str, int]
    """Where the streams stand; there are a multiple of `appenders`."""


class Rate(msgspec.Struct):
    """How fast a load was."""

    per_s: float
    p50_ms: float
    p99_ms: float
    """How long one append took at most, for 99 of 100."""


Variant = Callable[[Path, Load], Coroutine[None, None, Rate]]
"""Measures a load, given a folder."""


async def drive(append: Append, load: Load) -> Rate:
    """Return how fast a load is appended."""
    names, versions, took_s = list(load.versions), load.versions, list[float]()

    async def appender(first: int) -> None:
        for number in range(first, load.events, load.appenders):
            name = names[number % len(names)]
            version = versions[name]
            began_s = time.perf_counter()
            await append(name, version)
            took_s.append(time.perf_counter() - began_s)
            versions[name] = version + 1

    began_s = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for first in range(load.appenders):
            group.create_task(appender(first))
    all_s = time.perf_counter() - began_s
    took_s.sort()
    p50_s, p99_s = (took_s[int(len(took_s) * share)] for share in (0.5, 0.99))
    return Rate(load.events / all_s, p50_s * 1000, p99_s * 1000)


async def ours(folder: Path, load: Load) -> Rate:
    """Measure `SqliteLog.append`."""
    async with SqliteLog(folder / "log.db", REGISTRY, node="bench") as log:
        return await drive(
            lambda name, version: log.append(
                [StreamAppend(name, version, (EVENT,))],
                CONTEXT,
            ),
            load,
        )


async def bare(folder: Path, load: Load) -> Rate:
    """Measure a bare group-commit writer of the log's own tables."""
    return await _bare(folder, same_tables(), load)


async def bare_table(folder: Path, load: Load) -> Rate:
    """Measure a bare group-commit writer of a single table."""
    return await _bare(folder, one_table(), load)


async def _bare(folder: Path, insert: Insert, load: Load) -> Rate:
    writer = BareWriter(folder, insert, EVENT)
    try:
        return await drive(writer.append, load)
    finally:
        writer.close()


async def raw(folder: Path, load: Load) -> Rate:
    """Measure a commit per append; more appenders cannot make it faster."""
    load = msgspec.structs.replace(load, appenders=1, events=min(load.events, RAW_MAX))
    with closing(connect_writer(folder / "raw.db")) as db:
        db.execute("CREATE TABLE raw(stream TEXT, version INTEGER, state TEXT)")

        async def append(name: str, version: int) -> None:
            row = (name, version, msgspec.json.encode(EVENT))
            db.execute("INSERT INTO raw VALUES (?, ?, ?)", row)

        return await drive(append, load)


def fresh(appenders: int, events: int, rounds: int) -> dict[str, float]:
    """Measure all variants in turns, each on a new file in a folder of its own."""
    variants = {"ours": ours, "bare": bare, "bare_table": bare_table, "raw": raw}
    found: dict[str, list[Rate]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, variant in variants.items():
            versions = {f"item/bench/{number:06}": 0 for number in range(appenders)}
            with tempfile.TemporaryDirectory(prefix="dramaturg-bench-") as folder:
                rate = asyncio.run(
                    variant(Path(folder), Load(appenders, events, versions))
                )
            found[name].append(rate)
    return report(found)


def full(
    folder: Path,
    versions: dict[str, int],
    appenders: int,
    events: int,
    rounds: int,
) -> dict[str, float]:
    """Measure on files that hold a history already, and that go on growing.

    `folder` holds `log.db` and its copy `bare.db`, both with streams at `versions`.
    """
    found: dict[str, list[Rate]] = {"ours": [], "bare": []}
    for _ in range(rounds):
        after = dict(versions)
        for name, variant in (("ours", ours), ("bare", bare)):
            after = dict(versions)
            found[name].append(
                asyncio.run(variant(folder, Load(appenders, events, after)))
            )
        versions.update(after)
    return report(found)


def report(found: dict[str, list[Rate]]) -> dict[str, float]:
    """Return medians and the ratios of those of a round."""
    ours_, bare_ = found["ours"], found["bare"]
    of_bare = [a.per_s / b.per_s for a, b in zip(ours_, bare_, strict=True)]
    per_s = {
        name: statistics.median(rate.per_s for rate in rates)
        for name, rates in found.items()
    }
    return {
        "events_per_s": round(per_s["ours"]),
        **{f"{name}_per_s": round(per_s[name]) for name in found if name != "ours"},
        "of_bare": round(per_s["ours"] / per_s["bare"], 3),
        "of_bare_least": round(min(of_bare), 3),
        "of_bare_most": round(max(of_bare), 3),
        "p50_ms": round(statistics.median(rate.p50_ms for rate in ours_), 3),
        "p99_ms": round(statistics.median(rate.p99_ms for rate in ours_), 3),
        "bare_p99_ms": round(statistics.median(rate.p99_ms for rate in bare_), 3),
    }
