"""Recorded calls replayed through other settings of a breaker."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dramaturg.actors.breakers import BreakerConfig
from dramaturg.events import Event
from dramaturg.events.breaker import Opened, Reopened, WindowRolledUp
from dramaturg.projections.backtest import (
    BacktestError,
    RecordedCall,
    Recording,
    backtest,
    cost,
    recorded_calls,
    suggest,
)
from dramaturg.projections.breaker_history import BreakerHistory

from ..breakers.clock import WALL_US, Hands
from ..breakers.histories import COMMANDS, Command, configs, histories
from ..breakers.tape import Tape
from ..breakers.test_replay import ACTIONS, Life, live

COUNT = BreakerConfig(
    window="count", window_calls=10, min_calls=4, cooldown_s=10.0, cooldown_factor=1.0
)


def call(outcome: str, took_s: float = 0.0) -> Command:
    return ("call", outcome, took_s)


def calls(pattern: str, every_s: float = 1.0) -> list[Command]:
    """Make a history of it: g is a good call, f a failed one, each after a while."""
    ends = {"g": call("success"), "f": call("failure"), "s": call("success", 0.9)}
    return [step for mark in pattern for step in (("pass", every_s), ends[mark])]


def record(config: BreakerConfig, history: list[Command]) -> Recording:
    life = live(config, [*history, ("reset",)])  # a transition flushes the rest
    return recorded_calls("db", life.tape.events)


def seconds(recording: Recording) -> list[tuple[float, str, bool]]:
    first_us = WALL_US + Hands().us
    return [
        ((row.at_us - first_us) / 1e6, row.ended, row.refused)
        for row in recording.calls
    ]


def test_calls_come_back_in_order_at_about_the_time_they_ended() -> None:
    recording = record(COUNT, calls("gfgg"))

    assert [row[1] for row in seconds(recording)] == ["good", "failed", "good", "good"]
    for (at_s, *_), ended_s in zip(seconds(recording), range(1, 5), strict=True):
        assert abs(at_s - ended_s) <= recording.resolution_us / 1e6
    assert recording.resolution_us <= 1_000_000


def test_a_refused_call_is_taken_to_end_as_the_nearest_one_did() -> None:
    opening, refused, probes = calls("ffff"), calls("ggg", 2.0), calls("gg", 9.0)

    recording = record(COUNT, [*opening, *refused, *probes])

    assert [row[1:] for row in seconds(recording)] == [
        *[("failed", False)] * 4,
        *[("failed", True)] * 2,
        ("good", True),
        *[("good", False)] * 2,
    ]
    result = backtest(recording, COUNT)
    assert (result.refused_again, result.assumed) == (2, 1), "one is after the cooldown"


def test_without_any_call_that_was_made_a_refused_one_would_have_failed() -> None:
    life = Life(Tape(COUNT, Hands()))
    for step in [("trip",), *calls("g"), ("reset",)]:
        life.do(step)

    recording = recorded_calls("db", life.tape.events)

    assert [(row.ended, row.refused) for row in recording.calls] == [("failed", True)]
    assert recording.trips == [], "a person's trip is nothing that settings do"


def test_other_settings_open_at_another_time_and_refuse_rightly_and_wrongly() -> None:
    recording = record(COUNT, calls("gggfggfgff" + "gfffff"))
    loose = backtest(recording, COUNT)
    strict = msgspec.structs.replace(COUNT, failure_rate=0.3)

    tight = backtest(recording, strict)

    assert len(loose.trips) == 1
    assert tight.trips[0].at_us < loose.trips[0].at_us
    assert tight.trips[0].evidence.rule == "failure_rate"
    assert tight.trips[0].cooldown_s == 10.0
    assert tight.rejected_rightly > 0
    assert tight.rejected_wrongly > 0
    assert tight.failures_passed < loose.failures_passed
    assert tight.open_s > 0.0


def test_a_backtest_ends_open_when_the_log_does() -> None:
    recording = record(COUNT, [*calls("gfff"), ("pass", 5.0)])

    assert backtest(recording, COUNT).open_s == pytest.approx(5.0, abs=0.01)


def test_what_was_refused_may_be_assumed_good_or_failed() -> None:
    recording = record(COUNT, [*calls("gfff"), *calls("gggg", 2.0)])
    never = msgspec.structs.replace(COUNT, failure_rate=1.0, min_calls=10)

    good, failed = (backtest(recording, never, assume=a) for a in ("good", "failed"))

    assert good.assumed == failed.assumed == 4
    assert good.trips == []
    assert failed.rejected == 0


def test_slow_calls_are_bad_where_settings_mind_them() -> None:
    slow = msgspec.structs.replace(COUNT, slow_call_s=0.5, slow_rate=0.5)
    recording = record(slow, calls("gsss"))

    assert len(backtest(recording, slow).trips) == 1
    assert backtest(recording, slow).failures_passed == 3
    assert backtest(recording, COUNT).trips == []
    assert backtest(recording, COUNT).good_passed == 4


@pytest.mark.parametrize("slow_call_s", [None, 0.25])
def test_a_limit_of_slowness_that_was_not_recorded_is_refused(
    slow_call_s: float | None,
) -> None:
    recorded = msgspec.structs.replace(COUNT, slow_call_s=slow_call_s)
    wanted = msgspec.structs.replace(COUNT, slow_call_s=0.5, slow_rate=0.5)

    with pytest.raises(BacktestError, match=r"slow_call_s = 0\.5 cannot be tested"):
        backtest(record(recorded, calls("g")), wanted)


def test_jitter_is_as_it_was_drawn() -> None:
    jittery = msgspec.structs.replace(COUNT, cooldown_jitter=0.5)
    tape = Tape(jittery, Hands())
    tape.machine._draw = lambda: 0.8  # pyright: ignore[reportPrivateUsage]
    life = Life(tape)
    for step in [*calls("gfff"), *calls("g", 6.5), ("reset",)]:
        life.do(step)
    recording = recorded_calls("db", tape.events)

    assert recording.trips[0].draw == pytest.approx(0.8)
    assert backtest(recording, jittery).trips[0].cooldown_s == pytest.approx(6.0)


def test_buckets_that_do_not_add_up_are_taken_as_a_whole() -> None:
    whole = record(COUNT, calls("gg"))
    rolled: list[Event] = []
    for event in live(COUNT, [*calls("gg"), ("reset",)]).tape.events:
        if isinstance(event, WindowRolledUp):
            event = msgspec.structs.replace(event, buckets=event.buckets * 2)  # noqa: PLW2901 - as it never is
        rolled.append(event)

    broken = recorded_calls("db", rolled)

    assert [row.ended for row in broken.calls] == [row.ended for row in whole.calls]


@settings(max_examples=60)
@given(configs(), histories(COMMANDS, ACTIONS), configs())
def test_every_recorded_call_is_counted_once_whatever_the_settings(
    lived: BreakerConfig, history: list[Command], tried: BreakerConfig
) -> None:
    life = live(lived, [*history, ("reset",)])
    recording = recorded_calls("db", life.tape.events)
    tried = msgspec.structs.replace(tried, slow_rate=None)
    totals = life.tape.machine.state.totals

    result = backtest(recording, tried)

    made = [row for row in recording.calls if not row.refused]
    passed = result.good_passed + result.failures_passed
    assert passed + result.rejected_rightly + result.rejected_wrongly == len(made)
    refused = len(recording.calls) - len(made)
    assert result.refused_again + result.assumed == refused == totals.rejected
    times = [row.at_us for row in recording.calls]
    assert times == sorted(times)
    failed = sum(row.ended in {"failed", "failed_slow"} for row in made)
    assert failed >= totals.failures


PATTERNS = st.text("gf", max_size=40)


@given(PATTERNS, st.sampled_from(["consecutive", "count"]), st.integers(1, 6))
def test_the_settings_in_force_open_where_they_did(
    pattern: str, window: Any, limit: int
) -> None:
    config = BreakerConfig(
        window=window,
        window_calls=10,
        min_calls=10,
        failures_max=limit,
        cooldown_s=300.0,
    )
    life = live(config, [*calls(pattern), ("pass", 1.0)])
    events = life.tape.events
    opened = [e.at_us for e in events if isinstance(e, Opened | Reopened)]

    result = backtest(recorded_calls("db", events), config)

    assert [trip.at_us for trip in result.trips] == opened


def test_a_better_setting_is_found_and_nothing_is_changed_without_a_gain() -> None:
    outage = calls("g" * 30 + "f" * 30 + "g" * 30)
    lazy = msgspec.structs.replace(COUNT, min_calls=10, failure_rate=1.0)
    recording = record(lazy, outage)
    steps: list[tuple[int, int]] = []

    found = suggest(recording, lazy, progress=lambda at, end: steps.append((at, end)))

    assert cost(found.best, 1.0) < cost(found.given, 1.0)
    assert backtest(recording, found.best.config) == found.best
    assert all(at <= end for at, end in steps)
    calm = suggest(record(lazy, calls("g" * 30)), lazy)
    assert calm.best.config == lazy
    assert calm.tried > 10


@pytest.mark.parametrize(
    "config",
    [
        BreakerConfig.preset("classic"),
        BreakerConfig(slow_call_s=0.5, slow_rate=0.5),
    ],
)
def test_what_is_varied_depends_on_the_window(config: BreakerConfig) -> None:
    found = suggest(record(config, calls("gfsf")), config)

    assert found.tried > 5


def test_a_good_call_refused_may_weigh_more_than_failures() -> None:
    recording = record(COUNT, calls("gggfggfgffgfffffgggggg"))

    patient = suggest(recording, COUNT, weight=100.0)
    strict = suggest(recording, COUNT, weight=0.01)

    assert patient.best.rejected_wrongly <= strict.best.rejected_wrongly
    assert strict.best.failures_passed <= patient.best.failures_passed


@settings(max_examples=60)
@given(configs(), histories(COMMANDS, ACTIONS))
def test_a_history_is_the_fold_with_its_stays(
    config: BreakerConfig, history: list[Command]
) -> None:
    life = live(config, [*history, ("reset",)])
    told = BreakerHistory("breaker/db")
    for position, event in enumerate(life.tape.events, 1):
        told.apply(event, position)

    assert told.state == life.tape.machine.state
    numbers = [stay.generation for stay in told.stays]
    assert numbers == sorted(set(numbers))
    assert told.stays[-1].until_us is None
    for stay, following in zip(told.stays, told.stays[1:], strict=False):
        assert stay.until_us == following.since_us
    assert sum(stay.calls for stay in told.stays) == told.state.totals.calls
    assert sum(stay.rejected for stay in told.stays) == told.state.totals.rejected


def test_an_empty_recording_trips_nothing() -> None:
    result = backtest(Recording("db", [RecordedCall(1, "good")]), COUNT)

    assert (result.trips, result.good_passed) == ([], 1)
