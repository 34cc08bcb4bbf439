"""`dramaturg state`, `log`, `ask-graph` and `search` over what was ingested."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dramaturg.daemon.cli import run
from dramaturg.events.log.schema import connect_writer

from .conftest import Run, own_logging, write_docs

Captured = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ingest three good documents and an empty one; nobody writes here any more."""
    folder = tmp_path_factory.mktemp("ingested")
    write_docs(docs := folder / "docs")
    (docs / "empty.txt").touch()
    with own_logging():
        assert run(["ingest", str(docs), "--data", str(folder / "var")]) == 1
    return folder / "var"


@pytest.fixture
def data(ingested: Path, tmp_path: Path) -> Path:
    """Return what was ingested, in a copy of the test's own."""
    return shutil.copytree(ingested, tmp_path / "var")


def told(capsys: Captured) -> list[Any]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_open_streams_are_listed_and_any_of_them_is_shown_as_of_any_position(
    dramaturg: Run, data: Path, capsys: Captured
) -> None:
    assert dramaturg("state", "--data", data, "--json") == 0
    streams = {row["stream"].split("/")[0] for row in told(capsys)}
    assert streams == {"breaker", "pipeline", "dead-letter"}

    assert dramaturg("state", "--closed", "--data", data, "--json") == 0
    items = [row for row in told(capsys) if row["stream"].startswith("item/")]
    assert len(items) == 4
    done = next(row for row in items if row["state"]["phase"] == "done")

    assert dramaturg("state", done["stream"], "--data", data, "--json") == 0
    (now,) = told(capsys)
    assert now["state"] == done["state"]
    before = str(done["position"] - 1)
    assert dramaturg("state", done["stream"], "--at", before, "--data", data) == 0
    assert json.loads(capsys.readouterr().out)["version"] < done["version"]


def test_a_person_sees_a_table(dramaturg: Run, data: Path, capsys: Captured) -> None:
    assert dramaturg("state", "--data", data) == 0
    shown = capsys.readouterr().out
    assert "as of position" in shown
    assert "breaker/graph-db" in shown
    assert "phase closed" in shown


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("state", "breaker/graph-bd"), 1, "did you mean breaker/graph-db"),
        (("state", "--at", "100000"), 1, "position 100000"),
        (("state", "--at", "soon"), 2, "neither a position nor a time"),
        (("log", "tail", "--frob"), 2, "--frob"),
        (("ask-graph", "who-knows"), 2, "there is no question 'who-knows'"),
        (("ask-graph", "depends-on"), 2, "name it"),
        (("ask-graph", "--cypher", "MATCH oops"), 1, "oops"),
        (("ask-graph", "--cypher", "MATCH (n) DETACH DELETE n"), 1, "dramaturg: "),
        (("search",), 2, "name the words"),
    ],
)
def test_what_cannot_be_answered_is_told_in_one_line(  # noqa: PLR0913, PLR0917
    dramaturg: Run,
    data: Path,
    capsys: Captured,
    words: tuple[str, ...],
    status: int,
    said: str,
) -> None:
    assert dramaturg(*words, "--data", data) == status
    error = capsys.readouterr().err
    assert said in error
    assert error.startswith("dramaturg: ")
    assert "Traceback" not in error


def test_a_time_stands_for_the_last_position_before_it(
    dramaturg: Run, data: Path, capsys: Captured
) -> None:
    assert dramaturg("state", "--at", "2001-01-01", "--data", data, "--json") == 0
    assert told(capsys) == []
    assert dramaturg("state", "--at", "2999-01-01T00:00Z", "--data", data) == 0
    assert "breaker/graph-db" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [("state",), ("log", "stat"), ("log", "verify"), ("search", "x")]
)
def test_a_folder_without_a_log_says_what_to_do(
    dramaturg: Run, tmp_path: Path, capsys: Captured, words: tuple[str, ...]
) -> None:
    assert dramaturg(*words, "--data", tmp_path) in {1, 2}
    assert "run `dramaturg ingest` first" in capsys.readouterr().err


def test_the_log_is_counted_and_shown(
    dramaturg: Run, data: Path, capsys: Captured
) -> None:
    assert dramaturg("log", "stat", "--data", data, "--json") == 0
    kinds = {row["kind"]: row for row in told(capsys)}
    assert kinds["item"]["streams"] == 4
    assert kinds["dead-letter"]["open"] == 1

    assert dramaturg("log", "tail", "-n", "3", "--data", data, "--json") == 0
    positions = [row["position"] for row in told(capsys)]
    assert positions == list(range(positions[0], positions[0] + 3))

    words = ("log", "tail", "--stream", "pipeline/documents", "--data", data)
    assert dramaturg(*words) == 0
    assert "pipeline.declared" in capsys.readouterr().out


