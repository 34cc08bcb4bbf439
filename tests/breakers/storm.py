"""A thousand callers of one dependency that flaps, in virtual time and without a loop."""

import heapq
import itertools
from random import Random

from dramaturg.actors.breakers import BreakerConfig, Permit

from .clock import Hands
from .tape import Tape

CALLERS = 1000


class Storm:
    """Callers who call again and again until all have had `rounds` answers.

    What a result may do to the breaker is checked at every one of them.
    """

    def __init__(self, seed: int, config: BreakerConfig, rounds: int = 3) -> None:
        self.random = Random(seed)
        self.tape = Tape(config, Hands())
        self.machine = self.tape.machine
        self.left = CALLERS * rounds
        self.due: list[tuple[int, int, Permit | None]] = []
        """When a caller calls, or when the call of a permit ends."""
        self.order = itertools.count()
        self.healthy = True
        self.turns_us = 0
        self.probes: set[int] = set()
        """Probes under way whose leases have not ended."""
        self.probes_most = 0
        self.counts = {"admitted": 0, "refused": 0, "late": 0}
        self.trips = 0
        self.ordinary = 0
        """Ended calls that were no probes."""
        self.late_probes = 0
        for _ in range(CALLERS):
            self.later(self.random.uniform(0.0, 0.2))

    def later(self, after_s: float, permit: Permit | None = None) -> None:
        at_us = self.tape.hands.us + round(after_s * 1e6)
        heapq.heappush(self.due, (at_us, next(self.order), permit))

    def run(self) -> None:
        while self.due and self.left:
            at_us, _, permit = heapq.heappop(self.due)
            self.tape.pass_s((at_us - self.tape.hands.us) / 1e6)
            self.flap()
            if permit is None:
                self.call()
            else:
                self.end(permit)
            self.tape.write()

    def flap(self) -> None:
        while self.tape.hands.us >= self.turns_us:
            self.healthy = not self.healthy
            self.turns_us += round(self.random.uniform(0.2, 2.5) * 1e6)

    def call(self) -> None:
        now, state = self.tape.hands.now, self.machine.state
        answer = self.machine.admit(now)
        if not isinstance(answer, Permit):
            self.counts["refused"] += 1
            assert answer.retry_after_s >= 0
            self.later(max(0.01, answer.retry_after_s) * self.random.uniform(1, 2))
            return
        self.counts["admitted"] += 1
        if answer.probe:
            self.probes.add(answer.probe)
            leases = {lease.probe for lease in self.machine.state.leases}
            self.probes &= leases  # those that were given up for lost
            self.probes_most = max(self.probes_most, len(self.probes))
        else:
            assert state.phase == "closed"
        hangs = not self.healthy and self.random.random() < 0.05
        self.later(30.0 if hangs else self.random.expovariate(20.0), answer)

    def end(self, permit: Permit) -> None:
        machine, now = self.machine, self.tape.hands.now
        before, late = machine.state, permit.generation is not machine.generation
        seq = machine.generation.seq
        duration_s = now.clock_us / 1e6 - permit.started_s
        fails = self.random.random() < (0.02 if self.healthy else 0.9)
        if self.random.random() < 0.02:
            machine.cancel(permit, now)
        elif fails:
            machine.settle(permit, "failure", duration_s, now, error="ConnectionError")
        else:
            machine.settle(permit, "success", duration_s, now)
        self.ordinary += not permit.probe
        if permit.probe:
            leased = any(lease.probe == permit.probe for lease in before.leases)
            self.late_probes += late or not leased
        self.probes.discard(permit.probe)
        if late:
            self.counts["late"] += 1
            after = machine.state
            assert (after.phase, after.generation) == (before.phase, before.generation)
            assert (after.probes, after.until) == (before.probes, before.until)
            assert machine.generation.seq == seq
        self.trips += machine.state.totals.trips - before.totals.trips
        self.left -= 1
        self.later(self.random.expovariate(0.7))
