"""The laws of an item, over random histories of commands."""

from collections.abc import Callable
from functools import reduce
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dramaturg.actors.pipelines import attempts, rollback, wishes
from dramaturg.actors.pipelines.errors import ItemStateError
from dramaturg.actors.pipelines.item import ENDS, FOLD, Item, Place, evolve
from dramaturg.actors.pipelines.messages import (
    CancelItem,
    ItemProgressed,
    Outcome,
    PauseItem,
    ResolveItem,
    ResumeItem,
    StageAborted,
    StageFailed,
    StageRejected,
    StageSucceeded,
)
from dramaturg.actors.pipelines.moment import Events, Moment
from dramaturg.actors.pipelines.plan import Plan, StagePlan
from dramaturg.events import Event, Registry
from dramaturg.events.pipelines import (
    EVENTS,
    CompensationPutOff,
    CompensationStarted,
    Failure,
    GaveUp,
    ItemSubmitted,
    PutOff,
    Redriven,
    StageCompensated,
    StageDone,
    StageStarted,
    StuckResolved,
)

STREAM = "item/letters/0192"
FAILURE = Failure(error="builtins.ConnectionError", message="no route")
REGISTRY = Registry(EVENTS)

PLANS = st.builds(
    Plan,
    pipeline=st.just("letters"),
    stages=st.lists(
        st.builds(
            StagePlan,
            name=st.sampled_from(["read", "parse", "store", "index"]),
            attempts_max=st.integers(1, 3),
            undo_attempts_max=st.integers(1, 2),
            percent=st.integers(0, 100),
            compensates=st.booleans(),
            after_crash=st.sampled_from(["retry", "give_up"]),
        ),
        min_size=1,
        max_size=4,
        unique_by=lambda stage: stage.name,
    ).map(tuple),
    entries=st.sampled_from(["", "dead-letter/letters/"]),
    asks_for_room=st.booleans(),
    put_offs_max=st.integers(1, 4),
)

Step = Callable[[Item, Moment], Events]


def report(kind: type[Outcome], **fields: Any) -> Step:
    handler: dict[type[Outcome], Callable[..., Events]] = {
        StageSucceeded: attempts.succeeded,
        StageFailed: attempts.failed,
        StageRejected: attempts.rejected,
        StageAborted: attempts.aborted,
        ItemProgressed: attempts.progressed,
    }

    def step(item: Item, moment: Moment) -> Events:
        about = (
            item.stream,
            item.stage,
            item.attempt,
            item.undoing,
            item.redrives,
        )
        return handler[kind](item, kind(*about, **fields), moment)

    return step


def wish(decide: Callable[..., Events], command: object) -> Step:
    def step(item: Item, moment: Moment) -> Events:
        try:
            return decide(item, command, moment)
        except ItemStateError:
            return ()

    return step


def redrive(payload: msgspec.Raw | msgspec.UnsetType) -> Step:
    def step(item: Item, _: Moment) -> Events:
        if item.place != "dead_lettered":
            return ()
        return (Redriven(entry=item.entry, payload=payload),)

    return step


STEPS: list[Step] = [
    attempts.start,
    attempts.start,
    attempts.start,
    report(StageSucceeded, result=msgspec.Raw(b"1")),
    report(StageSucceeded, result=msgspec.Raw(b'{"text": "hello"}')),
    report(StageFailed, failure=FAILURE, retry_in_us=1_000),
    report(StageFailed, failure=FAILURE, retry_in_us=None),
    report(StageRejected, wait_us=5_000, breaker="graph-db"),
    report(StageAborted),
    lambda item, moment: attempts.lost(item, 100, moment),
    report(ItemProgressed, percent=30),
    report(ItemProgressed, percent=70),
    wish(wishes.pause, PauseItem(STREAM, "look")),
    wish(wishes.resume, ResumeItem(STREAM)),
    wish(wishes.cancel, CancelItem(STREAM, "unwanted")),
    wish(wishes.resolve, ResolveItem(STREAM, "retry", "fixed")),
    wish(wishes.resolve, ResolveItem(STREAM, "skip", "done by hand")),
    wishes.give_room,
    wishes.refuse_room,
    redrive(msgspec.UNSET),
    redrive(msgspec.Raw(b'"corrected"')),
]

MOVES = st.lists(st.tuples(st.sampled_from(STEPS), st.booleans()), max_size=60)


def room(_: str, __: str) -> bool:
    return True


def no_room(_: str, __: str) -> bool:
    return False


def live(plan: Plan, moves: list[tuple[Step, bool]]) -> tuple[Item, list[Event]]:
    """Return the state lived through and the events that led to it."""
    submitted = ItemSubmitted(pipeline="letters", key="k", payload=msgspec.Raw(b"{}"))
    item = evolve(FOLD.initial(STREAM), submitted)
    events: list[Event] = [submitted]
    for step, free in moves:
        moment = Moment(plan, 1_000, room if free else no_room)
        for event in step(item, moment):
            item = evolve(item, event)
            events.append(event)
    return item, events


def stored(event: Event) -> Event:
    """Return the event as it comes back from the disk."""
    data = msgspec.json.encode(event)
    read = REGISTRY.decode(event.tag, event.version, data)
    assert isinstance(read, Event)
    return read


@settings(deadline=None)
@given(PLANS, MOVES)
def test_replay_gives_the_state_that_was_lived_through(
    plan: Plan,
    moves: list[tuple[Step, bool]],
) -> None:
    item, events = live(plan, moves)

    replayed = reduce(evolve, map(stored, events), FOLD.initial(STREAM))

    assert replayed == item
    snapshot = msgspec.json.encode(item)
    assert msgspec.json.decode(snapshot, type=FOLD.state) == item


