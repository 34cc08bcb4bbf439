"""`dramaturg log stat`, `tail --follow`, `export`, `import` and `backup`."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dramaturg.daemon.output import Output

from .conftest import Run

Captured = pytest.CaptureFixture[str]
KEPT = Path(__file__).parents[1] / "log" / "formats" / "v2" / "documents.db"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "var"
    folder.mkdir()
    shutil.copyfile(KEPT, folder / "events.db")
    return folder


def told(capsys: Captured) -> list[Any]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_how_large_a_log_is_and_how_it_grows(
    dramaturg: Run, data: Path, capsys: Captured
) -> None:
    assert dramaturg("log", "stat", "--data", data, "--json") == 0
    (sizes,) = [row for row in told(capsys) if not row["kind"]]
    assert sizes["events"] == 38
    assert sizes["size_bytes"] == KEPT.stat().st_size
    assert 500 < sizes["bytes_per_event"] < 2000
    assert (sizes["segments"], sizes["archived_events"]) == (0, 0)
    assert sizes["last_hour"] <= sizes["last_week"] <= 38

    assert sum(sizes["days"]) == sizes["last_week"]
    assert (
        sizes["bytes_in_30_days"]
        == 30 * sizes["events_a_day"] * sizes["bytes_per_event"]
    )
    assert (sizes["snapshots"], sizes["keys"], sizes["open"]) == (0, 5, 3)
    assert sizes["longest_open"] == "pipeline/documents"
    assert sizes["last_seal"] > sizes["longest_open_since"]
    assert sizes["last_archived"] is None

    assert dramaturg("log", "stat", "--data", data) == 0
    said = capsys.readouterr().out
    assert "events in the last day" in said
    assert "3 streams are open besides the log's own; 'pipeline/documents'" in said


def test_the_sizes_of_all_that_is_in_a_log_add_up(
    dramaturg: Run, data: Path, capsys: Captured
) -> None:
    with closing(sqlite3.connect(data / "events.db")) as db:
        query = "SELECT count(*), sum(length(CAST(state AS BLOB))) FROM events"
        (whole,) = db.execute(query)

    assert dramaturg("log", "archive", "--older-than", "1s", "--data", data) == 0
    capsys.readouterr()
    assert dramaturg("log", "stat", "--sizes", "--data", data, "--json") == 0

    rows = [row for row in told(capsys) if row.get("kind") not in {"", "log"}]
    kinds = [row for row in rows if "kind" in row]
    days = [row for row in rows if "day" in row]
    tags = [row["bytes"] for row in rows if "tag" in row]
    grown = {"events": sum(row["events"] for row in days) - whole[0]}
    assert grown["events"] == 2, "log.archived and a seal"
    assert sum(row["bytes"] for row in days) > whole[1]
    assert sum(row["events"] for row in kinds) == whole[0] - 1, "but for a seal"
    assert sorted(tags, reverse=True) == tags
    assert dramaturg("log", "stat", "--sizes", "--data", data) == 0
    assert "item.stage_done" in capsys.readouterr().out


def test_a_lost_segment_costs_no_figure_but_the_growth(
    dramaturg: Run, data: Path, capsys: Captured
) -> None:
    assert dramaturg("log", "archive", "--older-than", "1s", "--data", data) == 0
    shutil.rmtree(data / "events.db-segments")
    capsys.readouterr()

    assert dramaturg("log", "stat", "--data", data) == 1

    said = capsys.readouterr()
    assert "31 events are archived" in said.out
    assert "(No such file or directory): restore it from a backup" in said.err
    assert "in the last day" not in said.out


def test_a_log_goes_through_a_file_and_through_a_pipe(
    dramaturg: Run, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    file = tmp_path / "log.ndjson"
    assert dramaturg("log", "export", file, "--data", data) == 0
    assert "38 events and 5 keys" in capsys.readouterr().out
    assert dramaturg("log", "import", file, "--data", tmp_path / "twin") == 0
    assert "38 events imported" in capsys.readouterr().out
    assert dramaturg("log", "import", file, "--data", data, "--json") == 0
    assert told(capsys) == [{"events": 0, "known": 38, "keys": 5, "position": 38}]

    # Its first line names the log's format: the import has brought that up to date.
    assert dramaturg("log", "export", tmp_path / "again", "--data", data) == 0
    run = [sys.executable, "-m", "dramaturg.daemon", "log"]
    piped = subprocess.run(
        [*run, "export", "--data", str(tmp_path / "twin")],
        capture_output=True,
        check=True,
    )
    assert piped.stdout == (tmp_path / "again").read_bytes()
    into = [*run, "import", "-", "--data", str(tmp_path / "third.db")]
    subprocess.run(into, input=piped.stdout, check=True)
    assert dramaturg("log", "verify", "--data", tmp_path / "third.db") == 0


def test_an_export_of_a_damaged_log_says_so_and_leaves_what_it_can(
    dramaturg: Run, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    stored = (data / "events.db").read_bytes()
    (data / "events.db").write_bytes(stored.replace(b"item.done", b"item.gone", 1))

    file = tmp_path / "log.ndjson"
    assert dramaturg("log", "export", file, "--data", data, "--json") == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["events"] == 38
    assert "not as they were written" in said.err
    assert dramaturg("log", "import", file, "--data", tmp_path / "twin") == 1
    assert "is damaged" in capsys.readouterr().err
    assert dramaturg("log", "import", tmp_path / "none", "--data", tmp_path) == 2
    assert not list(tmp_path.glob(".*"))


def test_a_copy_is_made_and_verified(
    dramaturg: Run, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    copy = tmp_path / "copy.db"
    assert dramaturg("log", "backup", copy, "--data", data, "--json") == 0
    assert told(capsys)[0]["events"] == 38
    assert dramaturg("log", "backup", copy, "--data", data) == 1
    assert "name another file" in capsys.readouterr().err
    assert dramaturg("log", "verify", "--data", copy) == 0


@pytest.mark.parametrize(
    "name", ["events.db", "events.db-wal", "events.db.lock", "keys.jsonl", "notes.txt"]
)
def test_an_export_replaces_exports_only_and_never_the_log(
    dramaturg: Run, data: Path, capsys: Captured, name: str
) -> None:
    (data / "notes.txt").write_text("not an export\n")
    before = {file.name: file.read_bytes() for file in data.iterdir()}

    assert dramaturg("log", "export", data / name, "--data", data) == 2

    assert "name another file" in capsys.readouterr().err
    assert {file.name: file.read_bytes() for file in data.iterdir()} == before


def test_an_export_goes_through_a_link_and_into_a_pipe(
    dramaturg: Run, data: Path, tmp_path: Path
) -> None:
    link, linked, pipe = (tmp_path / name for name in ("link", "linked", "pipe"))
    link.symlink_to(linked)
    assert dramaturg("log", "export", link, "--data", data) == 0
    assert link.is_symlink()
    os.mkfifo(pipe)
    with subprocess.Popen(["/bin/cat", str(pipe)], stdout=subprocess.PIPE) as reader:
        assert dramaturg("log", "export", pipe, "--data", data) == 0
        assert reader.communicate()[0] == linked.read_bytes()
    assert pipe.is_fifo()


def test_a_full_disk_and_a_missing_folder_are_named(
    dramaturg: Run, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    nowhere = tmp_path / "none" / "file"
    for words, status, said in (
        (("export", "/dev/full"), 1, "/dev/full cannot be written: No space left"),
        (("export", nowhere), 2, f"there is no folder {tmp_path / 'none'}: make it"),
        (("backup", nowhere), 2, f"there is no folder {tmp_path / 'none'}: make it"),
    ):
        assert dramaturg("log", *words, "--data", data) == status
        assert said in capsys.readouterr().err


def test_the_tail_is_not_followed_for_a_reader_who_left(data: Path) -> None:
    words = [sys.executable, "-m", "dramaturg.daemon", "log", "tail", "-f"]
    with subprocess.Popen(
        [*words, "--data", str(data)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as tail:
        assert tail.stdout is not None
        tail.stdout.readline()
        tail.stdout.close()
        assert tail.wait() == 1
        assert tail.stderr is not None
        assert tail.stderr.read() == b""


def test_the_tail_is_followed_until_interrupted(
    dramaturg: Run,
    data: Path,
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = tmp_path / "log.ndjson"
    assert dramaturg("log", "export", lines, "--data", data) == 0
    start = tmp_path / "start.ndjson"
    assert dramaturg("log", "export", start, "--until", "30", "--data", data) == 0
    twin = tmp_path / "twin"
    assert dramaturg("log", "import", start, "--data", twin) == 0
    capsys.readouterr()
    waits = iter([lambda: dramaturg("log", "import", lines, "--data", twin)])

    def wait(_output: Output, _seconds: float) -> None:
        if (step := next(waits, None)) is None:
            raise KeyboardInterrupt
        step()

    monkeypatch.setattr(Output, "wait", wait)
    words = ("log", "tail", "-n", "2", "--follow", "--data", twin)
    assert dramaturg(*words, "--json") == 0
    found = [json.loads(s) for s in capsys.readouterr().out.splitlines() if s[0] == "{"]
    assert [row["position"] for row in found] == [*range(29, 39)]


def test_old_streams_are_archived_and_shown_as_before(
    dramaturg: Run, data: Path, capsys: Captured
) -> None:
    words = ("log", "archive", "--data", data, "--older-than")
    assert dramaturg(*words, "52w", "--dry-run", "--json") == 0
    assert told(capsys)[0]["events"] == 0
    assert dramaturg("state", "--closed", "--data", data, "--json") == 0
    before = [row for row in told(capsys) if row["stream"] != "log/seals"]

    assert dramaturg(*words, "1s", "--dry-run") == 0
    assert "31 events of 5 streams would be archived" in capsys.readouterr().out
    assert dramaturg(*words, "1s") == 0
    assert "31 events of 5 streams were archived" in capsys.readouterr().out

    assert dramaturg("state", "--closed", "--data", data, "--json") == 0
    assert [row for row in told(capsys) if row["stream"] != "log/seals"] == before
    assert dramaturg("log", "verify", "--data", data) == 0
    assert dramaturg("log", "stat", "--data", data) == 0
    assert "31 events are archived" in capsys.readouterr().out
    assert dramaturg(*words, "soon") == 2
    assert "such as 30d" in capsys.readouterr().err
    assert dramaturg(*words, f"{'9' * 400}d", "--dry-run") == 2
    assert "longer ago than any event" in capsys.readouterr().err


def test_a_log_that_archives_by_itself_says_so(
    dramaturg: Run,
    docs: Path,
    tmp_path: Path,
    capsys: Captured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DRAMATURG_LOG_ARCHIVE_OLDER_THAN_S", "0.001")
    monkeypatch.setenv("DRAMATURG_LOG_ARCHIVE_EVERY_S", "0.01")
    data = tmp_path / "var"
    assert dramaturg("ingest", docs, "--data", data) == 0
    assert dramaturg("log", "stat", "--data", data) == 0
    said = capsys.readouterr().out
    assert "what ended 0.001 s ago is archived every 0.01 s: the last run that" in said
    assert dramaturg("log", "stat", "--data", data, "--json") == 0
    (sizes,) = [row for row in told(capsys) if not row["kind"]]
    assert sizes["retention"]["every_us"] == 10_000
    assert dramaturg("log", "verify", "--data", data) == 0
