"""Lives of a breaker that end in crashes, beside a twin that never crashes.

The twin is the breaker that lived: what it holds when the process dies is compared
with what the next process reads back.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import reduce
from random import Random
from typing import Any

from dramaturg.actors.breakers import (
    Breaker,
    BreakerConfig,
    BreakerOpenError,
    Breakers,
    BreakerState,
    Permit,
    evolve,
)
from dramaturg.actors.breakers.desk import Desk
from dramaturg.actors.runtime import ActorSystem, ManualClock
from dramaturg.events import Event, Registry
from dramaturg.events.breaker import EVENTS, WindowRolledUp
from dramaturg.events.log import MemoryLog

REGISTRY = Registry(EVENTS)
LEASE_S = 20.0
PERMITTED = 2
SHARED: dict[str, Any] = {
    "probe_lease_s": LEASE_S,
    "half_open_permitted": PERMITTED,
    "cooldown_s": 5.0,
    "cooldown_max_s": 20.0,
}
VARIANTS: tuple[dict[str, Any], ...] = (
    {"min_calls": 20},
    {"min_calls": 9, "window_s": 4.0, "buckets": 4},
    {"window": "count", "min_calls": 40},
    {"window": "consecutive", "failures_max": 13, "failure_rate": None},
    {"slow_call_s": 0.5, "slow_rate": 0.5, "min_calls": 12},
)
CONFIGS = tuple(BreakerConfig.from_dict(SHARED | more) for more in VARIANTS)


@dataclass
class Worst:
    """The most that was lost by one crash."""

    calls: int = 0
    """Counted, and in no event yet."""
    failures: int = 0
    age_s: float = 0.0
    """Since the first of them was counted, where the loop had come round."""
    calls_on_their_way: int = 0
    """In events that had not reached the disk."""
    transitions_on_their_way: int = 0
    crashes: int = 0

    def took(self, **lost: float) -> None:
        self.crashes += 1
        for name, much in lost.items():
            setattr(self, name, max(getattr(self, name), much))


@dataclass
class History:
    """One breaker through several processes."""

    seed: int
    worst: Worst
    clock: ManualClock = field(default_factory=ManualClock)
    probes: dict[int, float] = field(default_factory=dict[int, float])
    """Probes that may still run at the dependency, and when their leases end."""
    round_came: bool = True
    held: bool = False

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.log = MemoryLog(REGISTRY, now_us=self.clock.now_us)
        self.config = self.random.choice(CONFIGS)
        self.asked: list[asyncio.Task[None]] = []

    async def live(self, lives: int = 3) -> None:
        for _ in range(lives):
            async with self.log, ActorSystem(log=self.log, clock=self.clock) as system:
                breaker = await Breakers(system, boot="b").open("db", self.config)
                await system.settled()
                held: list[Permit] = []
                for _ in range(self.random.randint(5, 40)):
                    await self.step(system, breaker, held)
                self.log = await self.crash(breaker)
                self.held = False

    async def step(
        self, system: ActorSystem, breaker: Breaker, held: list[Permit]
    ) -> None:
        random = self.random
        match random.randrange(12):
            case 0 | 1 | 2:
                await self.calls(breaker, random.randint(1, 12), bad=0.6)
            case 3:
                await self.calls(breaker, random.choice((50, 499, 700)), bad=0.003)
            case 4 | 5:
                self.clock.advance(random.choice((0.1, 0.5, 0.9, 1.0, 6.0)))
                self.round_came = False
            case 6:
                self.log.hold()
                self.held = True
            case 7:
                appends = random.choice((1, 2, None))
                self.log.release(appends)
                self.held = self.held and appends is not None
            case 8:
                await self.probe(breaker, held)
            case 9:
                self.end(breaker, held)
            case 10 if random.random() < 0.4:
                self.asked.append(asyncio.create_task(self.act(breaker)))
            case _:
                await system.settled()
                self.round_came = True
        for _ in range(random.randint(0, 3)):
            await asyncio.sleep(0)

    async def calls(self, breaker: Breaker, count: int, bad: float) -> None:
        for _ in range(count):
            generation = breaker.machine.free or breaker.machine.clocked
            if generation is None:
                return
            if self.random.random() < bad:
                with suppress(ConnectionError):
                    await breaker.call(_fail)
            else:
                await breaker.call(_pass)

    async def probe(self, breaker: Breaker, held: list[Permit]) -> None:
        """Get a permit if that takes no waiting beyond a group commit that comes."""
        self.log.release()
        self.held = False
        with suppress(BreakerOpenError):
            permit = await breaker.acquire()
            held.append(permit)
            if permit.probe:
                self.probes[permit.probe] = self.clock.now_s() + LEASE_S
        now_s = self.clock.now_s()
        running = [end for end in self.probes.values() if end > now_s]
        assert len(running) <= PERMITTED, "more probes than are permitted"

    def end(self, breaker: Breaker, held: list[Permit]) -> None:
        if held:
            permit = held.pop(self.random.randrange(len(held)))
            self.probes.pop(permit.probe, None)
            how: Callable[[Permit], None] = self.random.choice(
                (breaker.done, breaker.done, breaker.cancel, _failing(breaker))
            )
            how(permit)

    async def act(self, breaker: Breaker) -> None:
        match self.random.randrange(5):
            case 0:
                await breaker.trip("drill")
            case 1:
                await breaker.reset("drill")
            case 2:
                await breaker.hold_open("drill", for_s=3.0)
            case 3:
                await breaker.only_measure("drill", for_s=3.0)
            case _:
                await breaker.configure(self.random.choice(CONFIGS), "drill")

    async def crash(self, breaker: Breaker) -> MemoryLog:
        """Die, and compare what the log holds with what was lived."""
        machine, twin = breaker.machine, breaker.machine.state
        self.log.fail()  # what is queued is gone, and nobody waits for it
        log = self.log.reopened()
        recorded = await log.read_stream("breaker/db")
        durable = [r.event for r in recorded if isinstance(r.event, Event)]
        desk = machine.journal
        assert isinstance(desk, Desk)
        outbox = desk.outbox
        unheard = len(durable) - outbox.version
        lost = [*[*outbox.handed][unheard:], *outbox.waiting]
        """What was on its way, in order."""
        restored = reduce(evolve, durable, BreakerState("db"))

        asked = machine.proposed
        """What a person has asked for and is not in force."""
        lived = [e for e in lost if all(e is not p for p in asked)]
        rolled = [e for e in lived if isinstance(e, WindowRolledUp)]
        moved = [e for e in lived if not isinstance(e, WindowRolledUp)]
        if len(lost) - len(lived) == len(asked):
            assert reduce(evolve, lived, restored) == twin
        else:  # the answer is on its way
            assert restored.generation + restored.config_version > (
                twin.generation + twin.config_version
            )
        if not moved and not asked:
            for name in ("phase", "generation", "until", "attempt", "config", "leases"):
                assert getattr(restored, name) == getattr(twin, name), name

        generation = machine.generation
        calls = generation.seq - generation.rolled_seq
        failures = len(generation.failures)
        assert calls < 500 or machine.frozen
        assert failures < twin.config.roll_up_failures or machine.frozen
        counted = restored.totals.calls + sum(e.calls for e in rolled) + calls
        assert counted == breaker.statistics().calls
        age_s = 0.0
        if generation.dirty_us is not None and self.round_came:
            age_s = self.clock.now_s() - generation.dirty_us / 1e6
            assert age_s <= 1.0 + 1e-6 or self.held or machine.frozen
        waiting = sum(e.calls for e in rolled)
        if machine.frozen:  # an action is on its way, and they wait for it
            calls, failures, age_s, waiting = 0, 0, 0.0, waiting + calls
        self.worst.took(
            calls=calls,
            failures=failures,
            age_s=age_s,
            calls_on_their_way=waiting,
            transitions_on_their_way=len(moved),
        )
        for task in self.asked:
            task.cancel()
        await asyncio.gather(*self.asked, return_exceptions=True)
        self.asked.clear()
        return log


async def _pass() -> None:
    return None


async def _fail() -> None:
    raise ConnectionError


def _failing(breaker: Breaker) -> Callable[[Permit], None]:
    return lambda permit: breaker.failed(permit, ConnectionError())
