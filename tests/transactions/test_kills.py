"""Transactions over real files and a real database, in processes that are killed."""

import random
import signal
import sqlite3
import time
from pathlib import Path

import msgspec
import pytest

from dramaturg.actors.transactions.transaction import FOLD, Transaction
from dramaturg.events import Event
from dramaturg.events.log.reader import LogReader
from dramaturg.events.vocabulary import vocabulary

from ..forks import Forks
from .kill_me import TRANSACTIONS

KILLS = 8

BEFORE = {"old": "old", "gone": "gone", "from": "from"}
AFTER = {"old": "new", "new": "new", "to": "from"}


def lay_out(folder: Path) -> None:
    for number in range(TRANSACTIONS):
        place = folder / "root" / str(number)
        place.mkdir(parents=True)
        for name, text in BEFORE.items():
            (place / name).write_text(text)
    database = sqlite3.connect(folder / "numbers.db")
    database.execute("CREATE TABLE numbers (number INTEGER NOT NULL)")
    database.close()


def numbers(folder: Path) -> list[int]:
    database = sqlite3.connect(folder / "numbers.db")
    rows = database.execute("SELECT number FROM numbers ORDER BY number").fetchall()
    database.close()
    return [number for (number,) in rows]


def replayed(folder: Path) -> dict[str, Transaction]:
    states: dict[str, Transaction] = {}
    with LogReader(folder / "log.db", vocabulary()) as reader:
        for recorded in reader.read(limit=1_000_000):
            assert isinstance(recorded.event, Event)
            if recorded.stream.startswith("log/"):
                continue  # the log seals itself
            state = states.get(recorded.stream, FOLD.initial(recorded.stream))
            states[recorded.stream] = FOLD.evolve(state, recorded.event)
    return states


@pytest.mark.kill
@pytest.mark.timeout(180)
def test_kills_at_any_moment_leave_each_transaction_whole_or_undone(
    tmp_path: Path,
) -> None:
    chance = random.Random(11)
    lay_out(tmp_path)
    with Forks(tmp_path, "tests.transactions.kill_me", "run") as forks:
        for _ in range(KILLS):
            with forks.start(tmp_path) as process:
                assert process.stdout.readline() == b"open\n"
                time.sleep(chance.random() / 2)  # anywhere, not after an answer
                process.send_signal(signal.SIGKILL)

        with forks.start(tmp_path) as process:
            output = process.stdout.read().splitlines()
    assert process.returncode == 0
    ends = msgspec.json.decode(output[1], type=dict[int, str])

    assert sorted(ends) == [*range(TRANSACTIONS)]
    for number, end in ends.items():
        place = tmp_path / "root" / str(number)
        files = {path.name: path.read_text() for path in place.iterdir()}
        assert files == {"committed": AFTER, "rolled_back": BEFORE}[end], number
    committed = [number for number, end in ends.items() if end == "committed"]
    assert numbers(tmp_path) == sorted(committed)
    states = replayed(tmp_path)
    assert {int(state.key): state.phase for state in states.values()} == ends
