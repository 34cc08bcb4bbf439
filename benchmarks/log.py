"""How fast the log appends durably, replays and starts, against floors beside it.

    python -m benchmarks.log [--quick]

prints one JSON line. Appenders are tasks of one loop that each append an event to a
stream of their own and wait until it is durable, on a fresh log and on one that holds a
history already. The floors, in the same kind of file with the same fsync per commit:
`raw`, plain sqlite3 with a commit per append; `bare`, a writer thread that commits
whatever is queued into the log's own tables and compares versions, but knows no header,
digest, key, limit, seal or failure; `bare_table`, the same into a single table, which is
no event store but shows what the disk can do. The variants take turns, round by round,
and medians are reported.
"""

import argparse
import asyncio
import json
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

from benchmarks import log_history
from benchmarks.log_appends import fresh, full
from benchmarks.log_history import History

APPENDERS = {1: 400, 10: 4_000, 100: 20_000, 1000: 20_000}
"""Concurrent appenders, and how many events all of them append in a round."""
ROUNDS = 5
HISTORY = History(events=1_000_000, streams=10_000, items=1_000)
QUICK_HISTORY = History(events=50_000, streams=1_000, items=100)
AIMS = {
    "append_of_bare_100": 0.6,
    "append_per_s_100": 40_000,
    "replay_events_per_s": 250_000,
    "ready_s": 1.0,
}


def on_history(
    folder: Path, history: History, rounds: int, share: int
) -> dict[str, object]:
    """Measure all that needs a log with a history."""
    path = folder / "log.db"
    versions = asyncio.run(log_history.build(path, history))
    found: dict[str, object] = {
        "size": log_history.sizes(path),
        "start": log_history.starts(path, rounds),
        "replay": log_history.replay(path, history.events // 5, rounds),
        "stream_read": log_history.streams(path, history, rounds),
        "subscription": asyncio.run(log_history.subscription(path)),
    }
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE streams SET open = 1")  # for what is appended keeps them so
    shutil.copy(path, folder / "bare.db")
    found["append_to_history"] = {
        str(appenders): full(
            folder, versions, appenders, max(events // share, appenders), rounds
        )
        for appenders, events in APPENDERS.items()
    }
    return found


def main() -> None:
    """Measure everything and print one line."""
    parser = argparse.ArgumentParser(description="Measure the log.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    quick = parser.parse_args().quick
    share, rounds = (10, 3) if quick else (1, ROUNDS)
    report: dict[str, object] = {
        "benchmark": "log",
        "append": {
            str(appenders): fresh(appenders, max(events // share, appenders), rounds)
            for appenders, events in APPENDERS.items()
        },
    }
    history = QUICK_HISTORY if quick else HISTORY
    with tempfile.TemporaryDirectory(prefix="dramaturg-bench-") as folder:
        report["history"] = {"events": history.events, "streams": history.streams}
        report |= on_history(Path(folder), history, rounds, share)
    print(json.dumps(report | {"aims": AIMS}))


if __name__ == "__main__":
    main()
