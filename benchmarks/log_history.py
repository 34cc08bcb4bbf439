"""A long log with a few open items in it, and how it is read and started from."""

import asyncio
import sqlite3
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
from benchmarks.log_appends import CONTEXT, EVENT, REGISTRY, Closed

from dramaturg.actors.pipelines import Pipeline, Stage, Work, start_pipeline
from dramaturg.actors.runtime import ActorSystem
from dramaturg.events import Event
from dramaturg.events.log import StreamAppend, subscribe
from dramaturg.events.log.reader import LogReader
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.vocabulary import vocabulary

ALL = vocabulary().merged(REGISTRY)
OPEN_MAX = 10_000
"""Open items that the pipeline has room for: the history's and those of the starts."""
FOLLOWED = 300
"""Events whose way to a subscriber is timed."""


class History(msgspec.Struct):
    """A log of so many events in so many streams, closed but for the open items."""

    events: int
    streams: int
    items: int


def name(number: int) -> str:
    """Return the name of one of the streams."""
    return f"item/bench/{number:06}"


async def build(path: Path, history: History) -> dict[str, int]:
    """Write a history; return the versions of its streams."""
    length = history.events // history.streams
    events: tuple[Event, ...] = (EVENT,) * (length // 10)
    versions = {name(number): 0 for number in range(history.streams)}
    async with SqliteLog(path, ALL, node="bench") as log:
        for turn in range(10):
            if turn == 9:
                events = (*events[:-1], Closed())
            names = list(versions)
            for start in range(0, len(names), 100):
                appends = [
                    StreamAppend(stream, versions[stream], events)
                    for stream in names[start : start + 100]
                ]
                await log.append(appends, CONTEXT)
            for stream in names:
                versions[stream] += len(events)
        async with ActorSystem(log=log) as system:
            running = await start_pipeline(system, pipeline(asyncio.Event()))
            for number in range(history.items):
                await running.submit({"number": number})
    return versions


def pipeline(held: asyncio.Event) -> Pipeline:
    """Return one whose items never get beyond their first stage."""

    async def hold(_: Work) -> None:
        await held.wait()

    stages = [Stage("hold", hold, concurrency=4)]
    return Pipeline("bench", stages, in_flight_max=OPEN_MAX)


async def _start(path: Path) -> tuple[float, float]:
    began_s, cpu_s = time.perf_counter(), time.process_time()
    async with (
        SqliteLog(path, ALL, node="bench") as log,
        ActorSystem(log=log) as system,
    ):
        running = await start_pipeline(system, pipeline(asyncio.Event()))
        await running.submit({"number": -1})
        return time.perf_counter() - began_s, time.process_time() - cpu_s


def starts(path: Path, rounds: int) -> dict[str, float]:
    """Measure from a closed file to a pipeline that has taken a new item durably."""
    with LogReader(path, ALL) as reader:
        count = len(reader.open_streams("item/"))
        events = reader.position
    both = [asyncio.run(_start(path)) for _ in range(rounds)]
    took_s, cpu_s = zip(*both, strict=True)
    return {
        "events": events,
        "open_items": count,
        "ready_s": round(statistics.median(took_s), 3),
        "ready_s_most": round(max(took_s), 3),
        "ready_cpu_s": round(statistics.median(cpu_s), 3),
    }


def _per_s(count: int, read: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    read()
    return count / (time.perf_counter() - began_s)


def replay(path: Path, events: int, rounds: int) -> dict[str, float]:
    """Measure reading events back decoded, against reading their rows alone."""

    def decoded() -> None:
        position = 0
        while position < events:
            position = reader.read(position, events)[-1].position

    def rows() -> None:
        found = db.execute(
            "SELECT position, stream, version, tag, state FROM events "
            "WHERE position <= ? ORDER BY position",
            (events,),
        )
        while found.fetchmany(1000):
            pass

    with LogReader(path, ALL) as reader, closing(sqlite3.connect(path)) as db:
        both = [(_per_s(events, decoded), _per_s(events, rows)) for _ in range(rounds)]
    ours, floor = (statistics.median(rates) for rates in zip(*both, strict=True))
    return {
        "events_per_s": round(ours),
        "rows_per_s": round(floor),
        "ratio": round(ours / floor, 3),
    }


def streams(path: Path, history: History, rounds: int) -> dict[str, float]:
    """Measure reading whole streams, against walking back through their rows."""
    names = [name(number) for number in range(0, history.streams, 25)]
    count = len(names) * (history.events // history.streams)

    def decoded() -> None:
        for stream in names:
            reader.read_stream(stream)

    def rows() -> None:
        for stream in names:
            (link,) = db.execute(
                "SELECT position FROM streams WHERE stream = ?", (stream,)
            ).fetchone()
            while link is not None:
                *_, link = db.execute(
                    "SELECT stream, version, tag, state, prev FROM events "
                    "WHERE position = ?",
                    (link,),
                ).fetchone()

    with LogReader(path, ALL) as reader, closing(sqlite3.connect(path)) as db:
        both = [(_per_s(count, decoded), _per_s(count, rows)) for _ in range(rounds)]
    ours, floor = (statistics.median(rates) for rates in zip(*both, strict=True))
    return {
        "events_per_s": round(ours),
        "rows_per_s": round(floor),
        "ratio": round(ours / floor, 3),
    }


async def subscription(path: Path) -> dict[str, float]:
    """Measure from the call of `append` to its answer, and to a subscriber's turn."""
    acknowledged_s: list[float] = []
    received_s: list[float] = []
    async with SqliteLog(path, ALL, node="bench") as log:
        events = subscribe(log, log.position)
        following = asyncio.ensure_future(anext(events))
        for version in range(FOLLOWED):
            began_s = time.perf_counter()
            await log.append([StreamAppend("item/followed", version, (EVENT,))])
            acknowledged_s.append(time.perf_counter() - began_s)
            while (await following).stream != "item/followed":
                following = asyncio.ensure_future(anext(events))
            received_s.append(time.perf_counter() - began_s)
            following = asyncio.ensure_future(anext(events))
        following.cancel()
        await asyncio.wait([following])
        await events.aclose()

    def at(times_s: list[float], share: float) -> float:
        return round(sorted(times_s)[int(len(times_s) * share)] * 1000, 3)

    return {
        "p50_ms": at(received_s, 0.5),
        "p99_ms": at(received_s, 0.99),
        "append_p50_ms": at(acknowledged_s, 0.5),
        "append_p99_ms": at(acknowledged_s, 0.99),
    }


def sizes(path: Path) -> dict[str, float]:
    """Return the bytes of the file for an event, and those of its document."""
    with closing(sqlite3.connect(path)) as db:
        count, documents = db.execute(
            "SELECT count(*), sum(length(CAST(state AS BLOB))) FROM events"
        ).fetchone()
    return {
        "bytes_per_event": round(path.stat().st_size / count, 1),
        "document_bytes": round(documents / count, 1),
    }
