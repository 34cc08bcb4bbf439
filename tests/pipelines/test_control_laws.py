"""The laws of a pipeline as a whole, and of the board that says who may start."""

from functools import reduce

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dramaturg.actors.pipelines import Pipeline, Stage, Work, attempts, control
from dramaturg.actors.pipelines.board import Board
from dramaturg.actors.pipelines.control import FOLD, Control
from dramaturg.actors.pipelines.errors import NoSuchStageError
from dramaturg.actors.pipelines.item import FOLD as ITEM
from dramaturg.actors.pipelines.item import Item
from dramaturg.actors.pipelines.messages import (
    ControlCommand,
    PausePipeline,
    PauseStage,
    ResumePipeline,
    ResumeStage,
)
from dramaturg.actors.pipelines.moment import Moment
from dramaturg.events import Event, Registry
from dramaturg.events.pipelines import (
    EVENTS,
    Failure,
    ItemSubmitted,
    Paused,
    PipelineDeclared,
    PutOff,
    Resumed,
    RetryScheduled,
    RollbackStarted,
    StageDeclared,
    StageDone,
)

STREAM = "pipeline/letters"
REGISTRY = Registry(EVENTS)
NAMES = ["read", "parse", "store"]


async def nothing(_: Work) -> None:
    """Do nothing."""


def declared(names: list[str]) -> PipelineDeclared:
    stages = tuple(StageDeclared(name, 4, 1_000_000, 3) for name in names)
    return PipelineDeclared(stages, in_flight_max=10)


COMMANDS: st.SearchStrategy[ControlCommand | PipelineDeclared] = st.one_of(
    st.builds(PausePipeline, st.sampled_from(["look", "mend"])),
    st.builds(ResumePipeline, st.just("mended")),
    st.builds(PauseStage, st.sampled_from(NAMES), st.just("slow")),
    st.builds(ResumeStage, st.sampled_from(NAMES), st.just("fast")),
    st.lists(st.sampled_from(NAMES), unique=True).map(declared),
)


@settings(deadline=None)
@given(st.lists(COMMANDS, max_size=30))
def test_replay_gives_the_pipeline_that_was_lived_through(
    commands: list[ControlCommand | PipelineDeclared],
) -> None:
    state, events = FOLD.initial(STREAM), list[Event]()
    for command in commands:
        try:
            if isinstance(command, PipelineDeclared):
                decided = control.declare(state, command)
            else:
                decided = control.decide(state, command)
        except NoSuchStageError:
            assert isinstance(command, PauseStage)
            continue
        assert len(decided) <= 1
        state = reduce(FOLD.evolve, decided, state)
        events += decided
        match command:
            case PausePipeline() | ResumePipeline():
                assert state.paused == isinstance(command, PausePipeline)
            case PauseStage(stage=stage) | ResumeStage(stage=stage):
                assert (stage in state.held) == isinstance(command, PauseStage)
            case PipelineDeclared():
                assert state.declared == command

    stored = [msgspec.json.encode(event) for event in events]
    read = [
        REGISTRY.decode(event.tag, event.version, data)
        for event, data in zip(events, stored, strict=True)
    ]
    replayed = FOLD.initial(STREAM)
    for event in read:
        assert isinstance(event, Event)
        replayed = FOLD.evolve(replayed, event)
    assert replayed == state
    assert msgspec.json.decode(msgspec.json.encode(state), type=Control) == state


def test_an_event_of_another_stream_is_a_broken_invariant() -> None:
    with pytest.raises(AssertionError, match="is no event of a pipeline"):
        FOLD.evolve(FOLD.initial(STREAM), Event())


# The board

FAILURE = Failure(error="ConnectionError")
PIPELINE = Pipeline(
    "letters",
    [Stage(name, nothing, concurrency=2, compensate=nothing) for name in NAMES],
    running_max=3,
    in_flight_max=5,
)
MOVES = st.lists(
    st.tuples(
        st.integers(0, 4),
        st.sampled_from(
            ["start", "wake", "done", "retry", "put_off", "pause", "resume", "turn"],
        ),
    ),
    max_size=60,
)


def event_of(  # noqa: PLR0911 - a clause per move
    move: str,
    item: Item,
) -> Event | None:
    """Return what a move does to an item, if it fits where the item is."""
    runs, about = item.phase == "running", (item.stage, item.attempt)
    ahead = runs and not item.back
    match move:
        case "done" if ahead:
            return StageDone(stage=item.stage)
        case "retry" if ahead:
            return RetryScheduled(*about, 5, 5, FAILURE)
        case "put_off" if ahead:
            return PutOff(*about, 5, "graph-db")
        case "turn" if ahead:
            return RollbackStarted(*about, FAILURE)
        case "pause" if not item.paused:
            return Paused("look")
        case "resume" if item.paused:
            return Resumed()
        case _:
            return None


def standing(board: Board) -> object:
    """Return what a board says, in a form that can be compared."""
    return (
        board.open,
        board.busy,
        {place: n for place, n in board.places.items() if n},
        [(board.running(name), board.waiting(name)) for name in NAMES],
        board.queued,
    )


@settings(deadline=None)
@given(MOVES)
def test_a_board_that_was_kept_says_what_one_made_anew_says(  # noqa: C901 - a model
    moves: list[tuple[int, str]],
) -> None:
    board, items, awake = Board(PIPELINE), dict[str, Item](), set[str]()
    board.manned = set(NAMES)

    def put(stream: str, event: Event) -> None:
        before = items.get(stream)
        after = ITEM.evolve(before or ITEM.initial(stream), event)
        items[stream] = after
        awake.discard(stream)
        if before and before.phase == after.phase == "running":
            board.moved(before.stage, after.stage)
        else:
            board.changed(stream, before, after)

    for number in range(5):
        put(f"item/letters/{number}", ItemSubmitted(pipeline="letters"))
    for number, move in moves:
        stream = f"item/letters/{number}"
        if move == "wake":
            board.wake(stream, items[stream])
            awake.add(stream)
        elif move == "start":
            for each in tuple(board.startable(9)):
                moment = Moment(board.plan, 0, board.free)
                for event in attempts.start(items[each], moment):
                    put(each, event)
        elif (happened := event_of(move, items[stream])) is not None:
            put(stream, happened)
        for name in NAMES:
            assert board.running(name) <= 2
        assert sum(map(board.running, NAMES)) <= 3

    anew = Board(PIPELINE)
    anew.manned = set(NAMES)
    for stream, item in items.items():
        anew.changed(stream, None, item)
        if stream in awake:
            anew.wake(stream, item)
    assert standing(board) == standing(anew)
    assert board.hungry() == bool(tuple(board.startable(9)))
    for stream, item in items.items():
        board.changed(stream, item, None)
    assert standing(board) == standing(Board(PIPELINE))
