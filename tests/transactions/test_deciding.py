"""The decider of a transaction, driven without actors through a made-up world."""

from functools import reduce
from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dramaturg.actors.retries import RetryPolicy
from dramaturg.actors.transactions.deciding import begin, decide
from dramaturg.actors.transactions.errors import TransactionRefusedError
from dramaturg.actors.transactions.limits import Limits
from dramaturg.actors.transactions.moves import Setting, ready
from dramaturg.actors.transactions.news import (
    Answered,
    AnyNews,
    Failed,
    Found,
    Prepared,
    Recovered,
    ResolutionWanted,
    RollbackWanted,
    Succeeded,
    Ticked,
    UndoFailed,
    Undone,
)
from dramaturg.actors.transactions.transaction import FOLD, Transaction, evolve
from dramaturg.events import Event, Registry
from dramaturg.events.transactions import (
    EVENTS,
    Began,
    Committed,
    CompensationStarted,
    InDoubt,
    PlannedStep,
    RollbackStarted,
    RolledBack,
    StepDone,
    StepDoubted,
    StepFailed,
    StepSkipped,
    StepStarted,
    Stuck,
)

STREAM = "transaction/main/01"
SECOND = 1_000_000
DEADLINE = 1000 * SECOND
REGISTRY = Registry(EVENTS)
EMPTY = msgspec.Raw(b"{}")


def limits(attempts_max: int) -> Limits:
    return Limits(retry=RetryPolicy(attempts_max=attempts_max, base_s=0.5))


def began(*steps: PlannedStep) -> Began:
    return Began(steps=steps, deadline_us=DEADLINE, at_us=0)


def step(
    *,
    group: int = 0,
    pivot: bool = False,
    in_doubt: InDoubt = "compensate",
    attempts_max: int = 1,
) -> PlannedStep:
    return PlannedStep(
        name="s",
        args=EMPTY,
        group=group,
        pivot=pivot,
        in_doubt=in_doubt,
        attempts_max=attempts_max,
    )


class Life:
    """A transaction lived through: the state is folded event by event."""

    def __init__(self, *steps: PlannedStep, queue: str = "") -> None:
        self.events: list[Event] = []
        self.state = FOLD.initial(STREAM)
        self.now_us = 0
        self.limits = limits(3)
        self.queue = queue
        self.take(begin(self.state, began(*steps), self.limits))

    def take(self, events: tuple[Event, ...]) -> tuple[Event, ...]:
        self.events += events
        self.state = reduce(evolve, events, self.state)
        return events

    def tell(self, *news: AnyNews) -> tuple[Event, ...]:
        setting = Setting(now_us=self.now_us, limits=self.limits, queue=self.queue)
        told: list[Event] = []
        for one in news:
            told += self.take(decide(self.state, one, setting))
        return tuple(told)

    def types(self) -> list[type[Event]]:
        return [type(event) for event in self.events]

    def wait(self, seconds: float) -> tuple[Event, ...]:
        self.now_us += round(seconds * SECOND)
        return self.tell(Ticked())


def done(number: int) -> tuple[AnyNews, ...]:
    return Prepared(number, EMPTY), Succeeded(number, 1, EMPTY)


def fails(number: int, attempt: int = 1) -> Failed:
    return Failed(number, attempt, "OSError", "no")


def test_steps_in_order_lead_to_the_commit() -> None:
    life = Life(step(), step())

    life.tell(*done(0), *done(1))

    assert life.types() == [
        *(Began, StepStarted, StepDone, StepStarted, StepDone),
        Committed,
    ]
    assert life.state.phase == "committed"


def test_a_failure_rolls_back_in_reverse_order_the_failed_step_included() -> None:
    life = Life(step(), step(), step())
    life.tell(*done(0), *done(1), Prepared(2, EMPTY), fails(2))

    life.tell(Undone(2, 1), Undone(1, 1), Undone(0, 1))

    order = [e.step for e in life.events if isinstance(e, CompensationStarted)]
    assert order == [2, 1, 0]
    assert life.state.phase == "rolled_back"
    assert "OSError: no" in life.state.reason


