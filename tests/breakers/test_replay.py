import math
from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dramaturg.actors.breakers import (
    FOLD,
    BreakerConfig,
    BreakerOpenError,
    ConfigureBreaker,
    HoldOpen,
    Permit,
    Statistics,
    TripBreaker,
)
from dramaturg.actors.breakers.actions import obey
from dramaturg.actors.breakers.outbox import WAITING_MAX
from dramaturg.events import Registry
from dramaturg.events.breaker import (
    EVENTS,
    CaughtUp,
    Configured,
    Flushed,
    ProbeGranted,
    ProbeSettled,
    WindowRolledUp,
)

from .clock import Hands, run
from .histories import CALLS, COMMANDS, SPANS, Command, configs, histories
from .tape import Tape

RECONFIGURE = st.tuples(st.just("configure"), configs())
ACTIONS = st.one_of(
    st.tuples(st.just("reset")),
    st.tuples(st.just("trip")),
    st.tuples(st.just("hold_open"), st.none() | st.just(2.0)),
    st.tuples(st.just("disable"), st.none() | st.just(2.0)),
    st.tuples(st.just("only_measure"), st.none() | st.just(2.0)),
    RECONFIGURE,
)
PLAIN = st.one_of(CALLS, CALLS, st.tuples(st.just("pass"), SPANS))
REGISTRY = Registry(EVENTS)


