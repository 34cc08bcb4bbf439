"""Projections: the same state however often they stopped on the way."""

import sqlite3
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dramaturg.events import Event
from dramaturg.events.log import LogDamagedError, Reader, Recorded
from dramaturg.projections import (
    Checkpoint,
    Checkpoints,
    CheckpointsError,
    Projection,
    Runner,
)

Play = Callable[..., Reader]


class Spoke(Event, tag="test.spoke"):
    line: str


class Script(msgspec.Struct):
    """Everything that was said, which notices any event missed, doubled or moved."""

    lines: list[tuple[int, str]] = []


def write_down(script: Script, recorded: Recorded) -> Script:
    if isinstance(recorded.event, Spoke):
        script.lines.append((recorded.position, recorded.event.line))
    return script


SCRIPT = Projection(name="script", state=Script, initial=Script, apply=write_down)

PLAY = [("part/hamlet", Spoke(str(line))) for line in range(2500)]


@pytest.fixture
def checkpoints(tmp_path: Path) -> Generator[Checkpoints]:
    with Checkpoints(tmp_path / "checkpoints.sqlite") as opened:
        yield opened


def test_a_projection_reads_the_log_page_by_page_and_tells_how_far_it_is(
    play: Play,
) -> None:
    told: list[tuple[int, int]] = []
    runner = Runner(SCRIPT)

    script = runner.catch_up(
        play(PLAY), progress=lambda at, end: told.append((at, end))
    )

    assert script.lines == [(line + 1, str(line)) for line in range(2500)]
    assert runner.position == 2500
    assert told == [(1000, 2500), (2000, 2500), (2500, 2500)]


def test_a_projection_stops_where_it_is_told_to(play: Play) -> None:
    runner = Runner(SCRIPT)

    assert len(runner.catch_up(play(PLAY), until=10).lines) == 10
    assert len(runner.catch_up(play(PLAY), until=1_000_000).lines) == 2500


def test_a_projection_goes_on_where_its_checkpoint_is(
    play: Play,
    checkpoints: Checkpoints,
) -> None:
    Runner(SCRIPT, checkpoints).catch_up(play(PLAY), until=1200)

    told: list[tuple[int, int]] = []
    again = Runner(SCRIPT, checkpoints)
    again.catch_up(play(PLAY), progress=lambda at, end: told.append((at, end)))

    assert told[0] == (2200, 2500)
    assert again.state == Runner(SCRIPT).catch_up(play(PLAY))
    assert not again.rebuilding


def test_checkpoints_are_kept_on_the_way(play: Play, checkpoints: Checkpoints) -> None:
    kept: list[int] = []

    def look(_position: int, _end: int) -> None:
        checkpoint = checkpoints.load("script")
        kept.append(checkpoint.position if checkpoint else 0)

    runner = Runner(SCRIPT, checkpoints, checkpoint_every=2000)
    runner.catch_up(play(PLAY), progress=look)

    assert kept == [0, 2000, 2000]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": 0}, "version 0, the projection of version 1"),
        ({"position": 2501}, "ends before position 2501"),
        ({"anchor": "part/ophelia 1 10"}, "another event stands at position 10"),
        ({"state": b'{"lines": 7}'}, "does not fit"),
    ],
)
def test_a_checkpoint_that_is_not_of_this_log_and_code_is_built_anew(
    play: Play,
    checkpoints: Checkpoints,
    change: dict[str, object],
    reason: str,
) -> None:
    Runner(SCRIPT, checkpoints).catch_up(play(PLAY), until=10)
    checkpoint = checkpoints.load("script")
    assert isinstance(checkpoint, Checkpoint)
    checkpoints.save("script", msgspec.structs.replace(checkpoint, **change))

    runner = Runner(SCRIPT, checkpoints)
    script = runner.catch_up(play(PLAY))

    assert reason in runner.rebuilding
    assert script == Runner(SCRIPT).catch_up(play(PLAY))


def test_nothing_new_writes_nothing(play: Play, checkpoints: Checkpoints) -> None:
    Runner(SCRIPT, checkpoints).catch_up(play(PLAY))
    checkpoint = checkpoints.load("script")

    runner = Runner(SCRIPT, checkpoints)
    runner.catch_up(play(PLAY))
    checkpoints.close()
    runner.checkpoint()  # would fail on the closed file

    assert checkpoint is not None
    assert runner.position == checkpoint.position


def test_an_empty_log_is_the_initial_state(
    play: Play,
    checkpoints: Checkpoints,
) -> None:
    assert Runner(SCRIPT, checkpoints).catch_up(play([])) == Script()
    assert checkpoints.load("script") is None


def test_the_event_that_a_projection_could_not_take_follows_its_position(
    play: Play,
) -> None:
    def stumble(script: Script, recorded: Recorded) -> Script:
        if recorded.position == 1777:
            raise LookupError
        return script

    runner = Runner(
        Projection(name="clumsy", state=Script, initial=Script, apply=stumble),
    )

    with pytest.raises(LookupError):
        runner.catch_up(play(PLAY))
    assert runner.position == 1776


@settings(deadline=None)
@given(
    lines=st.lists(st.text(max_size=3), max_size=30),
    stops=st.lists(st.integers(0, 30), max_size=4),
    every=st.integers(1, 10),
)
def test_stopped_and_resumed_anywhere_it_is_as_if_it_had_run_through(
    play: Play,
    lines: Sequence[str],
    stops: Sequence[int],
    every: int,
) -> None:
    reader = play([("part/hamlet", Spoke(line)) for line in lines])
    state = whole = Runner(SCRIPT).catch_up(reader)

    with TemporaryDirectory() as folder:
        for stop in (*stops, None):
            with Checkpoints(Path(folder) / "checkpoints.sqlite") as checkpoints:
                runner = Runner(SCRIPT, checkpoints, checkpoint_every=every)
                state = runner.catch_up(reader, until=stop)
                assert not runner.rebuilding
    assert state == whole


def test_a_file_that_is_no_file_of_checkpoints_is_an_error_that_helps(
    tmp_path: Path,
) -> None:
    (tmp_path / "novel.txt").write_text("It was a dark and stormy night. " * 100)

    with pytest.raises(CheckpointsError, match=r"novel\.txt .*remove it"):
        Checkpoints(tmp_path / "novel.txt")
    with pytest.raises(CheckpointsError, match="nowhere"):
        Checkpoints(tmp_path / "nowhere" / "checkpoints.sqlite")


def test_a_file_that_goes_bad_while_it_is_open_is_an_error_that_helps(
    tmp_path: Path,
    checkpoints: Checkpoints,
) -> None:
    with closing(sqlite3.connect(tmp_path / "checkpoints.sqlite")) as other:
        other.execute("DROP TABLE checkpoints")

    with pytest.raises(CheckpointsError, match="no such table"):
        checkpoints.load("script")
    with pytest.raises(CheckpointsError, match="no such table"):
        checkpoints.save("script", Checkpoint(1, 1, "", b""))


def test_a_log_that_ends_before_its_end_is_damaged_and_no_endless_task(
    play: Play,
) -> None:
    reader = play(PLAY)

    class Longer:
        position = 2501

        def __getattr__(self, name: str) -> object:
            return getattr(reader, name)

    with pytest.raises(LogDamagedError, match="after position 2500"):
        Runner(SCRIPT).catch_up(cast("Reader", Longer()))
