"""Read from a file, a log means what it means read from anywhere."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from dramaturg.events import Event
from dramaturg.events.log import Reader, Snapshot
from dramaturg.events.log.reader import LogReader
from dramaturg.events.pipelines import ItemDone, ItemSubmitted, StageDone
from dramaturg.events.vocabulary import vocabulary
from dramaturg.projections import OVERVIEW, Runner, Timeline, standard_folds

from ..log.forged import forge

Play = Callable[..., Reader]

PLAYED: list[tuple[str, Event]] = [
    ("item/letters/1", ItemSubmitted("letters", starts="read")),
    ("item/letters/2", ItemSubmitted("letters", starts="read")),
    ("item/letters/1", StageDone("read", starts="parse")),
    ("item/letters/1", StageDone("parse")),
    ("item/letters/1", ItemDone()),
]


def test_a_file_shows_the_same_states_at_every_position(
    play: Play,
    tmp_path: Path,
) -> None:
    other: Reader = play(PLAYED)
    expected = Timeline(other, standard_folds())
    half = expected.state("item/letters/1", at=3)
    state = msgspec.json.encode(half.state)
    snapshot = Snapshot("item/letters/1", half.version, half.position, 1, state)
    forge(tmp_path / "log.sqlite", PLAYED, [snapshot])

    with LogReader(tmp_path / "log.sqlite", vocabulary()) as reader:
        timeline = Timeline(reader, standard_folds())
        for at in range(len(PLAYED) + 1):
            states = expected.states(at=at, closed=True)
            assert timeline.states(at=at, closed=True) == states
            for stream, found in states.items():
                assert timeline.state(stream, at=at) == found
        assert timeline.states() == expected.states()
        assert timeline.position_at(35) == 3
        assert Runner(OVERVIEW).catch_up(reader) == Runner(OVERVIEW).catch_up(other)
