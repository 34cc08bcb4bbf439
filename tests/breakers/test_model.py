from unittest.mock import patch

from hypothesis import given, settings

from dramaturg.actors.breakers import (
    Breaker,
    BreakerConfig,
    BreakerOpenError,
    Outcomes,
    Permit,
    generation,
)

from .clock import Hands, run
from .histories import Command, configs, histories
from .model import Model


class IgnoredError(Exception):
    pass


class Pair:
    """A breaker and the model, living through the same history."""

    def __init__(self, config: BreakerConfig, *, alarms: bool = False) -> None:
        self.hands = Hands(alarms=alarms)
        self.breaker = Breaker(
            "db",
            config,
            outcomes=Outcomes(ignored=IgnoredError),
            clocks=self.hands.clocks,
            draw=lambda: 0.0,
        )
        self.model = Model(config)
        self.guarded = self.breaker(self.dependency)
        self.held: list[tuple[Permit, int, int, int]] = []

    async def dependency(self, outcome: str, duration_s: float) -> None:
        self.hands.pass_s(duration_s)
        if outcome == "failure":
            raise ConnectionError
        if outcome == "neutral":
            raise IgnoredError

    def do(self, command: Command) -> None:
        name, *rest = command
        match name:
            case "pass":
                self.hands.pass_s(rest[0])
            case "call":
                self.call(*rest)
            case "begin":
                self.begin()
            case "end":
                self.end(*rest)
            case "reset":
                run(self.breaker.reset("drill"))
                self.model.enter("closed")
            case "trip":
                run(self.breaker.trip("drill"))
                self.model.open(self.hands.us)
            case _:
                self.override(name, *rest)

    def call(self, outcome: str, duration_s: float) -> None:
        began_us = self.hands.us
        admitted = self.model.admit(began_us)
        generation = self.model.generation
        passed = True
        try:
            run(self.guarded(outcome, duration_s))
        except (ConnectionError, IgnoredError):
            pass
        except BreakerOpenError:
            passed = False
        assert passed == (admitted is not None)
        if admitted is not None:
            now_us = self.hands.us
            took_us = now_us - began_us
            self.model.settle(generation, admitted, outcome, took_us, now_us)

    def begin(self) -> None:
        admitted = self.model.admit(self.hands.us)
        try:
            permit = run(self.breaker.acquire())
        except BreakerOpenError:
            permit = None
        assert (None if permit is None else permit.probe) == admitted
        if permit is None:
            return
        self.held.append((permit, permit.probe, self.model.generation, self.hands.us))

    def end(self, which: int, outcome: str) -> None:
        if not self.held:
            return
        permit, probe, generation, began_us = self.held.pop(which % len(self.held))
        if outcome == "success":
            self.breaker.done(permit)
        elif outcome == "failure":
            self.breaker.failed(permit, ConnectionError())
        else:
            self.breaker.cancel(permit)
        now_us = self.hands.us
        self.model.settle(generation, probe, outcome, now_us - began_us, now_us)

    def override(self, phase: str, for_s: float | None) -> None:
        act = {
            "forced_open": self.breaker.hold_open,
            "disabled": self.breaker.disable,
            "metrics_only": self.breaker.only_measure,
        }[phase]
        run(act("drill", "ann", for_s=for_s))
        until_us = None if for_s is None else self.hands.us + round(for_s * 1e6)
        self.model.enter(phase, until_us)

    def agree(self) -> None:
        state, model = self.breaker.machine.state, self.model
        assert (state.phase, state.generation) == (model.phase, model.generation)
        until = None if state.until is None else state.until.boot_us
        assert until == model.until_us
        assert {lease.probe for lease in state.leases} >= set(model.leases)
        found = self.breaker.statistics()
        window = (found.window_calls, found.window_failures, found.window_slows)
        if model.phase in {"closed", "metrics_only"}:
            assert window == model.window(self.hands.us)


@settings(max_examples=150, deadline=None)
@given(configs(), histories())
def test_a_breaker_does_what_the_obvious_one_does(
    config: BreakerConfig, history: list[Command]
) -> None:
    pair = Pair(config)
    for command in history:
        pair.do(command)
        pair.agree()


@settings(max_examples=100, deadline=None)
@given(configs(), histories())
def test_it_does_so_too_when_alarms_turn_its_window_in_place_of_its_calls(
    config: BreakerConfig, history: list[Command]
) -> None:
    with patch.object(generation, "BUSY_CALLS", 1):
        pair = Pair(config, alarms=True)
        for command in history:
            pair.do(command)
            pair.agree()
