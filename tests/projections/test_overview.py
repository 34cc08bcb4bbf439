"""The overview says what the folds of the actors say, and counts what happened."""

from collections import Counter
from collections.abc import Callable
from random import Random

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from dramaturg.actors.dead_letters.entry import Entry
from dramaturg.actors.pipelines.control import Control
from dramaturg.actors.pipelines.item import ENDS
from dramaturg.actors.pipelines.plan import Plan
from dramaturg.actors.transactions.transaction import Transaction
from dramaturg.events import Event, UnknownEvent, breaker, dead_letters, pipelines
from dramaturg.events import transactions as tx
from dramaturg.events.log import Reader
from dramaturg.projections import OVERVIEW, Overview, Runner, Timeline, standard_folds
from dramaturg.projections.pipelines import PipelineView

from ..pipelines.test_item_laws import MOVES, PLANS, Step, live

Play = Callable[..., Reader]
Played = tuple[str, Event]


def seen(reader: Reader) -> Overview:
    return Runner(OVERVIEW).catch_up(reader)


def declared(plan: Plan) -> Played:
    stages = tuple(
        pipelines.StageDeclared(stage.name, 1, 1, stage.attempts_max)
        for stage in plan.stages.values()
    )
    event = pipelines.PipelineDeclared(stages=stages, in_flight_max=9)
    return "pipeline/letters", event


@settings(deadline=None, max_examples=60)
@given(
    plan=PLANS,
    other=PLANS,
    moves=st.lists(MOVES, max_size=4),
    order=st.randoms(use_true_random=False),
    data=st.data(),
)
def test_every_item_is_counted_in_the_one_place_where_its_fold_says_it_is(  # noqa: PLR0913, PLR0917 - drawn
    play: Play,
    plan: Plan,
    other: Plan,
    moves: list[list[tuple[Step, bool]]],
    order: Random,
    data: st.DataObject,
) -> None:
    lives = [
        [(f"item/letters/{n}", event) for event in live(plan, move)[1]]
        for n, move in enumerate(moves)
    ]
    played: list[Played] = [declared(plan)]
    while any(lives):
        played.append(order.choice([life for life in lives if life]).pop(0))
        if order.random() < 0.05:
            played.append(declared(order.choice([plan, other])))
    reader = play(played)

    overview = seen(reader)

    items = Timeline(reader, standard_folds()).states(prefix="item/", closed=True)
    places = Counter(found.state.place for found in items.values())
    view = overview.items.pipelines["letters"]
    assert Counter(view.places) == places
    assert view.submitted == len(moves)
    assert view.in_flight == sum(
        n for place, n in places.items() if place not in {*ENDS, "dead_lettered"}
    )
    kept = {name for name, found in items.items() if found.state.place not in ENDS}
    assert set(overview.items.items) == kept
    stages = view.stages.values()
    assert sum(s.running + s.undoing for s in stages) == places["running"]
    assert sum(s.retrying for s in stages) == places["waiting_to_retry"]
    assert all(
        number >= 0 for stage in stages for number in msgspec.structs.astuple(stage)
    )
    done = [e for _, e in played if isinstance(e, pipelines.StageDone)]
    assert sum(stage.done for stage in stages) == len(done)

    stop = data.draw(st.integers(0, len(played)))
    runner = Runner(OVERVIEW)
    half = runner.catch_up(reader, until=stop)
    runner.state = msgspec.json.decode(msgspec.json.encode(half), type=Overview)
    assert runner.catch_up(reader) == overview


FAILURE = pipelines.Failure(error="builtins.ConnectionError", message="no route")
PAYLOAD = msgspec.Raw(b'{"large": "very"}')


def test_a_stage_counts_what_happened_and_shows_what_happens(play: Play) -> None:
    stages = (
        pipelines.StageDeclared("extract", 4, 1, 3),
        pipelines.StageDeclared("graph", 1, 1, 3, breaker="graph-db"),
    )
    played: list[Played] = [
        (
            "pipeline/documents",
            pipelines.PipelineDeclared(stages=stages, in_flight_max=9),
        ),
        ("item/documents/1", pipelines.ItemSubmitted("documents", payload=PAYLOAD)),
        ("item/documents/1", pipelines.StageStarted("extract", 1)),
        (
            "item/documents/1",
            pipelines.StageDone("extract", PAYLOAD, starts="graph", took_us=7),
        ),
        ("item/documents/1", pipelines.PutOff("graph", 1, 99, "graph-db")),
        ("item/documents/2", pipelines.ItemSubmitted("documents", starts="extract")),
        (
            "item/documents/2",
            pipelines.RetryScheduled("extract", 1, 99, 9, FAILURE),
        ),
        ("item/documents/3", pipelines.ItemSubmitted("documents")),
        ("item/documents/4", pipelines.ItemSubmitted("documents", starts="extract")),
        ("pipeline/documents", pipelines.PipelinePaused("lunch")),
    ]

    overview = seen(play(played))

    view = overview.items.pipelines["documents"]
    assert list(view.stages) == ["extract", "graph"]
    extract, graph = view.stages.values()
    assert (extract.waiting, extract.running, extract.retrying) == (1, 1, 1)
    assert (extract.done, extract.retries, extract.took_us) == (1, 1, 7)
    assert (graph.retrying, graph.put_off, graph.done) == (1, 1, 0)
    assert view.control.reason == "lunch"
    assert view.at("waiting_to_retry") == 2
    assert view.at("done") == 0
    assert b"very" not in msgspec.json.encode(overview)
    assert (overview.position, overview.committed_us) == (10, 100)


