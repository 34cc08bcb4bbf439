"""Going back and forth in a log by the folds of the actors."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dramaturg.events import Event, Fold, UnknownEvent
from dramaturg.events.log import Reader, Snapshot
from dramaturg.projections import (
    BeyondEndError,
    Folds,
    FoldTakenError,
    NoFoldError,
    StreamNotBegunError,
    StreamState,
    Timeline,
    UnknownStreamError,
)

Play = Callable[..., Reader]


class Spoke(Event, tag="test.spoke"):
    line: str


class Left(Event, tag="test.left", closes=True):
    pass


class Part(msgspec.Struct, frozen=True):
    role: str
    lines: tuple[str, ...] = ()


def evolve(part: Part, event: Event) -> Part:
    line = event.line if isinstance(event, Spoke) else "exit"
    return Part(part.role, (*part.lines, line))


PARTS = Fold(kind="part", state=Part, initial=Part, evolve=evolve, version=3)

HAMLET = [
    ("part/hamlet", Spoke("To be")),
    ("part/ophelia", Spoke("My lord")),
    ("prop/skull", Spoke("...")),
    ("part/hamlet", UnknownEvent("test.sighed", 1, b"{}")),
    ("part/hamlet", Spoke("or not")),
    ("part/ophelia", Left()),
]


def test_a_stream_is_shown_as_it_was_at_any_position(play: Play) -> None:
    timeline = Timeline(play(HAMLET), [PARTS])

    now = timeline.state("part/hamlet")
    assert now == StreamState(
        stream="part/hamlet",
        version=3,
        position=5,
        open=True,
        state=Part("part/hamlet", ("To be", "or not")),
        unknown=1,
    )
    assert timeline.state("part/hamlet", at=4).state.lines == ("To be",)
    assert timeline.state("part/hamlet", at=4).position == 4
    assert not timeline.state("part/ophelia").open
    assert timeline.state("part/ophelia", at=5).open


def test_all_open_streams_are_shown_as_they_were(play: Play) -> None:
    timeline = Timeline(play(HAMLET), [PARTS])

    assert timeline.end == 6
    assert list(timeline.states()) == ["part/hamlet"]
    assert list(timeline.states(at=6)) == ["part/hamlet"]
    assert list(timeline.states(at=5)) == ["part/hamlet", "part/ophelia"]
    assert list(timeline.states(closed=True)) == ["part/hamlet", "part/ophelia"]
    assert list(timeline.states(at=5, prefix="part/o")) == ["part/ophelia"]
    assert timeline.states(at=0) == {}


def test_an_unknown_stream_is_answered_with_names_that_are_near(play: Play) -> None:
    timeline = Timeline(play(HAMLET), [PARTS])

    with pytest.raises(UnknownStreamError, match="did you mean part/hamlet") as caught:
        timeline.state("part/hamelt")
    assert caught.value.near[0] == "part/hamlet"
    with pytest.raises(UnknownStreamError, match="check its name"):
        timeline.state("zzz")


def test_a_stream_that_had_not_begun_is_answered_with_its_beginning(play: Play) -> None:
    with pytest.raises(StreamNotBegunError, match="began at position 2"):
        Timeline(play(HAMLET), [PARTS]).state("part/ophelia", at=1)


def test_a_position_beyond_the_end_is_an_error_with_the_range(play: Play) -> None:
    with pytest.raises(BeyondEndError, match="positions 1 to 6"):
        Timeline(play(HAMLET), [PARTS]).state("part/hamlet", at=7)
    with pytest.raises(BeyondEndError, match="is empty"):
        Timeline(play([]), [PARTS]).states(at=1)
    with pytest.raises(BeyondEndError):
        Timeline(play(HAMLET), [PARTS]).states(at=-1)


def test_a_kind_without_a_fold_is_named_with_the_known_kinds(play: Play) -> None:
    with pytest.raises(NoFoldError, match="streams 'prop', only for part"):
        Timeline(play(HAMLET), [PARTS]).state("prop/skull")
    with pytest.raises(NoFoldError, match="only for none"):
        Timeline(play(HAMLET), []).state("prop/skull")


def test_a_kind_has_one_fold() -> None:
    other = Fold(kind="part", state=Part, initial=Part, evolve=evolve)

    assert dict(Folds([PARTS, PARTS])) == {"part": PARTS}
    assert len(Folds([PARTS])) == 1
    with pytest.raises(FoldTakenError, match="'part'"):
        Folds([PARTS, other])


def test_times_are_turned_into_positions(play: Play) -> None:
    timeline = Timeline(play(HAMLET), [PARTS])

    assert timeline.position_at(39) == 3
    assert timeline.position_at(datetime(1970, 1, 1, 0, 0, 0, 40, tzinfo=UTC)) == 4
    with pytest.raises(ValueError, match="no time zone"):
        timeline.position_at(datetime(1970, 1, 1))  # noqa: DTZ001 - that is the point


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["part/a", "part/b", "part/c", "prop/d"]),
        st.one_of(
            st.builds(Spoke, st.text(max_size=2)),
            st.just(Left()),
            st.just(UnknownEvent("test.sighed", 1, b"{}")),
        ),
    ),
    max_size=20,
)


def shown(state: StreamState) -> tuple[object, ...]:
    return state.version, state.position, state.open, state.state


@settings(deadline=None)
@given(events=EVENTS, data=st.data())
def test_the_past_is_what_the_present_was_then(
    play: Play,
    events: Sequence[tuple[str, Event]],
    data: st.DataObject,
) -> None:
    at = data.draw(st.integers(0, len(events)))
    now = Timeline(play(events), [PARTS])
    then = Timeline(play(events[:at]), [PARTS])

    assert now.states(at=at) == then.states() == then.states(at=at)
    assert now.states(at=at, closed=True) == then.states(closed=True)
    for stream, state in then.states(closed=True).items():
        assert now.state(stream, at=at) == state


@settings(deadline=None)
@given(events=EVENTS, data=st.data())
def test_a_snapshot_changes_nothing_but_the_work(
    play: Play,
    events: Sequence[tuple[str, Event]],
    data: st.DataObject,
) -> None:
    plain = Timeline(play(events), [PARTS])
    at = data.draw(st.integers(0, len(events)))
    taken = data.draw(st.integers(0, len(events)))
    snapshots = [
        Snapshot(
            stream=stream,
            version=found.version,
            position=found.position,
            fold_version=data.draw(st.sampled_from([PARTS.version, 2])),
            state=msgspec.json.encode(found.state),
        )
        for stream, found in plain.states(at=taken, closed=True).items()
    ]
    quick = Timeline(play(events, snapshots), [PARTS])

    for stream, found in plain.states(at=at, closed=True).items():
        assert shown(quick.state(stream, at=at)) == shown(found)