def test_a_step_that_never_started_is_not_taken_back() -> None:
    life = Life(step(), step())

    life.tell(*done(0), Failed(1, 0, "OSError", "cannot prepare"))
    life.tell(Undone(0, 1))

    order = [e.step for e in life.events if isinstance(e, CompensationStarted)]
    assert order == [0]
    assert life.state.phase == "rolled_back"


def test_late_success_of_a_fenced_step_changes_nothing() -> None:
    life = Life(step(), step())
    life.tell(*done(0), Prepared(1, EMPTY), RollbackWanted("enough"))

    assert life.tell(Succeeded(1, 1, EMPTY)) == ()
    assert life.tell(fails(1)) == ()
    assert life.tell(Answered(1, "done")) == ()


def test_a_report_of_an_earlier_attempt_changes_nothing() -> None:
    life = Life(step(attempts_max=2))
    life.tell(Prepared(0, EMPTY), fails(0))
    life.wait(60)

    assert life.state.steps[0].attempts == 2
    assert life.tell(Succeeded(0, 1, EMPTY)) == ()
    assert life.tell(Prepared(0, EMPTY)) == ()


def test_a_step_is_retried_with_growing_delays_and_then_given_up() -> None:
    life = Life(step(attempts_max=3))
    life.tell(Prepared(0, EMPTY))

    for attempt in (1, 2):
        life.tell(fails(0, attempt))
        assert life.tell(Ticked()) == ()
        assert life.state.steps[0].retry_at_us == life.now_us + 250_000 * attempt
        life.wait(60)
    life.tell(fails(0, 3))

    assert life.state.phase == "back"


def test_a_preparation_is_retried_without_an_effect_in_between() -> None:
    life = Life(step(attempts_max=2))
    life.tell(Failed(0, 0, "OSError", "busy"))
    assert ready(life.state, life.now_us) == ()

    assert life.wait(60) == ()
    assert ready(life.state, life.now_us) == (0,)
    life.tell(*done(0))

    assert life.state.phase == "committed"


def test_the_deadline_turns_it_back_before_the_pivot() -> None:
    life = Life(step(), step())
    life.tell(Prepared(0, EMPTY))

    life.wait(1000)

    assert life.state.phase == "back"
    assert life.state.reason == "deadline exceeded"
    assert life.tell(Prepared(1, EMPTY)) == ()


def test_no_step_starts_after_the_deadline() -> None:
    life = Life(step())
    life.now_us = DEADLINE

    assert [type(e) for e in life.tell(Prepared(0, EMPTY))] == [
        RollbackStarted,
        RolledBack,
    ]


def test_after_the_pivot_there_is_only_forward() -> None:
    life = Life(step(), step(pivot=True), step())
    life.tell(*done(0), *done(1), Prepared(2, EMPTY))
    life.wait(2000)

    with pytest.raises(TransactionRefusedError, match="pivot"):
        life.tell(RollbackWanted("too late"))
    for attempt in (1, 2, 3):
        assert life.state.phase == "forward"
        life.tell(fails(2, attempt))
        life.wait(60)

    assert life.state.phase == "stuck"
    assert not any(isinstance(e, RollbackStarted) for e in life.events)


def test_a_group_is_prepared_together_and_joined() -> None:
    life = Life(step(), step(group=1), step(group=1), step(group=2), step())
    assert ready(life.state, 0) == (0,)
    life.tell(*done(0))
    assert ready(life.state, 0) == (1, 2)
    life.tell(Prepared(1, EMPTY), Prepared(2, EMPTY), Succeeded(2, 1, EMPTY))
    assert ready(life.state, 0) == ()
    life.tell(Succeeded(1, 1, EMPTY))
    assert ready(life.state, 0) == (3,)


@pytest.mark.parametrize(
    ("in_doubt", "follows"),
    [
        ("redo", [StepStarted]),
        ("query", [StepDoubted]),
        ("compensate", [StepFailed, RollbackStarted, CompensationStarted]),
        ("manual", [Stuck]),
    ],
)
def test_a_step_in_doubt_goes_by_its_declaration(
    in_doubt: InDoubt, follows: list[type[Event]]
) -> None:
    life = Life(step(in_doubt=in_doubt))
    life.tell(Prepared(0, EMPTY))

    assert [type(event) for event in life.tell(Recovered())] == follows