def test_an_item_that_is_undone_stuck_and_redriven_is_followed(play: Play) -> None:
    stages = (
        pipelines.StageDeclared("extract", 4, 1, 3, compensates=True),
        pipelines.StageDeclared("graph", 1, 1, 3),
    )
    item = "item/documents/1"
    declaration = pipelines.PipelineDeclared(stages=stages, in_flight_max=9)
    history: list[tuple[Event, str, str]] = [
        (pipelines.ItemSubmitted("documents", starts="extract"), "running", "extract"),
        (pipelines.StageDone("extract", starts="graph"), "running", "graph"),
        (pipelines.RollbackStarted("graph", 3, FAILURE), "waiting", "graph"),
        (pipelines.CompensationStarted("graph", 1), "undoing", "graph"),
        (pipelines.StageCompensated("graph"), "waiting", "extract"),
        (pipelines.CompensationStarted("extract", 1), "undoing", "extract"),
        (pipelines.CompensationPutOff("extract", 1, 9, "b"), "retrying", "extract"),
        (pipelines.CompensationStarted("extract", 1), "undoing", "extract"),
        (pipelines.Stuck("extract", 1, FAILURE), "stuck", "extract"),
        (pipelines.StuckResolved("skip", "by hand"), "waiting", ""),
        (pipelines.GaveUp("graph", 3, FAILURE, "dead-letter/documents/1"), "", ""),
        (pipelines.Redriven("dead-letter/documents/1", PAYLOAD), "waiting", "extract"),
        (pipelines.Paused("look"), "waiting", "extract"),
    ]
    played: list[Played] = [("pipeline/documents", declaration)]
    view = PipelineView(Control("pipeline/documents"))
    for event, column, at in history:
        played.append((item, event))

        view = seen(play(played)).items.pipelines["documents"]

        now = {
            (name, what): number
            for name, stage in view.stages.items()
            for what, number in msgspec.structs.asdict(stage).items()
            if what in {"waiting", "running", "undoing", "retrying", "stuck"} and number
        }
        assert now == ({(at, column): 1} if at else {}), event
    assert view.at("paused") == view.in_flight == view.redriven == 1
    assert view.stages["graph"].failed == 1
    assert b"very" not in msgspec.json.encode(seen(play(played)))


def parked(fingerprint: str) -> dead_letters.Parked:
    return dead_letters.Parked(
        item="item/documents/1",
        item_version=9,
        pipeline="documents",
        stage="graph",
        error="builtins.ConnectionError",
        message="no route",
        fingerprint=fingerprint,
        attempts=3,
        at_us=1,
    )


def test_dead_letters_are_counted_by_reason_and_by_end(play: Play) -> None:
    played: list[Played] = [
        ("dead-letter/documents/1", parked("a")),
        ("dead-letter/documents/2", parked("b")),
        ("dead-letter/documents/3", parked("b")),
        ("dead-letter/documents/4", parked("c")),
        ("dead-letter/other/5", parked("a")),
        ("dead-letter/documents/4", dead_letters.Expired(at_us=5)),
    ]

    overview = seen(play(played)).dead_letters

    queue = overview.queues["documents"]
    assert (queue.parked, queue.parked_ever, queue.ends) == (3, 4, {"expired": 1})
    assert [(r.fingerprint, r.count) for r in overview.reasons("documents")] == [
        ("b", 2),
        ("a", 1),
    ]
    assert [r.count for r in overview.reasons()] == [2, 2]
    assert all(isinstance(entry, Entry) for entry in overview.entries.values())
    assert len(overview.entries) == 4


def test_transactions_are_counted_by_their_ends(play: Play) -> None:
    step = tx.PlannedStep("write", msgspec.Raw(b"{}"))
    began = tx.Began(steps=(step,), deadline_us=9, at_us=1)
    stuck = tx.Stuck(step=0, direction="back", error="E", message="m", at_us=2)
    played: list[Played] = [
        ("transaction/files/1", began),
        ("transaction/files/2", began),
        ("transaction/files/3", began),
        ("transaction/files/4", began),
        ("transaction/files/1", tx.Committed(at_us=2)),
        ("transaction/files/2", tx.RolledBack("no", at_us=2)),
        ("transaction/files/3", stuck),
        ("transaction/files/4", stuck),
        ("transaction/files/4", tx.Retried(step=0, reason="again", at_us=3)),
    ]

    overview = seen(play(played)).transactions

    view = overview.coordinators["files"]
    assert (view.began, view.open, view.stuck) == (4, 2, 1)
    assert view.ends == {"committed": 1, "rolled_back": 1}
    assert {name: found.phase for name, found in overview.open.items()} == {
        "transaction/files/3": "stuck",
        "transaction/files/4": "back",
    }
    assert all(isinstance(found, Transaction) for found in overview.open.values())


def test_breakers_show_their_phase_and_their_trips(play: Play) -> None:
    until = breaker.Deadline(9, "boot", 9, 5)
    evidence = breaker.Evidence("failures", 5, 5, 0, 5.0)
    played: list[Played] = [
        ("breaker/graph-db", breaker.Opened(1, 2, until, 1, evidence)),
        ("breaker/graph-db", breaker.HalfOpened(2, 3)),
        ("breaker/other", breaker.Opened(1, 2, until, 1, evidence)),
    ]

    overview = seen(play(played)).breakers

    assert overview.trips == 2
    assert overview.breakers["graph-db"].phase == "half_open"
    assert overview.breakers["other"].evidence == evidence


def test_streams_and_events_of_others_are_passed_over(play: Play) -> None:
    class Sang(Event, tag="test.sang"):
        pass

    played = [("opera/1", Sang()), ("item/x/1", UnknownEvent("item.new", 1, b"{}"))]

    overview = seen(play(played))

    assert overview == Overview(position=2, committed_us=20, unknown=1)
