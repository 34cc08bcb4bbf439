"""`dramaturg log erase`, on a log as the daemon keeps it."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from dramaturg.events import vocabulary
from dramaturg.events.dead_letters import Parked
from dramaturg.events.log import Context, StreamAppend
from dramaturg.events.log.encryption import Keyring
from dramaturg.events.log.sqlite import SqliteLog

from .conftest import Run

Captured = pytest.CaptureFixture[str]
WORDS = "--reason", "she asked", "--by", "tester"


def parked(name: str) -> Parked:
    return Parked(
        name, 1, "documents", "read", "Error", f"{name} lives here", "f", 1, 1
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "var"
    folder.mkdir()

    async def write() -> None:
        keyring = Keyring(folder / "keys.jsonl")
        async with SqliteLog(
            folder / "events.db", vocabulary(), keyring=keyring
        ) as log:
            for name in ("ann", "bob"):
                append = StreamAppend(f"dead-letter/{name}", 0, (parked(name),))
                await log.append([append], Context(at_us=1, owner=name))

    asyncio.run(write())
    return folder


def told(capsys: Captured) -> list[Any]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_an_owner_is_erased_and_the_log_says_so(
    dramaturg: Run, data: Path, capsys: Captured
) -> None:
    words = ("log", "erase", "ann", *WORDS, "--data", data)
    assert dramaturg(*words, "--dry-run") == 0
    assert "1 of 1 events in 1 streams" in capsys.readouterr().out

    assert dramaturg(*words) == 0

    said = capsys.readouterr().out
    assert "open streams: 1; their work ends" in said
    assert "nothing readable is left" in said
    assert dramaturg("log", "verify", "--data", data) == 0
    capsys.readouterr()
    assert dramaturg("log", "tail", "--data", data, "--json") == 0
    rows = {row["event"]: row for row in told(capsys)}
    assert rows["log.erased"]["data"]["owner"] == "ann"
    assert rows["log.erased"]["data"]["reason"] == "she asked"
    assert dramaturg("log", "tail", "--stream", "dead-letter/ann", "--data", data) == 0
    assert '{"key":"aes-256-gcm:' in capsys.readouterr().out
    assert dramaturg("state", "dead-letter/bob", "--data", data, "--json") == 0
    assert "bob lives here" in capsys.readouterr().out
    assert dramaturg(*words, "--json") == 0
    assert told(capsys)[0]["readable"] == 0


def test_what_is_left_is_said_with_status_1(
    dramaturg: Run, data: Path, capsys: Captured
) -> None:
    (data / "notes.txt").write_text("ann lives here")

    assert dramaturg("log", "erase", "ann", *WORDS, "--data", data) == 1

    assert "notes.txt still holds text of theirs" in capsys.readouterr().err


def test_what_cannot_be_erased_is_refused(
    dramaturg: Run, data: Path, capsys: Captured
) -> None:
    assert dramaturg("log", "erase", "cid", *WORDS, "--data", data) == 1
    assert "no events of 'cid'" in capsys.readouterr().err
    assert dramaturg("log", "erase", "", *WORDS, "--data", data) == 2
    (data / "keys.jsonl").rename(data.parent / "keys.jsonl")
    assert dramaturg("log", "erase", "ann", *WORDS, "--data", data) == 1
    assert "put it or a link to it there" in capsys.readouterr().err
    assert dramaturg("log", "tail", "--data", data) == 0
    said = capsys.readouterr()
    assert "dead_letter.parked" in said.out
    assert "ann lives here" not in said.out
    assert "2 of the events that were read are sealed away" in said.err
    assert dramaturg("state", "dead-letter/ann", "--data", data, "--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["withheld"] == 1
    assert "put the key file of the log" in said.err
    assert dramaturg("log", "archive", "--older-than", "1s", "--data", data) == 1
    assert "open it with the keyring of the log" in capsys.readouterr().err


def test_what_was_never_encrypted_is_told_apart(
    dramaturg: Run, data: Path, capsys: Captured
) -> None:
    async def write(keyring: Keyring | None, version: int) -> None:
        async with SqliteLog(
            data.parent / "events.db", vocabulary(), keyring=keyring
        ) as log:
            append = StreamAppend("dead-letter/ann", version, (parked("ann again"),))
            await log.append([append], Context(at_us=1, owner="ann"))

    keys = Keyring(data.parent / "keys.jsonl")
    asyncio.run(write(None, 0))
    asyncio.run(write(keys, 1))
    words = ("log", "erase", "ann", *WORDS, "--data", data.parent / "events.db")
    assert dramaturg(*words) == 1
    assert "erase the rest with --partly" in capsys.readouterr().err

    assert dramaturg(*words, "--partly") == 1

    assert "written without encryption and stay" in capsys.readouterr().err


def test_who_erases_says_why_and_a_log_that_is_not_there_is_said_first(
    dramaturg: Run, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    words = ("log", "erase", "ann", "--reason", " ", "--by", "eve", "--data", data)
    assert dramaturg(*words) == 2
    assert "--reason is kept in the log: say it" in capsys.readouterr().err
    assert dramaturg("log", "erase", "ann", *WORDS, "--data", tmp_path / "none") == 1
    assert "there is no log in" in capsys.readouterr().err
