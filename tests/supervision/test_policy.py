"""What a supervisor decides, as tables and as laws."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dramaturg.actors.runtime import UnrecoverableError
from dramaturg.actors.runtime.supervision import (
    AutoShutdown,
    Backoff,
    Child,
    Directives,
    Exited,
    Failed,
    Family,
    Intensity,
    Plan,
    Restart,
    Strategy,
    decide,
    plainly_restarted,
)


class Rule(msgspec.Struct, frozen=True):
    restart: Restart = "permanent"
    significant: bool = False
    backoff: Backoff | None = None
    directives: Directives = {}


PERMANENT = Rule()
TRANSIENT = Rule("transient")
TEMPORARY = Rule("temporary")
GROUPS: tuple[Strategy, ...] = ("one_for_all", "rest_for_one")
STRATEGIES: tuple[Strategy, ...] = ("one_for_one", "dynamic", *GROUPS)


def family(
    strategy: Strategy = "one_for_one",
    *,
    auto_shutdown: AutoShutdown = "never",
    **rules: Rule,
) -> Family:
    children = {name: Child(rule) for name, rule in rules.items()}
    return Family(strategy, Intensity(), auto_shutdown, children)


def abc(strategy: Strategy) -> Family:
    return family(strategy, a=PERMANENT, b=PERMANENT, c=PERMANENT)


def failed(child: str, error: Exception | None = None, **more: bool) -> Failed:
    return Failed(child, error or ValueError("no"), 100.0, 0.0, **more)


def exited(child: str) -> Exited:
    return Exited(child, 100.0, 0.0)


@pytest.mark.parametrize(
    ("strategy", "child", "stops", "starts"),
    [
        ("one_for_one", "b", "", "b"),
        ("dynamic", "b", "", "b"),
        ("one_for_all", "a", "cb", "abc"),
        ("one_for_all", "b", "ca", "abc"),
        ("one_for_all", "c", "ba", "abc"),
        ("rest_for_one", "a", "cb", "abc"),
        ("rest_for_one", "b", "c", "bc"),
        ("rest_for_one", "c", "", "c"),
    ],
)
def test_a_strategy_says_who_is_restarted_and_in_which_order(
    strategy: Strategy, child: str, stops: str, starts: str
) -> None:
    plan = decide(abc(strategy), failed(child))

    assert plan.outcome == "carry_on"
    assert plan.stops == tuple(stops)
    assert plan.starts == tuple(starts)
    assert plan.restarts == (100.0,)


@pytest.mark.parametrize(
    ("restart", "after_failure", "after_exit"),
    [
        ("permanent", ("a",), ("a",)),
        ("transient", ("a",), ()),
        ("temporary", (), ()),
    ],
)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_restart_word_says_whether_a_child_comes_back(
    strategy: Strategy,
    restart: Restart,
    after_failure: tuple[str, ...],
    after_exit: tuple[str, ...],
) -> None:
    alone = family(strategy, a=Rule(restart))

    assert decide(alone, failed("a")).starts == after_failure
    assert decide(alone, exited("a")).starts == after_exit


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_failure_of_a_temporary_child_concerns_nobody_else(
    strategy: Strategy,
) -> None:
    others = family(strategy, a=PERMANENT, b=TEMPORARY, c=PERMANENT)

    assert decide(others, failed("b")) == Plan(forgets=("b",))


def test_a_group_restart_stops_temporary_children_for_good() -> None:
    group = family("one_for_all", a=PERMANENT, b=TEMPORARY, c=PERMANENT)

    plan = decide(group, failed("a"))

    assert plan.stops == ("c", "b")
    assert plan.starts == ("a", "c")
    assert plan.forgets == ("b",)


def test_a_group_restart_starts_a_transient_child_that_had_finished() -> None:
    group = family("rest_for_one", a=PERMANENT, b=TRANSIENT, c=PERMANENT)
    assert decide(group, exited("b")).forgets == ()
    child = group.children["b"]
    child.ended = True

    plan = decide(group, failed("a"))

    assert plan.stops == ("c",)
    assert plan.starts == ("a", "b", "c")


def test_alone_a_transient_child_that_finished_is_forgotten() -> None:
    assert decide(family(a=TRANSIENT), exited("a")).forgets == ("a",)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_restart_too_many_stops_everybody_and_goes_upwards(
    strategy: Strategy,
) -> None:
    weary = abc(strategy)
    weary.restarts = (98.0, 99.0, 100.0)

    plan = decide(weary, failed("b"))

    assert plan.outcome == "escalate"
    assert plan.stops == ("c", "a")
    assert plan.starts == ()


def test_restarts_older_than_the_window_do_not_count() -> None:
    weary = abc("one_for_one")
    weary.restarts = (94.9, 99.0, 100.0)

    plan = decide(weary, failed("b"))

    assert plan.outcome == "carry_on"
    assert plan.restarts == (99.0, 100.0, 100.0)


@pytest.mark.parametrize(
    ("error", "plan"),
    [
        (KeyError("x"), Plan(forgets=("a",))),
        (IndexError("x"), Plan("escalate", stops=("b",))),
        (OSError("x"), Plan(starts=("a",), delay_s=4.0, attempt=1, restarts=(100.0,))),
        (ConnectionError("x"), Plan("resume")),
        (ValueError("x"), Plan(starts=("a",), restarts=(100.0,))),
    ],
)
def test_the_nearest_class_of_the_exception_gives_the_directive(
    error: Exception, plan: Plan
) -> None:
    rule = Rule(
        directives={
            LookupError: "stop",
            IndexError: "escalate",
            OSError: Backoff(min_s=4.0),
            ConnectionError: "resume",
        }
    )

    assert decide(family(a=rule, b=PERMANENT), failed("a", error)) == plan


def test_an_actor_with_a_log_is_restarted_instead_of_resumed() -> None:
    rule = Rule(directives={ValueError: "resume"})

    assert decide(family(a=rule), failed("a", resumable=False)).starts == ("a",)


@pytest.mark.parametrize(
    ("auto_shutdown", "child", "outcome"),
    [
        ("never", "a", "carry_on"),
        ("any_significant", "a", "shut_down"),
        ("any_significant", "c", "carry_on"),
        ("all_significant", "a", "carry_on"),
    ],
)
def test_the_end_of_a_significant_child_may_end_the_supervisor(
    auto_shutdown: AutoShutdown, child: str, outcome: str
) -> None:
    some = family(
        auto_shutdown=auto_shutdown,
        a=Rule("transient", significant=True),
        b=Rule("temporary", significant=True),
        c=TRANSIENT,
    )

    assert decide(some, exited(child)).outcome == outcome


def test_the_last_significant_child_ends_a_supervisor_that_waits_for_all() -> None:
    last = family(
        "one_for_all",
        auto_shutdown="all_significant",
        a=Rule("transient", significant=True),
        b=Rule("transient", significant=True),
        c=PERMANENT,
    )
    last.children["a"].ended = True

    assert decide(last, exited("b")) == Plan("shut_down", stops=("c",))


def test_a_failure_restarts_a_significant_transient_child() -> None:
    some = family(
        auto_shutdown="any_significant", a=Rule("transient", significant=True)
    )

    assert decide(some, failed("a")).outcome == "carry_on"


def test_delays_double_until_the_child_has_lived_long_enough() -> None:
    rule = Rule(backoff=Backoff(min_s=1.0, max_s=5.0, jitter=0.0, reset_after_s=60.0))
    one = family(a=rule)
    child = one.children["a"]
    delays: list[float] = []
    for now_s in (100.0, 110.0, 120.0, 130.0, 200.0):
        plan = decide(one, Failed("a", ValueError(), now_s, 0.0))
        delays.append(plan.delay_s)
        child.attempt, child.started_s = plan.attempt, now_s + plan.delay_s

    assert delays == [1.0, 2.0, 4.0, 5.0, 1.0]


def test_the_default_backoff_never_exceeds_the_default_intensity() -> None:
    rule = Rule(backoff=Backoff())
    one = family(a=rule)
    now_s = 0.0
    for _ in range(50):
        plan = decide(one, Failed("a", ValueError(), now_s, 0.999))
        assert plan.outcome == "carry_on"
        one.restarts = plan.restarts
        one.children["a"].attempt = plan.attempt
        now_s += plan.delay_s
        one.children["a"].started_s = now_s


@pytest.mark.parametrize(
    "limits",
    [
        {"min_s": 0.0},
        {"min_s": 2.0, "max_s": 1.0},
        {"jitter": 1.1},
        {"reset_after_s": 0.0},
    ],
)
def test_a_backoff_that_means_nothing_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="take"):
        Backoff(**limits)


@pytest.mark.parametrize("limits", [(-1, 5.0), (3, 0.0)])
def test_an_intensity_that_means_nothing_is_refused(limits: tuple[int, float]) -> None:
    with pytest.raises(ValueError, match="take"):
        Intensity(*limits)


RULES = st.builds(
    Rule,
    st.sampled_from(["permanent", "transient", "temporary"]),
    st.booleans(),
    st.none() | st.just(Backoff()),
    st.dictionaries(
        st.sampled_from([LookupError, OSError, ValueError]),
        st.sampled_from(["restart", "stop", "escalate", "resume", Backoff()]),
    ),
)
FAMILIES = st.builds(
    Family,
    st.sampled_from(STRATEGIES),
    st.builds(Intensity, st.integers(0, 4), st.floats(0.1, 10)),
    st.sampled_from(["never", "any_significant", "all_significant"]),
    st.dictionaries(
        st.sampled_from("abcdefgh"),
        st.builds(Child, RULES, st.floats(0, 90), st.integers(0, 100)),
        min_size=1,
    ),
    st.lists(st.floats(80, 100)).map(sorted).map(tuple),
)
ERRORS = st.sampled_from([KeyError(), OSError(), ValueError(), TypeError()])


@st.composite
def happenings(draw: st.DrawFn) -> tuple[Family, Failed | Exited]:
    some = draw(FAMILIES)
    for child in some.children.values():
        child.ended = child.rule.restart == "transient" and draw(st.booleans())
    alive = [name for name, child in some.children.items() if not child.ended]
    if not alive:
        alive = list(some.children)
        some.children[alive[0]].ended = False
    name = draw(st.sampled_from(alive))
    if draw(st.booleans()):
        return some, Exited(name, 100.0, draw(st.floats(0, 0.999)))
    return some, Failed(
        name, draw(ERRORS), 100.0, draw(st.floats(0, 0.999)), draw(st.booleans())
    )


@given(happenings())
def test_stops_are_in_reverse_start_order_and_starts_in_order(
    case: tuple[Family, Failed | Exited],
) -> None:
    some, happened = case
    order = list(some.children)

    plan = decide(some, happened)

    assert list(plan.stops) == [n for n in reversed(order) if n in plan.stops]
    assert list(plan.starts) == [n for n in order if n in plan.starts]
    assert happened.child not in plan.stops


@given(happenings())
def test_who_is_stopped_either_comes_back_or_is_gone_for_good(
    case: tuple[Family, Failed | Exited],
) -> None:
    some, happened = case

    plan = decide(some, happened)

    if plan.outcome == "carry_on":
        assert set(plan.stops) <= set(plan.starts) | set(plan.forgets)
        assert not set(plan.starts) & set(plan.forgets)
        down = {*plan.stops, happened.child}
        down |= {n for n, child in some.children.items() if child.ended}
        assert set(plan.starts) <= down
    else:
        assert not plan.starts


@given(happenings())
def test_temporary_children_are_never_started_again(
    case: tuple[Family, Failed | Exited],
) -> None:
    some, happened = case
    starts = decide(some, happened).starts

    assert all(some.children[name].rule.restart != "temporary" for name in starts)


@given(happenings())
def test_everybody_is_stopped_when_the_supervisor_ends(
    case: tuple[Family, Failed | Exited],
) -> None:
    some, happened = case
    alive = {name for name, child in some.children.items() if not child.ended}

    plan = decide(some, happened)

    if plan.outcome in {"escalate", "shut_down"}:
        assert set(plan.stops) == alive - {happened.child}


@given(happenings())
def test_no_window_holds_more_restarts_than_allowed(
    case: tuple[Family, Failed | Exited],
) -> None:
    some, happened = case

    plan = decide(some, happened)

    if plan.starts:
        since_s = happened.now_s - some.intensity.within_s
        recent = [at_s for at_s in plan.restarts if at_s >= since_s]
        assert len(recent) <= some.intensity.restarts_max
        assert plan.restarts[-1] == happened.now_s


@given(
    st.builds(Intensity, st.integers(0, 5), st.floats(0.1, 10)),
    st.lists(st.floats(0, 5), max_size=50),
)
def test_the_window_counts_as_if_every_restart_had_been_kept(
    intensity: Intensity, gaps: list[float]
) -> None:
    everything: list[float] = []
    counted: tuple[float, ...] = ()
    now_s = 0.0
    for gap in gaps:
        now_s += gap
        everything.append(now_s)
        counted = intensity.counted(counted, now_s)
        recent = [at_s for at_s in everything if at_s >= now_s - intensity.within_s]
        assert intensity.exceeded(counted) == (len(recent) > intensity.restarts_max)
        assert len(counted) <= intensity.restarts_max + 1


@given(
    st.floats(0.001, 10), st.floats(1, 50), st.integers(1, 10**6), st.floats(0, 0.999)
)
def test_no_delay_leaves_its_bounds(
    min_s: float, factor: float, attempt: int, draw: float
) -> None:
    backoff = Backoff(min_s, min_s * factor, jitter=0.5)

    assert min_s / 2 <= backoff.delay_s(attempt, draw) <= backoff.max_s


@given(
    rule=st.builds(
        Rule,
        restart=st.sampled_from(["permanent", "transient", "temporary"]),
        backoff=st.none() | st.just(Backoff(min_s=1.0)),
        directives=st.sampled_from([{}, {OSError: "stop"}, {OSError: "resume"}]),
    ),
    strategy=st.sampled_from(["one_for_one", "dynamic"]),
    error=st.sampled_from([OSError("no"), ValueError("no"), UnrecoverableError("no")]),
    before=st.lists(st.floats(90.0, 100.0), max_size=4).map(sorted),
)
def test_what_is_plainly_restarted_is_what_the_policy_restarts_at_once(
    rule: Rule, strategy: Strategy, error: Exception, before: list[float]
) -> None:
    one = family(strategy, a=rule)
    one.restarts = tuple(before)
    counted = one.intensity.counted(one.restarts, 100.0)
    plan = decide(one, failed("a", error))

    if plainly_restarted(rule, error) and not one.intensity.exceeded(counted):
        assert plan == Plan(starts=("a",), restarts=counted)
    elif not rule.directives and rule.backoff is None:
        assert plan.outcome == "escalate" or not plan.starts