class Life:
    """One process and what it does."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.guarded = tape.breaker(self.dependency)
        self.held: list[Permit] = []

    async def dependency(self, outcome: str, duration_s: float) -> None:
        self.tape.pass_s(duration_s)
        if outcome == "failure":
            raise ConnectionError
        if outcome == "neutral":
            raise KeyboardInterrupt

    def do(self, command: Command) -> None:
        match command:
            case "pass", seconds:
                self.tape.pass_s(seconds)
            case "call", outcome, duration_s:
                with suppress(ConnectionError, KeyboardInterrupt, BreakerOpenError):
                    run(self.guarded(outcome, duration_s))
            case ("begin",):
                with suppress(BreakerOpenError):
                    self.held.append(run(self.tape.breaker.acquire()))
            case "end", which, outcome:
                if self.held:
                    self.end(self.held.pop(which % len(self.held)), outcome)
            case _:
                self.act(command)
        self.tape.write()

    def end(self, permit: Permit, outcome: str) -> None:
        breaker = self.tape.breaker
        if outcome == "failure":
            breaker.failed(permit, ConnectionError())
        elif outcome == "success":
            breaker.done(permit)
        else:
            breaker.cancel(permit)

    def act(self, command: Command) -> None:
        breaker = self.tape.breaker
        match command:
            case "configure", config:
                run(breaker.configure(config, "drill"))
            case "reset" | "trip" as name, *_:
                run(getattr(breaker, name)("drill"))
            case name, for_s:
                run(getattr(breaker, name)("drill", for_s=for_s))
            case _:
                raise AssertionError(command)


def live(config: BreakerConfig, history: list[Command]) -> Life:
    life = Life(Tape(config, Hands()))
    for command in history:
        life.do(command)
    return life


@settings(max_examples=100, deadline=None)
@given(configs(), histories(COMMANDS, ACTIONS))
def test_replay_gives_the_state_that_was_lived_through(
    config: BreakerConfig, history: list[Command]
) -> None:
    life = Life(Tape(config, Hands()))
    for command in history:
        life.do(command)

        assert life.tape.replayed() == life.tape.machine.state


@settings(max_examples=40, deadline=None)
@given(configs(), histories(COMMANDS, ACTIONS))
def test_every_event_survives_its_way_through_json(
    config: BreakerConfig, history: list[Command]
) -> None:
    for event in live(config, history).tape.events:
        data = msgspec.json.encode(event)

        assert REGISTRY.decode(event.tag, event.version, data) == event


@settings(max_examples=40, deadline=None)
@given(configs(), histories(COMMANDS, ACTIONS))
def test_a_snapshot_is_the_state(config: BreakerConfig, history: list[Command]) -> None:
    state = live(config, history).tape.machine.state

    assert msgspec.json.decode(msgspec.json.encode(state), type=FOLD.state) == state


@settings(max_examples=100, deadline=None)
@given(configs(), histories(COMMANDS, ACTIONS), histories(PLAIN, ACTIONS))
def test_a_clean_stop_loses_nothing(
    config: BreakerConfig, before: list[Command], after: list[Command]
) -> None:
    old = live(config, before)
    old.tape.machine.stop(old.tape.hands.now)
    old.tape.write()
    assert isinstance(old.tape.events[-1], Flushed)
    hands = Hands(old.tape.hands.us)
    new = Life(Tape(old.tape.machine.config, hands, list(old.tape.events)))

    for command in after:
        found, expected = (life.tape.breaker.statistics() for life in (new, old))
        assert without_late(found) == without_late(expected)
        for life in (old, new):
            life.do(command)


def without_late(found: Statistics) -> Statistics:
    """Late results are counted per process."""
    return msgspec.structs.replace(found, late=0)


@settings(max_examples=150, deadline=None)
@given(configs(), histories(COMMANDS, ACTIONS, size=100))
def test_a_crash_anywhere_loses_no_more_of_the_window_than_is_promised(
    config: BreakerConfig, history: list[Command]
) -> None:
    life = live(config, history)
    live_one, hands = life.tape.machine, life.tape.hands

    crashed = Tape(config, Hands(hands.us), list(life.tape.events)).machine

    state, expected = crashed.state, live_one.state
    for name in ("phase", "generation", "until", "attempt", "config", "leases"):
        assert getattr(state, name) == getattr(expected, name), name
    lost = live_one.generation.seq - crashed.generation.seq
    lost_failures = len(live_one.generation.failures)
    dirty_us = live_one.generation.dirty_us
    assert 0 <= lost < 500
    assert lost == 0 or (dirty_us is not None and hands.us - dirty_us < 1_000_000)
    assert lost_failures <= state.config.roll_up_failures - 1
    assert lost_failures <= math.ceil(state.config.min_calls / 4) - 1 or (
        state.config.window == "consecutive"
    )


def test_a_roll_up_happens_at_500_calls_in_a_second() -> None:
    life = Life(Tape(BreakerConfig(), Hands()))
    for _ in range(1200):
        life.do(("call", "success", 0.0))

    rolled = [e.calls for e in life.tape.events if isinstance(e, WindowRolledUp)]

    assert rolled == [500, 500]


def test_a_roll_up_happens_when_counts_are_a_second_old() -> None:
    life = Life(Tape(BreakerConfig(), Hands()))
    life.do(("call", "success", 0.0))
    life.do(("pass", 0.999))
    assert isinstance(life.tape.events[-1], Configured)

    life.do(("pass", 0.001))

    assert isinstance(life.tape.events[-1], WindowRolledUp)


def test_an_idle_breaker_writes_nothing() -> None:
    life = Life(Tape(BreakerConfig(), Hands()))
    before = list(life.tape.events)
    life.do(("pass", 3600.0))

    assert life.tape.events == before
    assert life.tape.look_us is None


@settings(max_examples=100, deadline=None)
@given(
    configs(),
    st.lists(st.one_of(COMMANDS, st.tuples(st.just("crash"))), min_size=20),
)
def test_probes_under_way_are_never_over_the_limit_across_restarts(
    config: BreakerConfig, history: list[Command]
) -> None:
    life = live(config, [("trip",)])
    under_way: dict[int, int] = {}
    for command in history:
        tape = life.tape
        if command == ("crash",):
            life = Life(Tape(config, Hands(tape.hands.us), tape.events))
        else:
            seen = len(tape.events)
            life.do(command)
            for event in tape.events[seen:]:
                if isinstance(event, ProbeGranted):
                    under_way[event.lease.probe] = event.lease.until.boot_us
                if isinstance(event, ProbeSettled):
                    under_way.pop(event.probe)
                now_us = life.tape.hands.us
                running = [n for n, end in under_way.items() if end > now_us]
                assert len(running) <= config.half_open_permitted


def opened(hands: Hands) -> Tape:
    life = Life(Tape(BreakerConfig.preset("classic"), hands))
    for _ in range(5):
        life.do(("call", "failure", 0.0))
    assert life.tape.machine.state.phase == "open"
    return life.tape


def restarted(tape: Tape, hands: Hands) -> Tape:
    return Tape(tape.machine.config, hands, list(tape.events))


def test_the_cooldown_goes_on_through_a_restart_in_the_same_boot() -> None:
    tape = opened(Hands())
    hands = Hands(tape.hands.us + 20_000_000)
    hands.wall_step_us = 3_600_000_000

    assert restarted(tape, hands).breaker.statistics().retry_after_s == 40


@pytest.mark.parametrize(
    ("away_s", "step_s", "left_s"),
    [(20, 0, 40), (100, 0, 0), (20, -7200, 60), (20, 7200, 0)],
)
def test_in_another_boot_the_wall_clock_counts_within_the_cooldown(
    away_s: int, step_s: int, left_s: int
) -> None:
    tape = opened(Hands(clock_us=9_000_000_000))
    hands = Hands(clock_us=1_000_000, boot="another")
    down_us = tape.hands.us - hands.us
    hands.wall_step_us = down_us + (away_s + step_s) * 1_000_000

    again = restarted(tape, hands)
    assert again.breaker.statistics().retry_after_s == left_s

    hands.wall_step_us += 86_400_000_000
    third = restarted(again, hands)
    assert third.breaker.statistics().retry_after_s == left_s
    assert third.replayed() == third.machine.state


def test_buckets_keep_their_age_in_another_boot() -> None:
    life = Life(Tape(BreakerConfig(), Hands(clock_us=9_000_000_000)))
    life.do(("call", "failure", 0.0))
    life.do(("pass", 30.0))
    life.do(("call", "failure", 0.0))
    life.do(("pass", 1.0))
    hands = Hands(clock_us=1_000_000, boot="another")
    hands.wall_step_us = life.tape.hands.us - hands.us + 10_000_000

    new = Life(restarted(life.tape, hands))

    assert new.tape.breaker.statistics().window_failures == 2
    new.do(("pass", 20.0))
    assert new.tape.breaker.statistics().window_failures == 1
    new.do(("pass", 31.0))
    assert new.tape.breaker.statistics().window_failures == 0


def test_settings_from_the_code_apply_again_only_when_the_code_changed() -> None:
    life = Life(Tape(BreakerConfig(), Hands()))
    by_hand = BreakerConfig(min_calls=7)
    run(life.tape.breaker.configure(by_hand, "drill", "ann"))

    same = restarted(life.tape, life.tape.hands)
    assert same.machine.state.config == by_hand

    changed = Tape(BreakerConfig(min_calls=9), life.tape.hands, list(life.tape.events))
    assert changed.machine.state.config.min_calls == 9
    assert changed.machine.state.config_version == 3


def test_nothing_else_is_decided_while_a_persons_action_is_being_written() -> None:
    tape = Tape(BreakerConfig.preset("classic", failures_max=1), Hands())
    breaker, machine, hands = tape.breaker, tape.machine, tape.hands
    permit = run(breaker.acquire())
    phases = [machine.state.phase]
    obey(machine, HoldOpen("drill"), hands.now)
    breaker.failed(permit, ConnectionError())
    phases.append(machine.state.phase)
    tape.write()
    phases.append(machine.state.phase)

    assert phases == ["closed", "closed", "forced_open"]
    assert machine.state.totals.failures == 1
    assert tape.replayed() == machine.state


def test_a_trip_that_was_due_meanwhile_happens_when_the_action_is_written() -> None:
    tape = Tape(BreakerConfig.preset("classic", failures_max=1), Hands())
    breaker, machine, hands = tape.breaker, tape.machine, tape.hands
    permit = run(breaker.acquire())
    config = BreakerConfig.preset("classic", failures_max=1, cooldown_s=5)
    obey(machine, ConfigureBreaker("drill", "ann", config), hands.now)
    breaker.failed(permit, ConnectionError())
    tape.write()

    assert machine.state.phase == "open"
    assert breaker.statistics().retry_after_s == 5
    assert tape.replayed() == machine.state


def test_probes_that_end_meanwhile_are_judged_afterwards() -> None:
    tape = opened(Hands())
    breaker, machine, hands = tape.breaker, tape.machine, tape.hands
    tape.pass_s(60)
    good, bad = run(breaker.acquire()), run(breaker.acquire())
    config = BreakerConfig.preset("classic", cooldown_s=5)
    obey(machine, ConfigureBreaker("drill", "ann", config), hands.now)
    breaker.done(good)
    breaker.failed(bad, ConnectionError())
    with pytest.raises(BreakerOpenError):
        run(breaker.acquire())
    assert machine.state.probes.judged == 0
    tape.write()

    assert machine.state.phase == "open"
    assert tape.replayed() == machine.state


def test_decisions_that_follow_each_other_are_in_force_one_after_the_other() -> None:
    tape = Tape(BreakerConfig(), Hands())
    machine, hands = tape.machine, tape.hands
    obey(machine, TripBreaker("drill"), hands.now)
    obey(machine, HoldOpen("drill"), hands.now)
    tape.write()

    assert (machine.state.phase, machine.state.generation) == ("forced_open", 3)
    assert tape.replayed() == machine.state


def test_what_was_counted_between_decisions_is_folded_in_the_order_of_the_log() -> None:
    counting = BreakerConfig(window="count", window_calls=10, min_calls=10)
    tape = Tape(counting, Hands())
    breaker, machine, hands = tape.breaker, tape.machine, tape.hands
    timing = BreakerConfig(min_calls=50)

    for config in (timing, counting, timing):
        obey(machine, ConfigureBreaker("drill", "ann", config), hands.now)
        hands.pass_s(0.3)
        for _ in range(4):
            permit = run(breaker.acquire())
            breaker.failed(permit, ConnectionError())
    tape.write()

    assert machine.state.config == timing
    assert machine.state.totals.failures == 12
    assert tape.replayed() == machine.state


def test_a_clean_stop_while_a_decision_is_written_is_folded_likewise() -> None:
    tape = Tape(BreakerConfig(window="count"), Hands())
    breaker, machine, hands = tape.breaker, tape.machine, tape.hands
    obey(machine, ConfigureBreaker("drill", "ann", BreakerConfig()), hands.now)
    for _ in range(4):
        breaker.failed(run(breaker.acquire()), ConnectionError())
    hands.pass_s(0.3)
    machine.stop(hands.now)
    tape.write()

    assert tape.replayed() == machine.state


def test_a_decision_that_was_not_written_is_not_in_force() -> None:
    tape = Tape(BreakerConfig(), Hands())
    obey(tape.machine, TripBreaker("drill"), tape.hands.now)
    tape.outbox.drop(tape.machine.forget(tape.hands.now))
    tape.write()

    assert tape.machine.state.phase == "closed"
    assert tape.replayed() == tape.machine.state


def test_no_probe_starts_while_the_log_cannot_be_written() -> None:
    tape = opened(Hands())
    tape.pass_s(60)
    tape.writable = False

    with pytest.raises(BreakerOpenError, match="the log cannot be written"):
        run(tape.breaker.acquire())
    tape.writable = True

    assert run(tape.breaker.acquire()).probe == 1


def test_what_was_not_kept_during_a_long_failure_is_logged_as_the_state() -> None:
    tape = Tape(BreakerConfig.preset("classic", failures_max=1), Hands())
    run(tape.breaker.trip("drill"))
    while not tape.outbox.missing:
        tape.hands.pass_s(300)
        permit = tape.machine.admit(tape.hands.now)
        assert isinstance(permit, Permit)
        tape.breaker.failed(permit, ConnectionError())
    tape.write()

    last = tape.events[-1]
    assert isinstance(last, CaughtUp)
    assert last.missing > WAITING_MAX
    assert tape.replayed() == tape.machine.state
