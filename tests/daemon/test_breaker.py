"""`dramaturg breaker`: explained, drawn and backtested from the log."""

import json
from pathlib import Path
from typing import Any

import pytest

from dramaturg.actors.breakers import BreakerConfig
from dramaturg.daemon.stays import MARKS, because, explain, span, strip
from dramaturg.events.breaker import Evidence
from dramaturg.projections.breaker_history import BreakerHistory, Stay

from ..breakers.clock import Hands
from ..breakers.histories import Command
from ..breakers.tape import Tape
from ..breakers.test_replay import Life
from ..log.forged import forge
from .conftest import Run

Captured = pytest.CaptureFixture[str]
CONFIG = BreakerConfig(
    window="count", window_calls=10, min_calls=4, cooldown_s=10.0, cooldown_factor=1.0
)


def lived(*more: Command, outcomes: str = "ggffff") -> Life:
    life = Life(Tape(CONFIG, Hands()))
    for mark in outcomes:
        life.do(("pass", 1.0))
        life.do(("call", "success" if mark == "g" else "failure", 0.0))
    for step in more:
        life.do(step)
    return life


def kept(life: Life, folder: Path) -> Path:
    folder.mkdir()
    forge(folder / "events.db", [("breaker/db", e) for e in life.tape.events])
    return folder


@pytest.fixture
def probing(tmp_path: Path) -> Path:
    """A cooldown is over: what was refused in it stands in the log."""
    return kept(lived(("pass", 20.0), ("begin",)), tmp_path / "probing")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return kept(lived(), tmp_path / "var")


def told(life: Life) -> BreakerHistory:
    history = BreakerHistory("breaker/db")
    for position, event in enumerate(life.tape.events, 1):
        history.apply(event, position)
    return history


def test_show_says_why_it_is_open_and_draws_its_history(
    dramaturg: Run, data: Path, capsys: Captured
) -> None:
    assert dramaturg("breaker", "show", "db", "--data", data) == 0

    shown = capsys.readouterr().out
    assert "db is open since" in shown
    assert "2 of 4 calls failed, 50%, which reached failure_rate 0.5" in shown
    assert "ConnectionError" in shown
    assert "then probes may pass" in shown
    assert MARKS["closed"] in shown
    assert MARKS["open"] in shown


def test_show_knows_what_was_the_case_before(
    dramaturg: Run, data: Path, capsys: Captured
) -> None:
    assert dramaturg("breaker", "show", "db", "--at", "2", "--data", data) == 0
    assert "db is closed since" in capsys.readouterr().out


def test_what_never_opened_is_closed_since_it_began(
    dramaturg: Run, tmp_path: Path, capsys: Captured
) -> None:
    calm = kept(lived(outcomes="gg"), tmp_path / "calm")

    assert dramaturg("breaker", "show", "db", "--data", calm) == 0
    assert "1970" not in capsys.readouterr().out
    assert dramaturg("breaker", "list", "--data", calm) == 0
    shown = capsys.readouterr().out
    assert "it began" in shown
    assert "1970" not in shown


def test_show_tells_a_program_everything(
    dramaturg: Run, data: Path, capsys: Captured
) -> None:
    assert dramaturg("breaker", "show", "db", "--json", "--data", data) == 0

    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["state"]["phase"] == "open"
    assert [stay["phase"] for stay in document["stays"]] == ["closed", "open"]
    assert document["stays"][0]["failures"] == 2


@pytest.mark.parametrize("kind", ["png", "svg"])
def test_a_history_is_drawn_into_a_file(
    dramaturg: Run, tmp_path: Path, capsys: Captured, kind: str
) -> None:
    probed = lived(("pass", 10.0), ("call", "success", 0.0), ("call", "success", 0.0))
    data, file = kept(probed, tmp_path / "var"), tmp_path / f"out.{kind}"

    assert dramaturg("breaker", "show", "db", "--plot", file, "--data", data) == 0

    assert f"drawn into {file}" in capsys.readouterr().out
    begin = {"png": b"\x89PNG", "svg": b"<?xml"}[kind]
    assert file.read_bytes().startswith(begin)


@pytest.mark.parametrize("file", ["out.doc", "nowhere/out.png"])
def test_a_picture_that_cannot_be_drawn_is_one_clear_line(
    dramaturg: Run, data: Path, tmp_path: Path, capsys: Captured, file: str
) -> None:
    path = tmp_path / file

    assert dramaturg("breaker", "show", "db", "--plot", path, "--data", data) == 2

    assert f"--plot {path} cannot be written" in capsys.readouterr().err


def test_all_breakers_are_listed(dramaturg: Run, data: Path, capsys: Captured) -> None:
    assert dramaturg("breaker", "list", "--json", "--data", data) == 0

    row = json.loads(capsys.readouterr().out)
    assert (row["name"], row["phase"], row["trips"]) == ("db", "open", 1)


