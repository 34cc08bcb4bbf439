"""Runs transactions over real files and a real database until it is killed or done.

Prints `open` once the log is, and at the end how each transaction ended, as JSON.
"""

import asyncio
import sqlite3
import sys
from pathlib import Path

import msgspec

from dramaturg.actors.retries import RetryPolicy
from dramaturg.actors.runtime import ActorSystem
from dramaturg.actors.transactions import Coordinator, Do, Limits, Steps, Transaction
from dramaturg.actors.transactions.steps.files import Delete, Move, Write, file_steps
from dramaturg.actors.transactions.steps.sql import Database, SqlStep
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.vocabulary import vocabulary

TRANSACTIONS = 60
AT_ONCE = 12


class Row(msgspec.Struct, frozen=True, gc=False):
    number: int


def insert(connection: sqlite3.Connection, row: Row) -> object:
    if row.number % 3 == 0:
        raise ValueError(f"{row.number} is divisible by three")
    connection.execute("INSERT INTO numbers VALUES (?)", (row.number,))
    return row.number


def delete(connection: sqlite3.Connection, row: Row, _result: msgspec.Raw) -> None:
    connection.execute("DELETE FROM numbers WHERE number = ?", (row.number,))


def transaction(number: int) -> Transaction:
    return Transaction(
        steps=[
            Do("files.write", Write(f"{number}/new", text="new"), group=1),
            Do("files.write", Write(f"{number}/old", text="new"), group=1),
            Do("files.move", Move(f"{number}/from", f"{number}/to")),
            Do("files.delete", Delete(f"{number}/gone")),
            Do("row", Row(number)),
        ],
        key=str(number),
    )


async def main(folder: Path) -> None:
    database = Database(folder / "numbers.db")
    steps = Steps(
        [
            *file_steps(folder / "root", folder / "keep"),
            SqlStep("row", Row, database, insert, delete),
        ]
    )
    limits = Limits(retry=RetryPolicy(attempts_max=100, base_s=0.01, cap_s=0.1))
    ends: dict[int, str] = {}
    async with (
        SqliteLog(folder / "log.db", vocabulary()) as log,
        ActorSystem(log=log) as system,
    ):
        ref = await system.spawn(Coordinator.spec("main", steps, limits))
        coordinator = Coordinator(ref, steps, log)
        sys.stdout.write("open\n")
        sys.stdout.flush()
        todo = iter(range(TRANSACTIONS))

        async def work() -> None:
            for number in todo:
                outcome = await coordinator.run(transaction(number))
                ends[number] = outcome.end

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())
    database.close()
    sys.stdout.write(msgspec.json.encode(ends).decode() + "\n")


def run(words: list[str]) -> None:
    asyncio.run(main(Path(words[0])))