def test_a_running_step_is_not_in_doubt() -> None:
    life = Life(step(in_doubt="redo"))
    life.tell(Prepared(0, EMPTY))

    assert life.tell(Recovered(frozenset({0}))) == ()


@pytest.mark.parametrize(
    ("found", "follows"),
    [
        ("done", [StepDone, Committed]),
        ("absent", [StepStarted]),
        ("unknown", [StepFailed, RollbackStarted, CompensationStarted]),
    ],
)
def test_a_queried_step_goes_by_the_answer(
    found: Found, follows: list[type[Event]]
) -> None:
    life = Life(step(in_doubt="query"))
    life.tell(Prepared(0, EMPTY), Recovered())

    assert [type(event) for event in life.tell(Answered(0, found))] == follows


def test_work_that_kills_the_process_is_not_redone_for_ever() -> None:
    life = Life(step(in_doubt="redo"))
    life.tell(Prepared(0, EMPTY))

    life.tell(Recovered(), Recovered(), Recovered())

    assert life.state.steps[0].attempts == 3
    assert life.state.phase == "back"


def test_work_that_kills_the_process_is_not_queried_for_ever() -> None:
    life = Life(step(in_doubt="query"))
    life.tell(Prepared(0, EMPTY))

    life.tell(Recovered(), Answered(0, "absent"), Recovered(), Recovered())

    assert life.state.phase == "back"


def test_no_step_is_started_while_its_neighbour_is_stuck() -> None:
    manual, query = step(group=1, in_doubt="manual"), step(group=1, in_doubt="query")
    life = Life(manual, query)
    life.tell(Prepared(0, EMPTY), Prepared(1, EMPTY), Recovered())
    assert life.state.phase == "stuck"

    assert life.tell(Answered(1, "absent")) == ()
    life.tell(ResolutionWanted("skip", "not needed"), Recovered())

    assert life.state.steps[1].status == "doubted"
    assert [type(event) for event in life.tell(Answered(1, "absent"))] == [StepStarted]


def test_a_compensation_is_bounded_then_stuck_with_a_dead_letter() -> None:
    life = Life(step(), queue="main")
    life.tell(Prepared(0, EMPTY), fails(0))

    for attempt in (1, 2, 3):
        life.tell(UndoFailed(0, attempt, "OSError", "still no"))
        life.wait(60)

    assert life.state.phase == "stuck"
    assert life.state.letter == f"dead-letter/main/01.{life.state.version - 1}"
    assert life.state.stuck_step == 0


def test_crashing_compensations_are_bounded_too() -> None:
    life = Life(step())
    life.tell(Prepared(0, EMPTY), fails(0))

    life.tell(Recovered(), Recovered(), Recovered())

    assert life.state.steps[0].undos == 3
    assert life.state.phase == "stuck"


def stuck_back() -> Life:
    life = Life(step(), step())
    life.tell(*done(0), Prepared(1, EMPTY), fails(1))
    for attempt in (1, 2, 3):
        life.tell(UndoFailed(1, attempt, "OSError", "still no"))
        life.wait(60)
    return life


def test_a_stuck_compensation_can_be_retried() -> None:
    life = stuck_back()
    life.tell(ResolutionWanted("retry", "disk replaced"), Ticked())

    life.tell(Undone(1, 4), Undone(0, 1))

    assert life.state.phase == "rolled_back"


def test_a_stuck_compensation_can_be_skipped() -> None:
    life = stuck_back()
    life.tell(ResolutionWanted("skip", "cleaned by hand"), Undone(0, 1))

    assert life.state.phase == "rolled_back"
    assert life.state.steps[1].status == "abandoned"


