"""One seed: lives that end in crashes, then a calm one in which everything finishes."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from random import Random
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from dramaturg.actors.dead_letters import DeadLetterActor, Redrive, Selection
from dramaturg.actors.pipelines.decisions import ItemDecisions
from dramaturg.actors.runtime import IntensityExceededError, StreamOwner
from dramaturg.actors.transactions.actor import CoordinatorActor
from dramaturg.events import DramaturgError
from dramaturg.testing import Dice, Odds

from .book import Book
from .items import ENDS, ItemModel
from .life import (
    PERMITTED,
    UNDOABLE,
    CrashedError,
    Life,
    LifeClock,
    SimLoop,
    rules,
)
from .looks import look
from .people import People
from .promise import holds
from .scenario import Scenario, scenario
from .sim_log import SimLog, reads
from .world import Process, World

STEPS_MAX = 400_000
LOOPS: WeakKeyDictionary[SimLoop, int] = WeakKeyDictionary()
"""The loops that are in memory, with their seeds."""
MOVING = frozenset({"waiting", "running", "retry", "redriving"})
HANDLED = frozenset({"paused", "stuck", "parked"})
"""Where work may wait for a person."""


class Ran(msgspec.Struct, frozen=True):
    """What a seed came to."""

    seed: int
    lives: int
    crashes: int
    steps: int
    events: int
    virtual_s: float
    digest: str


class Simulation:
    """Everything that one seed leads to; the same each time."""

    def __init__(self, plan: Scenario) -> None:
        self.plan = plan
        self.chance = Random(plan.seed + 1_000_003)
        self.book = Book(rules(plan), PERMITTED)
        self.world = World(plan, self.book, self.chance)
        self.dice = Dice(self.chance, plan.odds)
        self.log: SimLog | None = None
        self.now_s = 0.0
        self.crashes = 0
        self.steps = 0
        self.digests: list[str] = []
        self.trace: Callable[[str], object] | None = None
        """Takes a line for everything that happens."""

    def run(self) -> Ran:
        """Live all lives, the last of them calm. Raises `BrokenPromiseError`."""
        for number in range(self.plan.lives):
            self._live(number)
        self.world.calm = True
        self.dice.odds = Odds(slow=0.5, slow_s_max=0.05)
        self._live(self.plan.lives)
        self._check_ends()
        return Ran(
            self.plan.seed,
            self.plan.lives + 1,
            self.crashes,
            self.steps,
            self.book.rows,
            self.now_s,
            ",".join(self.digests) + self.book.chain.hexdigest(),
        )

    def _live(self, number: int) -> None:
        chance = self.chance
        calm = self.world.calm
        loop = SimLoop(
            chance.getrandbits(64),
            steps_max=STEPS_MAX,
            lag_s=0.0 if calm else self.plan.lag_s,
        )
        LOOPS[loop] = self.plan.seed
        clock = LifeClock(loop, self.now_s)
        if self.log is None:
            reading = reads(chance, self.plan.slow_reads_s)
            self.log = SimLog(self.book, self.dice, clock, reading)
        else:
            moved = self.log.moved(clock)
            assert isinstance(moved, SimLog)
            self.log = moved
        process = self.world.process = Process(number)
        if self.trace is not None:
            self.trace(f"life {number} begins at {self.now_s:.3f} s")
            loop.trace = self.log.trace = self.world.trace = self.trace
        life = Life(self.plan, self.world, self.log, loop, clock, chance, process)
        try:
            loop.run(life.main(self._finish if calm else self._act))
        except CrashedError:
            self.crashes += 1
        except IntensityExceededError:
            holds(not calm, 4, "the system gave up though nothing went wrong")
        finally:
            process.dead = True
            self.steps += loop.steps
            self.digests.append(loop.digest[:8])
        if self.world.broken is not None:
            raise self.world.broken
        self.now_s = clock.now_s() + chance.random() * chance.choice((0.1, 10.0, 100.0))

    @staticmethod
    async def _act(life: Life) -> None:
        async def at_it() -> None:
            await look(life)

        await People(life).act(at_it)

    # Liveness: once faults stop, everything finishes

    async def _finish(self, life: Life) -> None:
        await life.running.resume("calm")
        await life.running.resume("calm", stage="store")
        await self._wait(self._is_handled, 150)
        await life.system.settled()
        await look(life)
        for item in self.book.items.values():
            place = self.book.place(item)
            ended = {*ENDS, *HANDLED, "evicted", "expired", "discarded", "resolved"}
            holds(place in ended, 4, f"{item.stream} is still {place}: {vars(item)}")
        for transaction in self.book.transactions.values():
            phase = transaction.phase
            over = {"committed", "rolled_back", "stuck"}
            holds(phase in over, 4, f"{transaction.stream} is still {phase}")
        for _ in range(8):
            await self._help(life)
            await self._wait(self._is_over, 60)
            if self._is_over():
                break
        await life.system.settled()
        await look(life)
        left = [(i.stream, self.book.place(i), vars(i)) for i in self._unfinished()]
        holds(not left, 4, f"these never finish: {left}")
        stuck = [t for t in self.book.transactions.values() if not self._ended(t.phase)]
        holds(not stuck, 4, f"these never end: {[(t.stream, t.phase) for t in stuck]}")
        await self._breaker_recovers(life)

    @staticmethod
    async def _wait(until: Callable[[], bool], most_s: float) -> None:
        """Let time pass, no more than is needed."""
        for _ in range(int(most_s / 3)):
            await asyncio.sleep(3)
            if until():
                break

    def _is_handled(self) -> bool:
        """Whether nothing goes on by itself."""
        places = {self.book.place(item) for item in self.book.items.values()}
        phases = {known.phase for known in self.book.transactions.values()}
        return not places & MOVING and not phases & {"forward", "back"}

    def _unfinished(self) -> list[ItemModel]:
        over = {*ENDS, "evicted", "expired", "discarded", "resolved"}
        items = self.book.items.values()
        return [item for item in items if self.book.place(item) not in over]

    @staticmethod
    def _ended(phase: str) -> bool:
        return phase in {"committed", "rolled_back"}

    def _is_over(self) -> bool:
        phases = [t.phase for t in self.book.transactions.values()]
        return not self._unfinished() and all(map(self._ended, phases))

    async def _help(self, life: Life) -> None:
        """Be the person who sees to what waits for one."""
        running = life.running
        for item in self._unfinished():
            name = item.stream.rpartition("/")[2]
            place = self.book.place(item)
            try:
                if place == "paused":
                    await running.resume("calm", item=name)
                elif place == "stuck":
                    await running.retry_stuck(name, "calm")
                elif place == "parked":
                    chosen = Selection(entries=(item.entry,))
                    await life.mail.ask(Redrive(chosen, "calm"))
            except DramaturgError as error:
                life.loop.note(f"help: {type(error).__name__}")
        for stream, known in self.book.transactions.items():
            if known.phase == "stuck":
                await life.coordinator.resolve(stream, "retry", "calm")

    @staticmethod
    async def _breaker_recovers(life: Life) -> None:
        """A breaker lets calls pass again."""

        async def fine() -> None:
            return

        breaker = life.breakers["graph"]
        if breaker.machine.state.phase != "closed":
            await asyncio.sleep(30)
        await breaker.call(fine)
        await life.system.settled()
        phase = breaker.machine.state.phase
        holds(phase == "closed", 4, f"the breaker is still {phase}")

    def _check_ends(self) -> None:
        """What is there in the world is what the log says is there."""
        log = self.log
        assert log is not None
        log.verify()
        effects = self.world.effects
        for item in self.book.items.values():
            place = self.book.place(item)
            for name in item.order:
                there = effects.get(f"{item.stream}:{name}", False)
                what = f"{item.stream} is {place}, the effect of {name} is {there}"
                if place == "done":
                    holds(there, 5, what)
                elif name in UNDOABLE:
                    holds(not there, 5, what)
        for stream, known in self.book.transactions.items():
            if known.forced:
                continue
            for number, step in enumerate(known.steps):
                there = effects.get(f"{stream}#{number}", False)
                what = (
                    f"{stream} is {known.phase}, step {number} {step.status}: {there}"
                )
                holds(there == (known.phase == "committed"), 5, what)


@contextmanager
def _many_snapshots() -> Generator[None]:
    """Have streams this short read from snapshots, too."""
    owners: list[type[StreamOwner[Any]]] = [
        CoordinatorActor,
        DeadLetterActor,
        ItemDecisions,
    ]
    before = [owner.snapshot_every for owner in owners]
    try:
        for owner in owners:
            owner.snapshot_every = 3
        yield
    finally:
        for owner, every in zip(owners, before, strict=True):
            owner.snapshot_every = every


def simulate(seed: int) -> Ran:
    """Run one seed."""
    with _many_snapshots():
        return Simulation(scenario(seed)).run()
