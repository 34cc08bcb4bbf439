"""Replay recorded calls through other settings, and see when it would have opened.

The calls go through the very machine by which breakers live, one after the other,
each at the moment when it ended.
"""

from bisect import bisect_right
from typing import Literal

import msgspec

from ...actors.breakers import BreakerConfig, Machine, Now, Permit
from ...events.breaker import Evidence
from ..errors import ProjectionError
from .recorded import Ended, RecordedCall, Recording

Assumption = Literal["nearest", "failed", "good"]
"""How a call would have ended that was refused in life: as the nearest in time did."""
FAILED: frozenset[Ended] = frozenset(("failed", "failed_slow"))
SLOW: frozenset[Ended] = frozenset(("slow", "failed_slow"))
BAD = FAILED | SLOW


class BacktestError(ProjectionError):
    """The log does not hold what such a backtest would need."""


class WouldTrip(msgspec.Struct, frozen=True):
    """One opening that the settings would have brought about."""

    at_us: int
    evidence: Evidence
    cooldown_s: float


class BacktestResult(msgspec.Struct):
    """What would have been with these settings.

    The calls that were made in life: `rejected_rightly + rejected_wrongly +
    failures_passed + good_passed`. Those refused in life: `refused_again +
    assumed`; nobody knows how they would have ended, so they are counted apart.
    """

    config: BreakerConfig
    trips: list[WouldTrip] = []
    rejected_rightly: int = 0
    """Refused, and in life they failed, or were slow where the settings mind that."""
    rejected_wrongly: int = 0
    """Refused, although in life they went well."""
    failures_passed: int = 0
    """Let through, and in life they failed, or were slow where the settings mind that."""
    good_passed: int = 0
    refused_again: int = 0
    """Refused in life, and would have been with these settings."""
    assumed: int = 0
    """Refused in life, but let through by these settings; they were taken to end as
    `assume` says."""
    assume: Assumption = "nearest"
    open_s: float = 0.0
    """How long it would not have been closed in all: open or half open."""
    probes: int = 0

    @property
    def rejected(self) -> int:
        """All calls that would have been refused."""
        return self.rejected_rightly + self.rejected_wrongly + self.refused_again


def backtest(
    recording: Recording, config: BreakerConfig, *, assume: Assumption = "nearest"
) -> BacktestResult:
    """Play what was recorded through `config`.

    Jitter is as it was drawn for the opening nearest in time. What people did to the breaker by hand is not repeated, and
    calls are played one after the other: how many were under way at once is not
    recorded. Raises `BacktestError` if the settings judge by durations that the
    log does not tell.
    """
    _check(recording, config)
    run = _Run(recording, config, assume)
    for call in recording.calls:
        run.play(call)
    return run.finish(recording.until_us)


def _check(recording: Recording, config: BreakerConfig) -> None:
    if config.slow_rate is None:
        return
    if recording.slow_call_s != (config.slow_call_s,):
        known = " and ".join(f"{s:g} s" for s in recording.slow_call_s) or "none"
        raise BacktestError(
            f"slow_call_s = {config.slow_call_s} cannot be tested: the log tells which "
            f"calls took longer than the limit of their time ({known}), not how long "
            "they took; set slow_call_s to that, or leave slow_rate out",
        )


class _Run:
    """One machine and what became of the calls."""

    def __init__(
        self, recording: Recording, config: BreakerConfig, assume: Assumption
    ) -> None:
        self._machine = Machine(recording.name, config, draw=self._draw)
        self._drawn = recording.trips
        self._us = 0
        self._result = BacktestResult(config, assume=assume)
        self._bad: frozenset[Ended] = FAILED if config.slow_rate is None else BAD
        self._opened_us: int | None = None
        self._trips = 0

    def _draw(self) -> float:
        """Return the jitter of the opening that was nearest in life."""
        at = bisect_right(self._drawn, self._us, key=lambda trip: trip.at_us)
        near = self._drawn[max(0, at - 1) : at + 1]
        nearest = min(near, key=lambda trip: abs(trip.at_us - self._us), default=None)
        return 0.0 if nearest is None else nearest.draw

    def play(self, call: RecordedCall) -> None:
        self._us = call.at_us
        now = Now(call.at_us, call.at_us)
        self._machine.tick(now)
        permit = self._machine.admit(now)
        self._look(now)
        if not isinstance(permit, Permit):
            self._reject(call)
            return
        ended = self._let_pass(call)
        self._result.probes += permit.probe > 0
        self._machine.settle(
            permit,
            "failure" if ended in FAILED else "success",
            float("inf") if ended in SLOW else 0.0,
            now,
        )
        self._look(now)

    def _let_pass(self, call: RecordedCall) -> Ended:
        """Count a call that is made; return how it ends."""
        result = self._result
        if call.refused:
            result.assumed += 1
            return call.ended if result.assume == "nearest" else result.assume
        if call.ended in self._bad:
            result.failures_passed += 1
        else:
            result.good_passed += 1
        return call.ended

    def _reject(self, call: RecordedCall) -> None:
        if call.refused:
            self._result.refused_again += 1
        elif call.ended in self._bad:
            self._result.rejected_rightly += 1
        else:
            self._result.rejected_wrongly += 1

    def _look(self, now: Now) -> None:
        """Notice when the machine has opened, or stopped refusing every call."""
        state = self._machine.state
        if state.totals.trips > self._trips and state.evidence and state.until:
            self._trips = state.totals.trips
            cooldown_s = state.until.span_us / 1e6
            trip = WouldTrip(now.wall_us, state.evidence, cooldown_s)
            self._result.trips.append(trip)
        if state.phase == "open" and self._opened_us is None:
            self._opened_us = now.wall_us
        elif state.phase == "closed" and self._opened_us is not None:
            self._result.open_s += (now.wall_us - self._opened_us) / 1e6
            self._opened_us = None

    def finish(self, until_us: int) -> BacktestResult:
        if self._opened_us is not None:
            self._result.open_s += max(0, until_us - self._opened_us) / 1e6
        return self._result