@settings(deadline=None)
@given(PLANS, MOVES)
def test_an_item_is_in_exactly_one_place_and_never_leaves_an_end(
    plan: Plan,
    moves: list[tuple[Step, bool]],
) -> None:
    _, events = live(plan, moves)
    item = FOLD.initial(STREAM)
    for event in events:
        assert item.place not in ENDS, event
        if item.place == "dead_lettered":
            assert isinstance(event, Redriven)
        item = evolve(item, event)
        assert item.place in get_args(Place)
        assert type(event).closes == (item.place in {*ENDS, "dead_lettered"})
        assert bool(item.entry) == (item.place == "dead_lettered")
        assert (item.place == "running") <= bool(item.stage and item.attempt)


@settings(deadline=None)
@given(PLANS, MOVES)
def test_attempts_stay_within_the_limit_and_put_off_ones_are_not_used_up(  # noqa: C901 - a clause per event
    plan: Plan,
    moves: list[tuple[Step, bool]],
) -> None:
    _, events = live(plan, moves)
    used: dict[str, int] = {}
    undoing: dict[str, int] = {}
    for event in events:
        match event:
            case ItemSubmitted(starts=stage) | StageDone(starts=stage) if stage:
                used[stage] = 1
            case StageStarted(stage=stage, attempt=attempt):
                used[stage] = used.get(stage, 0) + 1
                assert used[stage] == attempt
            case PutOff(stage=stage):
                used[stage] -= 1
            case CompensationStarted(stage=stage, attempt=attempt):
                undoing[stage] = undoing.get(stage, 0) + 1
                assert undoing[stage] == attempt
            case StageCompensated(starts=stage) if stage:
                undoing[stage] = 1
            case CompensationPutOff(stage=stage):
                undoing[stage] -= 1
            case StuckResolved():
                undoing.clear()
            case Redriven():
                used.clear()
                undoing.clear()
            case _:
                pass
        for each in plan.stages.values():
            assert used.get(each.name, 0) <= each.attempts_max
            assert undoing.get(each.name, 0) <= each.undo_attempts_max


@settings(deadline=None)
@given(PLANS, MOVES)
def test_stages_are_undone_in_the_reverse_of_their_order_and_all_before_the_end(
    plan: Plan,
    moves: list[tuple[Step, bool]],
) -> None:
    _, events = live(plan, moves)
    item = FOLD.initial(STREAM)
    for event in events:
        match event:
            case StageCompensated(stage=stage):
                assert stage == plan.undoes(item.begun)
            case GaveUp():
                assert not plan.undoes(item.begun)
            case StageDone(stage=stage):
                assert stage in item.begun
            case _:
                pass
        item = evolve(item, event)
        done = [name for name in item.begun if name in item.results]
        assert set(done) == set(item.results)


@settings(deadline=None)
@given(PLANS, st.lists(st.sampled_from(STEPS), max_size=60))
def test_with_room_everywhere_a_done_item_has_the_results_of_all_stages(
    plan: Plan,
    steps: list[Step],
) -> None:
    item, _ = live(plan, [(step, True) for step in steps])
    if item.place == "done":
        assert set(item.results) >= set(plan.stages)


def test_an_event_of_another_stream_is_a_broken_invariant() -> None:
    with pytest.raises(AssertionError, match="is no event of an item"):
        evolve(FOLD.initial(STREAM), Event())


def test_progress_never_goes_back_nor_over_a_hundred() -> None:
    item = Item(STREAM, phase="running", stage="read", attempt=1, percent=50)

    step = Moment(Plan("letters", ()), 0, no_room)
    told = [report(ItemProgressed, percent=p)(item, step) for p in (50, 101, 51)]

    assert [len(events) for events in told] == [0, 0, 1]


def test_a_stage_that_is_no_longer_declared_is_passed_over() -> None:
    plan = Plan("letters", (StagePlan("read"), StagePlan("index")))
    moment = Moment(plan, 0, room)
    item = Item(
        STREAM,
        phase="waiting_to_retry",
        stage="parse",
        attempt=2,
        results={"read": msgspec.Raw(b"1")},
        begun=("read", "parse"),
    )

    assert attempts.start(item, moment) == (StageStarted(stage="index", attempt=1),)


def test_a_lowered_limit_of_attempts_holds_for_items_that_wait_to_retry() -> None:
    plan = Plan("letters", (StagePlan("read", attempts_max=2),))
    moment = Moment(plan, 0, room)
    item = Item(STREAM, phase="waiting_to_retry", stage="read", attempt=2)

    events = attempts.start(item, moment)

    assert reduce(evolve, events, item).place == "rolled_back"


def test_an_item_without_stages_left_is_done() -> None:
    moment = Moment(Plan("letters", ()), 0, room)
    events = attempts.start(Item(STREAM, phase="waiting"), moment)

    assert reduce(evolve, events, Item(STREAM)).place == "done"


def test_a_question_is_owed_only_once_all_is_undone() -> None:
    plan = Plan(
        "letters",
        (StagePlan("read", compensates=True),),
        entries="x/",
        asks_for_room=True,
    )
    moment = Moment(plan, 0, no_room)
    item = Item(STREAM, back="failed", begun=("read",))

    assert not rollback.owes_question(item, moment)
    assert rollback.owes_question(Item(STREAM, back="failed"), moment)


@given(
    st.lists(st.sampled_from("abcdx"), unique=True),
    st.sampled_from("abcdx"),
)
def test_what_follows_a_stage_is_the_first_that_is_not_done(
    done: list[str], just: str
) -> None:
    plan = Plan("letters", tuple(map(StagePlan, "abcd")))

    expected = next((s for s in "abcd" if s not in done and s != just), "")
    assert plan.after(just, dict.fromkeys(done)) == expected
