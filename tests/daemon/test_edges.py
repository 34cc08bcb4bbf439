"""What the command says where nothing can be done, and where nobody listens."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dramaturg.daemon.output import Output
from dramaturg.events import vocabulary
from dramaturg.events.log.reader import LogReader

from .conftest import Run

Captured = pytest.CaptureFixture[str]
KEPT = Path(__file__).parents[1] / "log" / "formats" / "v2" / "documents.db"
COMMAND = (sys.executable, "-m", "dramaturg.daemon")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a log, beside a few things that are none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "var").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.db").touch()
    (tmp_path / "text.txt").write_text("no line of it is JSON\n")
    shutil.copyfile(KEPT, tmp_path / "var" / "events.db")
    return tmp_path / "var"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("ingest nosuch", 2, "nosuch is not there"),
        ("ingest text.txt --data v\udcff", 2, "is no UTF-8"),
        ("log import folder", 2, "no export folder"),
        ("log import text.txt", 1, "what `dramaturg log export` wrote"),
        ("log export folder", 2, "folder is a folder"),
        ("log export nosuch/file", 2, "there is no folder nosuch: make it"),
        ("log export --after -7", 2, "positions from 0 on"),
        ("log export --after 5 --until 3", 2, "after position 5 and up to 3"),
        ("log export --stream item/nosuch", 1, "there is no stream 'item/nosuch'"),
        ("log export --after 999", 1, "which has positions 1 to 38"),
        ("log backup nosuch/file", 2, "there is no folder nosuch: make it"),
        ("log archive --older-than 1d --data empty.db", 1, "empty.db is empty"),
        ("log verify --data empty.db", 1, "empty.db is empty, not yet a log"),
        ("log verify --anchor empty.db", 2, "holds no seal"),
        ("log tail --stream breaker/graph-bd", 1, "did you mean breaker/graph-db"),
        ("log tail -n -1", 2, "from 0 on"),
        ("state --at 0001-01-01", 2, "neither a position nor a time"),
        ("state --at 9" + 5000 * "9", 2, "neither a position nor a time"),
        ("actors --at 100000", 1, "position 100000"),
        ("breaker show graph-db --at 0", 1, "began at position"),
        ("breaker show graph-db --at 100000", 1, "position 100000"),
        ("breaker show graph-db --plot folder", 2, "ends in .png"),
        ("breaker backtest graph-db --suggest --weight nan", 2, "more than 0"),
        ("search word --most 0", 2, "from 1 on"),
        ("log frob", 2, "see `dramaturg --help`"),
    ],
)
def test_one_line_says_what_to_do(  # noqa: PLR0913, PLR0917
    dramaturg: Run, data: Path, capsys: Captured, words: str, status: int, said: str
) -> None:
    assert data.exists()

    assert dramaturg(*words.split()) == status

    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("dramaturg: ")
    assert error.count("\n") == 1


def test_more_lines_than_there_are_events_are_all_of_them(
    dramaturg: Run, data: Path, capsys: Captured
) -> None:
    assert dramaturg("log", "tail", "-n", 10**20, "--data", data, "--json") == 0
    assert len(capsys.readouterr().out.splitlines()) == 38


@pytest.mark.parametrize("words", ["log export", "log tail -n 999 --json", "log stat"])
def test_a_reader_that_goes_away_is_no_news_and_a_full_disk_is(
    data: Path, words: str
) -> None:
    command = [*COMMAND, *words.split(), "--data", str(data)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as gone:
        assert gone.stdout is not None
        assert gone.stderr is not None
        gone.stdout.close()
        assert gone.stderr.read() == b""
    assert gone.returncode == 1

    with Path("/dev/full").open("wb") as full:
        refused = subprocess.run(command, stdout=full, stderr=-1, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith(b"dramaturg: ")
    assert b"No space left on device" in refused.stderr
    assert refused.stderr.count(b"\n") == 1


def test_a_process_without_standard_streams_does_its_work(
    data: Path, tmp_path: Path
) -> None:
    export = tmp_path / "export"
    words = (*COMMAND, "log", "export", str(export), "--data", str(data))
    closed = subprocess.run(
        ["/bin/sh", "-c", '"$@" <&- >&- 2>&-', "sh", *words], check=False
    )
    assert closed.returncode == 0
    lines = [json.loads(line) for line in export.read_bytes().splitlines()]
    assert lines[-1]["end"]["events"] == 38


def test_json_is_utf_8_and_a_line_has_numbers_for_what_the_screen_cannot_show(
    data: Path,
) -> None:
    data.rename(data.with_name("Zoë"))
    plain = {**os.environ, "PYTHONIOENCODING": "ascii"}
    words = (*COMMAND, "log", "verify", "--data", "Zoë")
    said = subprocess.run(words, env=plain, capture_output=True, check=True)
    assert said.stdout.startswith(rb"Zo\xeb/events.db: 38 events")
    told = subprocess.run(
        (*words, "--json"), env=plain, capture_output=True, check=True
    )
    assert json.loads(told.stdout)["path"] == "Zoë/events.db"


def test_a_name_neither_moves_the_cursor_nor_breaks_the_line(capsys: Captured) -> None:
    Output(as_json=False).error("\x1b[1mZoë\n\udcff.txt")
    assert capsys.readouterr().err == "dramaturg: \\x1b[1mZoë\\n\\udcff.txt\n"


@pytest.mark.parametrize("ctrl_c", ["default_int_handler", "SIG_IGN"])
def test_a_polite_end_is_one_line_and_a_seal(data: Path, ctrl_c: str) -> None:
    (data.parent / "docs").mkdir()
    for each in range(100):
        (data.parent / "docs" / f"{each}.txt").write_text(f"document {each}")
    endless = " ".join(f"a{each}=1" for each in range(200_000))  # to its parser
    (data.parent / "docs" / "0.html").write_text(f"<p {endless}>text")
    # A shell lets the jobs that it runs in the background ignore Ctrl-C.
    code = (
        f"import signal, sys; signal.signal(signal.SIGINT, signal.{ctrl_c});"
        "from dramaturg.daemon.cli import main; main(sys.argv[1:])"
    )
    words = ("ingest", "docs", "--data", "new", "--json")
    with subprocess.Popen(
        (sys.executable, "-c", code, *words),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        assert b"item.done" in running.stdout.readline()
        running.terminate()
        running.stdout.read()
        said = running.stderr.read()
    assert running.returncode == 1
    assert said == b"dramaturg: interrupted; run the same command again to go on\n"
    with LogReader(data.with_name("new") / "events.db", vocabulary()) as reader:
        assert reader.read(reader.position - 1)[0].stream == "log/seals"
