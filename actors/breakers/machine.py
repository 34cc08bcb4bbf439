"""The living breaker: it admits, counts and changes its state, with time handed in.

It needs neither a loop nor an actor. What it decides it tells as events to a
journal, if it has one, and goes on; what a person decides waits for the journal.
"""

import random
from collections.abc import Callable
from typing import NamedTuple

from ...events.breaker import Evidence
from ...events.breaker import ProbeOutcome as Outcome
from . import decide
from .config import ROLL_UP_CALLS, ROLL_UP_S, BreakerConfig
from .core import Core, Journal
from .decide import Events, Why
from .errors import PermitUsedError
from .generation import TRANSPARENT, Generation, Permit, Rejection
from .state import ERRORS_KEPT
from .times import Now, remaining_us

PROBE_RETRY_S = 1.0
"""When all probes are out, the next try is at the latest after this."""


class _Settlement(NamedTuple):
    permit: Permit
    outcome: Outcome
    slow: bool
    error: str
    retry_after_s: float | None


class Machine(Core):
    """One breaker. All methods are for one thread; none of them waits.

    `draw` gives the jitter, even in [0, 1).
    """

    __slots__ = ("_draw", "_held", "late")

    def __init__(
        self,
        name: str,
        config: BreakerConfig | None = None,
        *,
        journal: Journal | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(name, config or BreakerConfig(), journal)
        self.late = 0
        """Results that came after their generation was over."""
        self._draw = draw
        self._held: tuple[_Settlement, ...] = ()

    def admit(self, now: Now) -> Permit | Rejection:
        """Let a call pass or refuse it. A probe must not start before it is durable."""
        if not self.generation.gated:
            return Permit(self.generation, now.clock_us / 1e6)
        if not self.ready:
            return Rejection(0.0, "starting")
        if not self.frozen:
            self._end_override(now)
        if self._transparent:
            return Permit(self.generation, now.clock_us / 1e6)
        return self._admit_probe(now) or self._reject(now)

    @property
    def _transparent(self) -> bool:
        return self.state.phase in TRANSPARENT or not self.state.config.enabled

    def _admit_probe(self, now: Now) -> Permit | None:
        if self.frozen or not (self.journal is None or self.journal.writable):
            return None
        events = decide.probe_admitted(self.state, now)
        if not events:
            return None
        self._change(now, *events)
        return Permit(self.generation, now.clock_us / 1e6, self.state.totals.probes)

    def _reject(self, now: Now) -> Rejection:
        self.rejected += 1
        refusal = self.refusal(now.clock_us / 1e6)
        if refusal is not None:
            return refusal
        if self.journal is not None and not self.journal.writable:
            return Rejection(PROBE_RETRY_S, "the log cannot be written")
        leases_us = [remaining_us(lease.until, now) for lease in self.state.leases]
        wait_s = min(leases_us, default=0) / 1e6
        return Rejection(min(PROBE_RETRY_S, wait_s), self.state.phase)

    def settle(  # noqa: PLR0913 - a result and its circumstances
        self,
        permit: Permit,
        outcome: Outcome,
        duration_s: float,
        now: Now,
        *,
        error: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        """Tell how a call ended. Raises `PermitUsedError` the second time."""
        if permit.used:
            raise PermitUsedError(self.name)
        permit.used = True
        slow = outcome != "neutral" and duration_s > permit.generation.slow_s
        if permit.probe:
            self._settle_probe(
                _Settlement(permit, outcome, slow, error, retry_after_s), now
            )
        elif outcome == "neutral":
            self.neutral += 1
        else:
            self.record(
                permit.generation,
                now,
                failed=outcome == "failure",
                slow=slow,
                error=error,
                retry_after_s=retry_after_s,
            )

    def cancel(self, permit: Permit, now: Now) -> None:
        """Give a permit back: its call proved nothing."""
        self.settle(permit, "neutral", 0.0, now)

    def record(  # noqa: PLR0913 - as above
        self,
        generation: Generation,
        now: Now,
        *,
        failed: bool = False,
        slow: bool = False,
        error: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        """Count an ordinary call of the generation that admitted it."""
        if generation.retired:
            self.late += 1
            return
        if not generation.counting:
            return
        if error:
            self.errors = (*self.errors, error)[-ERRORS_KEPT:]
        generation.turn(now.clock_us)
        generation.count(failed=failed, slow=slow)
        self.attend(generation, now, bad=failed or slow, retry_after_s=retry_after_s)

    def attend(
        self,
        generation: Generation,
        now: Now,
        *,
        bad: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        """Look at a generation whose counters have just moved on."""
        config = self.state.config
        if self._judge(now, bad=bad, retry_after_s=retry_after_s):
            return
        if self.journal is not None:
            self._keep(generation, now, self.journal)
        elif len(generation.failures) + len(generation.slows) >= ROLL_UP_CALLS:
            self.roll_up(now)
        generation.watch(config, rolls_up=self.journal is not None)

    def _keep(self, generation: Generation, now: Now, journal: Journal) -> None:
        """Tell the journal in time of what it would hurt to lose.

        At once, so that no more is lost however late the actor's turn comes; but
        in one piece when the log is back, while it cannot be written.
        """
        if generation.dirty_us is None and generation.seq != generation.rolled_seq:
            generation.dirty_us = now.clock_us
            journal.due(ROLL_UP_S)
        if generation.needs_roll_up(self.state.config) and not self.frozen:
            if journal.writable:
                self.roll_up(now)
            else:
                journal.due(0.0)

    def _judge(self, now: Now, *, bad: bool, retry_after_s: float | None) -> bool:
        """Open if the window asks for it."""
        state, config = self.state, self.state.config
        if self.frozen or state.phase != "closed":
            return False
        if not bad and config.evaluate == "failures":
            return False
        tally = self.generation.window.tally(self.generation.seq)
        reached = config.reached(*tally)
        if reached is None:
            return False
        rule, limit = reached
        evidence = Evidence(rule, *tally, limit, self.errors, state.config_version)
        self._open(evidence, now, retry_after_s)
        return True

    def _open(
        self, evidence: Evidence, now: Now, retry_after_s: float | None = None
    ) -> None:
        cooldown_us = self._cooldown_us(retry_after_s)
        self._change(now, decide.opened(self.state, evidence, now, cooldown_us))

    def _cooldown_us(self, retry_after_s: float | None = None) -> int:
        attempt = self.state.attempt + 1
        return self.state.config.cooldown_us(attempt, self._draw(), retry_after_s)

    def _settle_probe(self, settlement: _Settlement, now: Now) -> None:
        if self.frozen:
            self._held += (settlement,)
            return
        permit, outcome, slow, error, retry_after_s = settlement
        late = permit.generation.retired
        events = decide.probe_settled(
            self.state,
            permit.probe,
            "neutral" if late else outcome,
            slow=slow and not late,
            error="" if late else error,
            now=now,
        )
        self.late += late or not events
        self._emit(*events)
        if late or not events:
            return
        if error:
            self.errors = (*self.errors, error)[-ERRORS_KEPT:]
        verdict = decide.verdict(self.state)
        if verdict is True:
            self._change(now, decide.closed(self.state, now))
        elif verdict:
            evidence = decide.probe_evidence(self.state, verdict, self.errors)
            self._open(evidence, now, retry_after_s)

    def tick(self, now: Now) -> None:
        """End what has run out, and roll up what is old."""
        if self.frozen or not self.ready:
            if self.journal is not None:
                self.journal.due(ROLL_UP_S)
            return
        self._end_override(now)
        self._watch_override(now)
        self._emit(*decide.expired(self.state, now))
        generation = self.generation
        if generation.dirty_us is None:
            return
        left_s = ROLL_UP_S - (now.clock_us - generation.dirty_us) / 1e6
        if left_s <= 0 or generation.needs_roll_up(self.state.config):
            self.roll_up(now)
        elif self.journal is not None:
            self.journal.due(left_s)

    def _end_override(self, now: Now) -> None:
        events = decide.override_ended(self.state, now)
        if events:
            self._change(now, *events)

    def trip(self, now: Now, why: Why) -> Events:
        """Open by hand."""
        span_us = self._cooldown_us()
        return self.propose(lambda state: decide.tripped(state, now, span_us, why), now)

    def _thaw(self, now: Now) -> None:
        held, self._held = self._held, ()
        for settlement in held:
            self._settle_probe(settlement, now)
        if self.generation.counting and not self.generation.retired:
            self.attend(self.generation, now, bad=True)
