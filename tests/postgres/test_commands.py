"""`dramaturg log`, on a log in PostgreSQL."""

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dramaturg.daemon.database import Database
from dramaturg.daemon.errors import UsageError
from dramaturg.events import vocabulary
from dramaturg.events.dead_letters import Parked
from dramaturg.events.log import Context, StreamAppend
from dramaturg.events.log.encryption import Keyring
from dramaturg.events.log.postgres import PostgresLog
from dramaturg.events.log.sealer import SEALS

from ..daemon.conftest import Run, dramaturg
from ..log.test_transfer import KEPT

__all__ = ["dramaturg"]  # a fixture

Captured = pytest.CaptureFixture[str]


def parked(owner: str) -> Parked:
    text = f"{owner} lives here"
    return Parked(owner, 1, "documents", "read", "Error", text, "f", 1, 1)


@pytest.fixture
def data(
    server: str, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    """Return the address of a log with dead letters of two owners."""
    keys = tmp_path / "keys.jsonl"
    monkeypatch.setenv("DRAMATURG_LOG_KEYS", str(keys))

    async def write() -> None:
        async with PostgresLog(
            server, vocabulary(), schema=schema, keyring=Keyring(keys), seals=SEALS
        ) as log:
            for owner in ("ann", "bob"):
                append = StreamAppend(f"dead-letter/mail/{owner}", 0, (parked(owner),))
                await log.append([append], Context(at_us=1, owner=owner))

    asyncio.run(write())
    return f"{server}&schema={schema}" if "?" in server else f"{server}?schema={schema}"


def told(capsys: Captured) -> list[Any]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_it_is_looked_at_as_a_file_is(
    dramaturg: Run, data: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert dramaturg("log", "verify", "--data", data) == 0
    assert "4 events, every one as it was written; 1 seals" in capsys.readouterr().out
    assert dramaturg("log", "stat", "--data", data, "--json") == 0
    (sizes,) = [row for row in told(capsys) if not row["kind"]]
    assert sizes["events"] == sizes["last_hour"] == 4
    assert sizes["size_bytes"] > 8192
    assert dramaturg("log", "seal", "--data", data, "--json") == 0
    assert told(capsys)[0]["last"] == 3
    assert dramaturg("log", "tail", "--data", data) == 0
    assert "ann lives here" in capsys.readouterr().out
    assert dramaturg("state", "--data", data, "--json") == 0
    assert told(capsys)[0]["stream"] == "dead-letter/mail/ann"
    monkeypatch.delenv("DRAMATURG_LOG_KEYS")
    assert dramaturg("log", "tail", "--data", data) == 0
    said = capsys.readouterr()
    assert "ann lives here" not in said.out
    assert "2 of the events that were read are sealed away" in said.err


def test_it_goes_into_a_file_and_from_there_into_another_schema(
    dramaturg: Run, data: str, schema: str, tmp_path: Path, capsys: Captured
) -> None:
    lines, again = tmp_path / "log.ndjson", tmp_path / "again.ndjson"
    assert dramaturg("log", "export", lines, "--data", data) == 0
    assert dramaturg("log", "import", lines, "--data", tmp_path / "twin") == 0
    assert dramaturg("log", "verify", "--data", tmp_path / "twin") == 0
    capsys.readouterr()
    assert dramaturg("log", "import", lines, "--data", data, "--json") == 0
    assert told(capsys) == [{"events": 0, "known": 4, "keys": 0, "position": 4}]
    other = data.replace(schema, f"{schema}_b")
    assert dramaturg("log", "import", lines, "--data", other) == 0
    assert dramaturg("log", "export", again, "--data", other) == 0
    assert again.read_bytes() == lines.read_bytes()


def test_an_owner_is_erased(dramaturg: Run, data: str, capsys: Captured) -> None:
    words = ("log", "erase", "ann", "--reason", "she asked", "--by", "t")
    assert dramaturg(*words, "--data", data, "--dry-run") == 0
    assert "1 of 1 events in 1 streams" in capsys.readouterr().out
    assert dramaturg(*words, "--data", data) == 0
    assert "nothing readable is left" in capsys.readouterr().out
    assert dramaturg("log", "tail", "--data", data) == 0
    said = capsys.readouterr().out
    assert "ann lives here" not in said
    assert "bob lives here" in said


def test_what_ended_is_archived_and_shown_as_before(
    dramaturg: Run, data: str, tmp_path: Path, schema: str, capsys: Captured
) -> None:
    lines, kept = tmp_path / "log.ndjson", shutil.copy(KEPT, tmp_path)
    assert dramaturg("log", "export", lines, "--data", kept) == 0
    other = data.replace(schema, f"{schema}_b")
    assert dramaturg("log", "import", lines, "--data", other) == 0
    capsys.readouterr()
    assert dramaturg("state", "--closed", "--data", other, "--json") == 0
    before = told(capsys)
    words = ("log", "archive", "--data", other, "--older-than")

    assert dramaturg(*words, "1s", "--dry-run") == 0
    assert "31 events of 5 streams would be archived" in capsys.readouterr().out
    assert dramaturg(*words, "1s") == 0
    said = capsys.readouterr().out
    assert "31 events of 5 streams were archived, 11995 bytes, now" in said
    assert said.endswith("bytes in 1 segments\n")

    assert dramaturg("state", "--closed", "--data", other, "--json") == 0
    assert told(capsys) == before
    assert dramaturg("log", "verify", "--data", other) == 0
    assert dramaturg("log", "stat", "--data", other) == 0
    assert "31 events are archived" in capsys.readouterr().out
    assert dramaturg(*words, "soon") == 2
    misspelt = ("log", "archive", "--older-than", "1s", "--data", f"{data}_c")
    for more in ((), ("--dry-run",)):
        assert dramaturg(*misspelt, *more) == 1
        assert "was written to before" in capsys.readouterr().err


def test_what_only_files_can_is_refused_with_what_to_do(
    dramaturg: Run, data: str, tmp_path: Path, capsys: Captured
) -> None:
    assert dramaturg("log", "backup", tmp_path / "copy", "--data", data) == 2
    assert "copy it with `pg_dump --schema=" in capsys.readouterr().err
    assert dramaturg("log", "verify", "--data", "postgresql://127.0.0.1:1/x") == 1
    assert "cannot be read" in capsys.readouterr().err


def test_an_address_is_told_from_a_path() -> None:
    assert Database.of("var") is None
    assert Database.of("postgresql://a@b/c") == Database("postgresql://a@b/c")
    text = "postgres://a:p@b/c?sslmode=require&schema=work"
    wanted = Database("postgres://a:p@b/c?sslmode=require", "work")
    assert Database.of(text) == wanted
    for text in ("postgresql://", "postgresql:///work", "postgresql://?host=%2Ftmp"):
        assert Database.of(text) == Database(text)
    for text in (
        "mysql://a/b",
        "postgresql://a/b?schema=",
        "postgresql://a?schema=A-b",
    ):
        with pytest.raises(UsageError):
            Database.of(text)
    assert str(wanted) == "postgresql:work"