@pytest.mark.parametrize(
    ("resolution", "phase"), [("commit", "committed"), ("roll_back", "rolled_back")]
)
def test_a_stuck_end_can_be_declared(
    resolution: Literal["commit", "roll_back"], phase: str
) -> None:
    life = stuck_back()
    life.tell(ResolutionWanted(resolution, "checked by hand"))

    assert life.state.phase == phase
    assert life.state.stuck_step is None


def test_a_manual_step_goes_on_after_it_was_resolved() -> None:
    retried = Life(step(in_doubt="manual"), step())
    retried.tell(Prepared(0, EMPTY), Recovered())
    retried.tell(ResolutionWanted("retry", "not there"), Ticked())
    assert retried.state.steps[0].attempts == 2

    skipped = Life(step(in_doubt="manual"), step())
    skipped.tell(Prepared(0, EMPTY), Recovered(), ResolutionWanted("skip", "there"))
    assert ready(skipped.state, 0) == (1,)

    back = Life(step(in_doubt="manual"))
    back.tell(Prepared(0, EMPTY), Recovered(), RollbackWanted("rather not"))
    assert back.state.phase == "back"


def test_siblings_of_a_stuck_step_still_report() -> None:
    life = Life(step(group=1, in_doubt="manual"), step(group=1))
    life.tell(Prepared(0, EMPTY), Prepared(1, EMPTY), Recovered(frozenset({1})))
    life.tell(Succeeded(1, 1, EMPTY))

    assert life.state.phase == "stuck"
    assert life.state.steps[1].status == "done"


def test_what_the_state_does_not_allow_is_refused() -> None:
    life = Life(step())
    with pytest.raises(TransactionRefusedError, match="not stuck"):
        life.tell(ResolutionWanted("retry", "why not"))
    life.tell(*done(0))
    with pytest.raises(TransactionRefusedError, match="cannot turn back"):
        life.tell(RollbackWanted("too late"))


def test_a_plan_beyond_the_limits_is_refused() -> None:
    fresh, tight = FOLD.initial(STREAM), Limits(steps_max=2, deadline_max_s=10)
    with pytest.raises(TransactionRefusedError, match="0 steps"):
        begin(fresh, began(), tight)
    with pytest.raises(TransactionRefusedError, match="3 steps"):
        begin(fresh, began(step(), step(), step()), tight)
    with pytest.raises(TransactionRefusedError, match="deadline"):
        begin(fresh, began(step()), tight)
    with pytest.raises(TransactionRefusedError, match="begun already"):
        begin(Life(step()).state, began(step()), tight)


def test_an_event_of_another_kind_is_no_part_of_a_transaction() -> None:
    class Foreign(Event, tag="foreign"):
        pass

    with pytest.raises(TypeError, match="foreign"):
        evolve(FOLD.initial(STREAM), Foreign())