def test_a_sound_log_is_verified_and_a_damaged_one_is_named(
    dramaturg: Run, data: Path, capsys: Captured
) -> None:
    assert dramaturg("log", "verify", "--data", data) == 0
    assert "every one as it was written" in capsys.readouterr().out

    file = data / "events.db"
    stored = file.read_bytes()
    assert stored.count(b'"attempts_max":3') > 0
    file.write_bytes(stored.replace(b'"attempts_max":3', b'"attempts_max":9', 1))

    assert dramaturg("log", "verify", "--data", data, "--json") == 1
    said = capsys.readouterr()
    (report,) = map(json.loads, said.out.splitlines())
    (damage,) = report["damages"]
    assert damage["kind"] == "digest"
    assert f"position {damage['position']}: digest" in said.err


def test_a_seal_kept_elsewhere_shows_a_rewritten_log(
    dramaturg: Run, data: Path, tmp_path: Path, capsys: Captured
) -> None:
    assert dramaturg("log", "seal", "--data", data, "--json") == 0
    printed = capsys.readouterr().out
    (kept := tmp_path / "seal.json").write_text(printed)
    root = json.loads(printed)["root"]
    assert dramaturg("log", "seal", "--data", data) == 0
    assert root in capsys.readouterr().out
    words = ("log", "verify", "--anchor", kept, "--anchor", root, "--data")
    assert dramaturg(*words, data) == 0
    assert "1 seals, 2 anchors" in capsys.readouterr().out

    other = tmp_path / "docs-2"
    other.mkdir()
    (other / "other.txt").write_text("anyio")
    assert dramaturg("ingest", other, "--data", tmp_path / "other") == 0
    assert dramaturg(*words, tmp_path / "other") == 1
    assert "are not those that were sealed" in (said := capsys.readouterr().err)
    assert f"no seal in the log has the root {root}" in said
    assert dramaturg("log", "verify", "--anchor", "x", "--data", data) == 2
    assert "neither a root" in capsys.readouterr().err


def test_a_log_without_a_seal_says_so(
    dramaturg: Run, tmp_path: Path, capsys: Captured
) -> None:
    connect_writer(tmp_path / "events.db").close()

    assert dramaturg("log", "seal", "--data", tmp_path) == 1
    assert "no seal yet" in capsys.readouterr().err


def test_the_graph_answers(dramaturg: Run, data: Path, capsys: Captured) -> None:
    assert dramaturg("ask-graph", "mentions", "structlog", "--data", data) == 0
    assert "two.md" in capsys.readouterr().out

    assert dramaturg("ask-graph", "contents", "--data", data, "--json") == 0
    counts = {row["kind"]: row["count"] for row in told(capsys)}
    assert counts["Document"] == 3


def test_questions_are_listed(dramaturg: Run, capsys: Captured) -> None:
    assert dramaturg("ask-graph") == 0
    assert "depends-on" in capsys.readouterr().out


def test_words_are_found(dramaturg: Run, data: Path, capsys: Captured) -> None:
    assert dramaturg("search", "anyio", "--data", data, "--json") == 0
    (hit,) = told(capsys)
    assert hit["title"] == "one.txt"
    assert "[anyio]" in hit["snippet"]


def test_the_version_is_told(dramaturg: Run, capsys: Captured) -> None:
    assert dramaturg("--version") == 0
    assert capsys.readouterr().out.strip()


@pytest.mark.parametrize(
    ("missing", "words"),
    [("cyclopts", ["log", "stat"]), ("ladybug", ["ask-graph"])],
)
def test_without_its_extras_the_command_says_what_to_install(
    missing: str, words: list[str]
) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None;"
        f"sys.argv[1:] = {words!r};"
        "from dramaturg.daemon.__main__ import main; main()"
    )
    bare = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )

    assert bare.returncode == 2
    assert bare.stderr.startswith(f"dramaturg: the command needs {missing}")
    assert "dramaturg[daemon,documents]" in bare.stderr


def test_looking_at_a_log_loads_nothing_of_the_documents(data: Path) -> None:
    code = (
        "import sys; from dramaturg.daemon.cli import run;"
        "run(['log', 'stat', '--data', sys.argv[1]]);"
        "assert 'ladybug' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(data)], check=True)