def test_a_backtest_stands_beside_what_happened(
    dramaturg: Run, probing: Path, capsys: Captured
) -> None:
    words = (
        "breaker",
        "backtest",
        "db",
        "--set",
        "failure_rate=1.0",
        "--data",
        probing,
    )
    assert dramaturg(*words) == 0

    shown = capsys.readouterr().out
    assert "db: 4 calls, 2 refused in life" in shown
    assert "as it happened" in shown
    assert "settings in force" in shown
    assert "settings tried" in shown
    assert "When a call ended is known to" in shown
    assert "With the settings in force it opens at" in shown


def test_a_backtest_tells_a_program_everything(
    dramaturg: Run, probing: Path, capsys: Captured
) -> None:
    words = ("--set", "failure_rate=1.0", "--set", "slow_call_s=none", "--suggest")
    assert (
        dramaturg("breaker", "backtest", "db", *words, "--json", "--data", probing) == 0
    )

    document = json.loads(capsys.readouterr().out)
    assert (document["calls"], document["refused"]) == (4, 2)
    assert [*document["results"]] == ["force", "tried", "suggested"]
    replayed = document["results"]["force"]["trips"]
    assert replayed[0]["at_us"] == document["trips"][0]["at_us"]
    assert document["results"]["tried"]["trips"] == []


def test_a_suggestion_says_what_it_aims_at(
    dramaturg: Run, tmp_path: Path, capsys: Captured
) -> None:
    data = kept(lived(outcomes="g" * 20 + "f" * 9 + "g" * 20), tmp_path / "var")
    words = ("breaker", "backtest", "db", "--suggest", "--weight", "0.5")

    assert dramaturg(*words, "--data", data) == 0

    shown = capsys.readouterr().out
    assert "failures passed + 0.5 x refused wrongly" in shown
    assert "settings suggested" in shown
    calm = kept(lived(outcomes="g" * 20), tmp_path / "calm")
    assert dramaturg(*words, "--data", calm) == 0
    assert "settings tried has less of" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("show", "bd"), 1, "did you mean breaker/db"),
        (("backtest", "db"), 2, "say what to try"),
        (("backtest", "db", "--set", "failure_rate"), 2, "write name=value"),
        (("backtest", "db", "--set", "failure_rate=2"), 2, "failure_rate is 2.0"),
        (("backtest", "db", "--set", "rate=2"), 2, "there is no setting 'rate'"),
        (("backtest", "db", "--suggest", "--weight", "0"), 2, "more than 0"),
        (
            ("backtest", "db", "--set", "slow_rate=0.5", "--set", "slow_call_s=1"),
            1,
            "slow_call_s = 1.0 cannot be tested",
        ),
    ],
)
def test_bad_words_get_one_clear_line(  # noqa: PLR0913, PLR0917 - a table's columns
    dramaturg: Run,
    data: Path,
    capsys: Captured,
    words: tuple[str, ...],
    status: int,
    said: str,
) -> None:
    assert dramaturg("breaker", *words, "--data", data) == status

    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_a_person_is_named_with_the_reason() -> None:
    history = told(lived(("reset",), ("hold_open", None)))

    lines = explain(history.state, 0)

    assert lines[0].startswith("db is forced open since")
    assert "Somebody said: drill." in lines
    assert any(line.startswith("It last opened because") for line in lines)


def test_half_open_says_what_closes_it() -> None:
    history = told(lived(("pass", 10.0), ("begin",)))
    rated = told(lived(("pass", 10.0), ("begin",))).state
    rated = type(rated)("db", "half_open", config=BreakerConfig.preset("storage"))

    assert any("2 good ones close it" in line for line in explain(history.state, 0))
    assert any("judged by the rates" in line for line in explain(rated, 0))


@pytest.mark.parametrize(
    ("evidence", "said"),
    [
        (Evidence("manual", 0, 0, 0, 0.0), "somebody tripped it"),
        (Evidence("failures", 9, 5, 0, 5.0), "5 failures reached failures_max 5"),
        (Evidence("slow_rate", 4, 0, 2, 0.5), "2 of 4 calls were slow, 50%"),
        (Evidence("probes", 2, 1, 0, 1.0, ("E",)), "1 of 2 probes were bad; the last"),
    ],
)
def test_evidence_is_put_into_words(evidence: Evidence, said: str) -> None:
    assert said in because(evidence)


def test_the_strip_shows_the_worst_of_what_falls_together() -> None:
    second = 1_000_000
    stays = [
        Stay(1, "closed", 0, 52 * second),
        Stay(2, "open", 52 * second, 53 * second),
        Stay(3, "closed", 53 * second),
    ]

    line = strip(stays, 100 * second, 10).splitlines()[0]

    assert len(line) == 10
    assert line.count(MARKS["open"]) == 1
    assert strip([Stay(1, "closed", 5)], 5, 10).splitlines()[0] == MARKS["closed"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.25, "250 ms"), (12.34, "12.3 s"), (300.0, "5 min 0 s"), (7260.0, "2 h 1 min")],
)
def test_a_duration_is_said_as_people_do(seconds: float, said: str) -> None:
    assert span(seconds) == said
