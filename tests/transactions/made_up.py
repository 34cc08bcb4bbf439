"""A made-up resource and its steps, for tests of the coordinator."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import msgspec

from dramaturg.actors.retries import RetryPolicy
from dramaturg.actors.runtime import ActorSystem, ManualClock, Ref
from dramaturg.actors.transactions.coordinator import Coordinator, Transaction
from dramaturg.actors.transactions.errors import FencedError
from dramaturg.actors.transactions.limits import Limits
from dramaturg.actors.transactions.messages import Outcome
from dramaturg.actors.transactions.news import Answered
from dramaturg.actors.transactions.step import Call, Do, Step, Steps
from dramaturg.events.dead_letters import Noted
from dramaturg.events.log import EventLog, StreamAppend

NULL = msgspec.Raw(b"null")


class Args(msgspec.Struct, frozen=True, gc=False):
    what: str


class Undo(msgspec.Struct, frozen=True, gc=False):
    what: str


class World:
    """Effects by key, with a fence, failures on command and gates to wait at."""

    def __init__(self) -> None:
        self.effects: dict[str, str] = {}
        self.fenced: set[str] = set()
        self.order: list[str] = []
        self.failing: dict[str, int] = {}
        """How often `verb what` fails before it succeeds."""
        self.gates: dict[str, asyncio.Event] = {}
        self.reached: dict[str, asyncio.Event] = {}
        self.tidied: list[str] = []
        self.calls: list[Call] = []

    @property
    def there(self) -> list[str]:
        return sorted(self.effects.values())

    def fail(self, *names: str, times: int = 1) -> None:
        for name in names:
            self.failing[name] = times

    def gate(self, name: str) -> asyncio.Event:
        """Have `verb what` wait; returns what to set for it to go on."""
        self.gates[name] = asyncio.Event()
        self.reached[name] = asyncio.Event()
        return self.gates[name]

    async def pass_by(self, name: str) -> None:
        self.order.append(name)
        if self.failing.get(name, 0) > 0:
            self.failing[name] -= 1
            raise OSError(f"{name} fails")
        if gate := self.gates.get(name):
            self.reached[name].set()
            await gate.wait()

    def apply(self, key: str, what: str) -> None:
        if key in self.fenced:
            raise FencedError(key)
        self.effects[key] = what


class MadeUp(Step[Args, Undo]):
    arguments = Args
    undo = Undo

    def __init__(self, world: World, name: str = "do") -> None:
        self.name = name
        self._world = world

    async def check(self, args: Args) -> None:
        await self._world.pass_by(f"check {args.what}")

    async def prepare(self, args: Args, call: Call) -> Undo:
        del call
        await self._world.pass_by(f"prepare {args.what}")
        return Undo(args.what)

    async def run(self, args: Args, undo: Undo, call: Call) -> msgspec.Raw:
        assert undo.what == args.what
        self._world.calls.append(call)
        await self._world.pass_by(f"run {args.what}")
        self._world.apply(call.key, args.what)
        return msgspec.Raw(msgspec.json.encode(args.what.upper()))

    async def compensate(self, args: Args, undo: Undo, call: Call) -> None:
        assert undo.what == args.what
        await self._world.pass_by(f"undo {args.what}")
        self._world.fenced.add(call.key)
        self._world.effects.pop(call.key, None)

    async def query(self, args: Args, undo: Undo, call: Call) -> Answered:
        del undo
        await self._world.pass_by(f"query {args.what}")
        if call.key in self._world.effects:
            return Answered(call.step, "done", NULL)
        return Answered(call.step, "absent")

    async def tidy(self, args: Args, undo: Undo, call: Call) -> None:
        del undo, call
        await self._world.pass_by(f"tidy {args.what}")
        self._world.tidied.append(args.what)


def do(what: str, **how: object) -> Do:
    return msgspec.structs.replace(Do("do", Args(what)), **how)


def transaction(
    *steps: Do | str, key: str = "", deadline_s: float = 300.0
) -> Transaction:
    dos = [do(step) if isinstance(step, str) else step for step in steps]
    return Transaction(dos, key=key, deadline_s=deadline_s)


LIMITS = Limits(
    active_max=5,
    steps_max=5,
    retry=RetryPolicy(attempts_max=3, base_s=1.0, cap_s=60.0, jitter=False),
)


class House:
    """A system with one coordinator over a made-up world."""

    def __init__(self, log: EventLog, system: ActorSystem, clock: ManualClock) -> None:
        self.log = log
        self.system = system
        self.clock = clock
        self._notes = 0
        self.coordinator: Coordinator
        self.ref: Ref

    async def begin(self, wanted: Transaction) -> str:
        return await self.coordinator.begin(wanted)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Let actors and time go on until something holds."""
        for _ in range(2000):
            await self.settle()
            if holds():
                return
            if self.clock.next_s is not None:
                self.clock.advance(min(self.clock.next_s, 1.0))
        raise AssertionError("it never came to hold")

    async def settle(self) -> None:
        """Wait until all that was decided is durable and nothing is left to do.

        A real disk takes real time, in which the clock of the test must stand: an
        append of its own tells when those before it are done.
        """
        for _ in range(3):
            await self.system.settled()
            note = (Noted(text="", by="test", at_us=0),)
            await self.log.append(
                [StreamAppend(f"probe/{self.log.epoch}", self._notes, note)]
            )
            self._notes += 1
        await self.system.settled()

    async def run(self, wanted: Transaction) -> Outcome:
        """Run a transaction, letting time pass as long as that takes."""
        return await self.finish(await self.begin(wanted))

    async def finish(self, stream: str) -> Outcome:
        task = asyncio.create_task(self.coordinator.wait(stream, wait_s=1e6))
        await self.until(task.done)
        return await task


@asynccontextmanager
async def house(
    log: EventLog,
    world: World,
    *,
    limits: Limits = LIMITS,
    clock: ManualClock | None = None,
) -> AsyncGenerator[House, None]:
    clock = clock or ManualClock()
    steps = Steps([MadeUp(world)])
    async with ActorSystem(log=log, clock=clock, seed=1) as system:
        one = House(log, system, clock)
        one.ref = await system.spawn(Coordinator.spec("main", steps, limits))
        one.coordinator = Coordinator(one.ref, steps, log)
        yield one
