"""`dramaturg ingest`: what a person and a program are told, whatever comes in."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from dramaturg.events.log.tables import FORMAT

from .conftest import Run

Captured = pytest.CaptureFixture[str]


def test_documents_are_ingested_once(
    dramaturg: Run, docs: Path, tmp_path: Path, capsys: Captured
) -> None:
    data = tmp_path / "var"

    assert dramaturg("ingest", docs, "--data", data) == 0
    assert "3 done now, 0 of 3 known from before" in capsys.readouterr().out
    assert dramaturg("ingest", docs, "--data", data) == 0
    assert "0 done now, 3 of 3 known from before" in capsys.readouterr().out


def test_a_changed_document_is_ingested_again(
    dramaturg: Run, docs: Path, tmp_path: Path, capsys: Captured
) -> None:
    data = tmp_path / "var"
    dramaturg("ingest", docs, "--data", data)
    (docs / "one.txt").write_text("Now it is about pypdf, and longer than before.\n")
    capsys.readouterr()

    assert dramaturg("ingest", docs, "--data", data) == 0

    said = capsys.readouterr().out
    assert "1 done now, 2 of 3 known from before; 3 in the graph, 3 in the inde" in said
    assert dramaturg("search", "pypdf", "--data", data, "--json") == 0
    assert json.loads(capsys.readouterr().out)["title"] == "one.txt"


def test_a_program_is_told_of_every_end_and_of_the_sum(
    dramaturg: Run, docs: Path, tmp_path: Path, capsys: Captured
) -> None:
    assert dramaturg("ingest", docs, "--data", tmp_path / "var", "--json") == 0

    *ends, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert [end["end"] for end in ends] == ["item.done"] * 3
    assert summary["done"] == 3


def test_every_bad_document_has_its_line_and_the_others_finish(
    dramaturg: Run, docs: Path, tmp_path: Path, capsys: Captured
) -> None:
    (docs / "empty.txt").touch()
    (docs / "empty.pdf").touch()
    (docs / "damaged.pdf").write_bytes(b"%PDF-1.7\nrubbish\n%%EOF")
    (docs / "damaged.docx").write_bytes(b"PK\x03\x04 rubbish")
    (docs / "binary.txt").write_bytes(bytes(range(256)) * 8)
    (docs / "latin.txt").write_bytes("Zürich, Köln und Malmö, schön".encode("latin-1"))
    with (docs / "huge.txt").open("wb") as huge:
        huge.truncate(200_000_000)

    assert dramaturg("ingest", docs, "--data", tmp_path / "var") == 1

    said = capsys.readouterr()
    assert "4 done now" in said.out
    lines = [line for line in said.err.splitlines() if line]
    assert len(lines) == 6
    for name in ("empty.txt", "empty.pdf", "damaged.pdf", "damaged.docx"):
        assert sum(f": {name}: " in line for line in lines) == 1
    assert any("huge.txt" in line and "50,000,000" in line for line in lines)


def test_a_file_that_may_not_be_read_is_named(docs: Path, tmp_path: Path) -> None:
    secret = docs / "secret.txt"
    secret.write_text("for nobody's eyes")
    secret.chmod(0)

    done = subprocess.run(
        [
            *without_privileges(),
            *(sys.executable, "-m", "dramaturg.daemon"),
            *("ingest", docs, "--data", tmp_path / "var"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1, done
    assert "secret.txt" in done.stderr
    assert "3 done now" in done.stdout


def without_privileges() -> list[str]:
    """Return what makes root obey the modes of files; others do anyway."""
    if os.getuid():
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root reads everything, and there is no setpriv")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name folders or files"),
        (("docs", "--installed"), "not both"),
        (("docs", "--chaos", "1.5"), "--chaos is 1.5"),
        (("docs", "--kill-after", "0"), "--kill-after is 0"),
        (("docs", "--chaos", "often"), "often"),
        (("nowhere",), "nowhere"),
        (("docs", "--config", "gone.toml"), "no settings file"),
    ],
)
def test_wrong_use_is_told_in_one_line(  # noqa: PLR0913, PLR0917 - fixtures
    dramaturg: Run,
    docs: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
    words: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(docs.parent)

    assert dramaturg("ingest", *words) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_a_folder_without_documents_is_wrong_use(
    dramaturg: Run, tmp_path: Path, capsys: Captured
) -> None:
    assert dramaturg("ingest", tmp_path) == 2
    assert "looked for txt, md, rst, html, pdf and docx" in capsys.readouterr().err


def test_a_second_writer_is_told_who_the_first_is(
    dramaturg: Run, docs: Path, tmp_path: Path, capsys: Captured
) -> None:
    data = tmp_path / "var"
    holding = (
        "import asyncio, sys; from dramaturg import vocabulary;"
        "from dramaturg.events.log.sqlite import SqliteLog;"
        "from pathlib import Path\n"
        "async def main():\n"
        "    Path(sys.argv[1]).mkdir()\n"
        "    async with SqliteLog(sys.argv[1] + '/events.db', vocabulary()):\n"
        "        print('held', flush=True)\n"
        "        await asyncio.to_thread(sys.stdin.read)\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holding, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"

        assert dramaturg("ingest", docs, "--data", data) == 1

        (line,) = capsys.readouterr().err.splitlines()
        assert f"process {first.pid}" in line
        first.kill()


def test_a_log_from_the_future_is_left_alone(
    dramaturg: Run, docs: Path, tmp_path: Path, capsys: Captured
) -> None:
    data = tmp_path / "var"
    dramaturg("ingest", docs, "--data", data)
    database = sqlite3.connect(data / "events.db")
    database.execute("UPDATE meta SET format = ?", (FORMAT + 1,))
    database.commit()
    database.close()
    capsys.readouterr()

    for words in (("ingest", docs), ("state",), ("log", "verify")):
        assert dramaturg(*words, "--data", data) == 1
        assert "upgrade dramaturg" in capsys.readouterr().err


def test_a_full_disk_is_told_and_nothing_is_lost(docs: Path, tmp_path: Path) -> None:
    data = tmp_path / "var"
    limited = (
        "import resource, signal, sys;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000));"
        "from dramaturg.daemon.cli import main; main(sys.argv[1:])"
    )
    words = ["ingest", str(docs), "--data", str(data)]
    full = subprocess.run(
        [sys.executable, "-B", "-c", limited, *words],
        capture_output=True,
        text=True,
        check=False,
    )

    assert full.returncode == 1, full
    assert "Traceback" not in full.stderr
    assert full.stderr.startswith("dramaturg: ")

    again = subprocess.run(
        [sys.executable, "-m", "dramaturg.daemon", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again
    assert "3 in the graph, 3 in the index" in again.stdout


def test_killed_after_so_many_documents_it_goes_on(
    dramaturg: Run, docs: Path, tmp_path: Path, capsys: Captured
) -> None:
    words = ("ingest", str(docs), "--data", str(tmp_path / "var"))
    killed = subprocess.run(
        [sys.executable, "-m", "dramaturg.daemon", *words, "--kill-after", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed

    assert dramaturg(*words) == 0
    said = capsys.readouterr().out
    assert "3 in the graph, 3 in the index" in said
    assert "3 done now" not in said


def test_interrupted_it_stops_in_order_and_says_how_to_go_on(
    docs: Path, tmp_path: Path
) -> None:
    for number in range(60):
        (docs / f"more-{number}.txt").write_text(f"Note {number}.\n" * 50)
    # A graph that fails now and then keeps it busy for long enough to be interrupted.
    words = ("ingest", docs, "--data", tmp_path / "var", "--json", "--chaos", "0.5")
    code = (  # where the tests run in the background Ctrl-C may be ignored
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from dramaturg.daemon.cli import main; main(sys.argv[1:])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()  # one is done, and many are under way
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()

    assert process.returncode == 1
    (line,) = errors.splitlines()
    assert line == "dramaturg: interrupted; run the same command again to go on"


def test_a_lost_index_is_built_anew_and_a_lost_graph_is_not_taken_for_an_empty_one(
    dramaturg: Run, docs: Path, tmp_path: Path, capsys: Captured
) -> None:
    data = tmp_path / "var"
    dramaturg("ingest", docs, "--data", data)
    (data / "index.sqlite").unlink()
    capsys.readouterr()

    assert dramaturg("ingest", docs, "--data", data) == 0
    assert "3 in the graph, 3 in the index" in capsys.readouterr().out
    assert dramaturg("search", "structlog", "--data", data, "--json") == 0
    assert json.loads(capsys.readouterr().out)["title"] == "two.md"

    for name in ("graph.lbug", "catalogue.sqlite"):
        (data / name).rename(data / "away")
        assert dramaturg("ingest", docs, "--data", data) == 1
        assert f"{name} is gone, with 3 documents in it" in capsys.readouterr().err
        assert not (data / name).exists()
        (data / "away").rename(data / name)
