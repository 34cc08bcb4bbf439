"""The SQL step on a real SQLite file."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from dramaturg.actors.transactions.errors import FencedError
from dramaturg.actors.transactions.fence import Fence
from dramaturg.actors.transactions.step import Call
from dramaturg.actors.transactions.steps.sql import Database, SqlStep

pytestmark = pytest.mark.asyncio


class Insert(msgspec.Struct, frozen=True, gc=False):
    word: str


def insert(connection: sqlite3.Connection, args: Insert) -> object:
    cursor = connection.execute("INSERT INTO words VALUES (?)", (args.word,))
    return {"row": cursor.lastrowid}


def delete(connection: sqlite3.Connection, args: Insert, result: msgspec.Raw) -> None:
    row = msgspec.json.decode(result)["row"]
    connection.execute(
        "DELETE FROM words WHERE rowid = ? AND word = ?", (row, args.word)
    )


class Words:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.run("CREATE TABLE words (word TEXT NOT NULL)")
        self.database = Database(path)
        self.step = SqlStep("words.insert", Insert, self.database, insert, delete)

    def run(self, sql: str) -> list[str]:
        connection = sqlite3.connect(self.path)
        try:
            with connection:
                return [row[0] for row in connection.execute(sql)]
        finally:
            connection.close()

    def all(self) -> list[str]:
        return self.run("SELECT word FROM words")


@pytest.fixture
def words(tmp_path: Path) -> Iterator[Words]:
    words = Words(tmp_path / "words.sqlite")
    yield words
    words.database.close()
    words.database.close()


def call(step: int = 0) -> Call:
    return Call("transaction/main/01", step, 1, Fence("key"))


async def test_a_change_is_made_once_however_often_it_is_tried(words: Words) -> None:
    undo = await words.step.prepare(Insert("one"), call())

    first = await words.step.run(Insert("one"), undo, call())
    second = await words.step.run(Insert("one"), undo, call())

    assert words.all() == ["one"]
    assert first == second


async def test_a_change_is_taken_back_once(words: Words) -> None:
    undo = await words.step.prepare(Insert("one"), call())
    await words.step.run(Insert("one"), undo, call(1))
    await words.step.run(Insert("one"), undo, call(2))

    await words.step.compensate(Insert("one"), undo, call(1))
    await words.step.compensate(Insert("one"), undo, call(1))

    assert words.all() == ["one"]


async def test_a_late_attempt_finds_the_fence_in_the_database(words: Words) -> None:
    undo = await words.step.prepare(Insert("one"), call())
    await words.step.compensate(Insert("one"), undo, call())

    with pytest.raises(FencedError):
        await words.step.run(Insert("one"), undo, call())

    assert words.all() == []


async def test_a_change_that_fails_leaves_nothing(words: Words) -> None:
    def half(connection: sqlite3.Connection, args: Insert) -> object:
        insert(connection, args)
        connection.execute("INSERT INTO words VALUES (NULL)")
        return None

    step = SqlStep("half", Insert, words.database, half, delete)
    undo = await step.prepare(Insert("one"), call())

    with pytest.raises(sqlite3.IntegrityError):
        await step.run(Insert("one"), undo, call())

    assert words.all() == []
    assert (await step.query(Insert("one"), undo, call())).found == "absent"


async def test_the_database_knows_what_became_of_a_step(words: Words) -> None:
    undo = await words.step.prepare(Insert("one"), call())
    result = await words.step.run(Insert("one"), undo, call())

    answer = await words.step.query(Insert("one"), undo, call())
    assert (answer.found, answer.result) == ("done", result)

    await words.step.compensate(Insert("one"), undo, call())
    assert (await words.step.query(Insert("one"), undo, call())).found == "unknown"
    await words.step.tidy(Insert("one"), undo, call())
    await words.step.check(Insert("one"))