class World:
    """Steps with effects that may or may not happen, and a fence that holds."""

    def __init__(self, life: Life, data: st.DataObject) -> None:
        self.life = life
        self.data = data
        self.effects: set[int] = set()
        self.fenced: set[int] = set()
        self.running: dict[int, AnyNews] = {}
        self.late: set[int] = set()

    def pick(self, *choices: str) -> str:
        return self.data.draw(st.sampled_from(choices))

    def live(self) -> None:
        """Do one thing that can happen next."""
        phase = self.life.state.phase
        match self.pick("work", "work", "work", "work", "crash", "late", "wait"):
            case "work":
                self.work()
            case "crash":
                self.crash()
            case "late" if self.late:
                self.apply(self.data.draw(st.sampled_from(sorted(self.late))))
            case "late" if phase == "stuck":
                self.resolve()
            case _:
                self.follow(self.life.wait(100))

    def crash(self) -> None:
        self.late |= {
            number
            for number in self.running
            if self.life.state.steps[number].status == "started"
        }
        self.running.clear()
        self.follow(self.life.tell(Recovered()))

    def resolve(self) -> None:
        self.follow(self.life.tell(ResolutionWanted("retry", "again")))
        self.follow(self.life.tell(Recovered(frozenset(self.running))))

    def apply(self, number: int) -> None:
        """Make the effect, unless the fence refuses it."""
        if number not in self.fenced:
            self.effects.add(number)

    def work(self) -> None:
        state = self.life.state
        if self.running:
            number = self.data.draw(st.sampled_from(sorted(self.running)))
            self.finish(number)
        elif numbers := ready(state, self.life.now_us):
            for number in numbers:
                news: AnyNews = Prepared(number, msgspec.Raw(b"%d" % number))
                if self.pick("ok", "ok", "ok", "bad") == "bad":
                    news = Failed(number, 0, "OSError", "not prepared")
                self.follow(self.life.tell(news))
        else:
            self.follow(self.life.wait(100))

    def finish(self, number: int) -> None:
        step, ok = self.life.state.steps[number], self.pick("ok", "ok", "bad") == "ok"
        news: AnyNews
        del self.running[number]
        match step.status:
            case "started":
                if ok or self.pick("happened", "not") == "happened":
                    self.apply(number)
                news = Succeeded(number, step.attempts, EMPTY)
                if not ok:
                    news = Failed(number, step.attempts, "OSError", "no")
            case "doubted":
                found: Found = "done" if number in self.effects else "absent"
                news = Answered(number, found if ok else "unknown")
            case _:
                self.fenced.add(number)
                news = Undone(number, step.undos)
                if ok:
                    self.effects.discard(number)
                else:
                    news = UndoFailed(number, step.undos, "OSError", "no")
        self.follow(self.life.tell(news))

    def follow(self, events: tuple[Event, ...]) -> None:
        for event in events:
            match event:
                case RollbackStarted():
                    self.late |= set(self.running)
                    self.running.clear()
                case StepStarted(step=number) | StepDoubted(step=number):
                    self.running[number] = Ticked()
                case CompensationStarted(step=number):
                    self.fenced.add(number)
                    self.running[number] = Ticked()
                case StepSkipped():
                    pytest.fail("nobody skipped a step")
                case _:
                    pass


PLANS = st.lists(
    st.builds(
        step,
        group=st.integers(0, 2),
        in_doubt=st.sampled_from(["redo", "query", "compensate", "manual"]),
        attempts_max=st.integers(1, 3),
    ),
    min_size=1,
    max_size=4,
)


@given(plan=PLANS, pivot=st.integers(0, 5), data=st.data())
def test_whatever_happens_all_effects_are_there_or_none_or_it_is_stuck(
    plan: list[PlannedStep], pivot: int, data: st.DataObject
) -> None:
    plan = [
        msgspec.structs.replace(one, pivot=number == pivot)
        for number, one in enumerate(plan)
    ]
    life = Life(*plan)
    life.limits = limits(2)
    world = World(life, data)
    for _ in range(40):
        world.live()
        if life.state.phase in {"committed", "rolled_back"}:
            break

    state = life.state
    if state.phase == "committed":
        assert world.effects == set(range(len(plan)))
    elif state.phase == "rolled_back":
        assert world.effects == set()
    else:
        assert state.phase in {"forward", "back", "stuck"}
    assert_that_compensations_went_backwards(life.events)
    assert_that_nothing_turned_back_after_the_pivot(life.events, plan)
    assert_that_replay_equals_life(life)


def assert_that_compensations_went_backwards(events: list[Event]) -> None:
    order = [e.step for e in events if isinstance(e, CompensationStarted)]
    assert order == sorted(order, reverse=True)


def assert_that_nothing_turned_back_after_the_pivot(
    events: list[Event], plan: list[PlannedStep]
) -> None:
    pivoted = False
    for event in events:
        if isinstance(event, StepDone):
            pivoted |= plan[event.step].pivot
        assert not (pivoted and isinstance(event, RollbackStarted))


def assert_that_replay_equals_life(life: Life) -> None:
    stored = [(e.tag, e.version, msgspec.json.encode(e)) for e in life.events]
    state: Transaction = FOLD.initial(STREAM)
    for tag, version, data in stored:
        event = REGISTRY.decode(tag, version, data)
        assert isinstance(event, Event)
        state = FOLD.evolve(state, event)
    assert state == life.state
    assert msgspec.json.decode(msgspec.json.encode(state), type=FOLD.state) == state
