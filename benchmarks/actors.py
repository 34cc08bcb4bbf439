"""Tells, asks, hops and spawns against asyncio.Queue and a task; a persisted step.

Run it as `.venv/bin/python benchmarks/actors.py [--uvloop]`; it prints one line of JSON.
Times are CPU nanoseconds of the loop's thread, medians of interleaved rounds, so other
processes disturb them little; `ratio` is ours over the floor, measured in the same run.
"""

import argparse
import asyncio
import gc
import json
import statistics
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop

from dramaturg.actors.runtime import (
    Actor,
    ActorContext,
    ActorSystem,
    Ask,
    ChildSpec,
    Decision,
    EventSourced,
    Mailbox,
    Message,
    Ref,
    handles,
)
from dramaturg.events import Event, Fold, Registry
from dramaturg.events.log.sqlite import SqliteLog

ROUNDS = 7
TELLS = 20_000
ASKS = 10_000
HOPS = 10_000
SPAWNS = 1_000
STEPS = 10_000
ASKERS = 100
BURST = 200


class Add(Message):
    """Add one."""

    n: int


class Get(Ask[int]):
    """Tell the sum."""


class Hop(Message):
    """Go to the other one until none are left."""

    left: int
    done: asyncio.Event


class Counter(Actor):
    """The simplest useful actor."""

    def __init__(self) -> None:
        self.count = 0
        self.other: Ref | None = None

    @handles
    def add(self, message: Add) -> None:
        """Add."""
        self.count += message.n

    @handles
    def get(self, message: Get) -> int:  # noqa: ARG002 - a handler takes its message
        """Tell."""
        return self.count

    @handles
    def hop(self, message: Hop) -> None:
        """Pass it on."""
        if message.left and self.other is not None:
            self.other.tell(Hop(message.left - 1, message.done))
        else:
            message.done.set()


class Plain:
    """The floor: a task that works off a queue."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue(TELLS)
        self.count = 0
        self.other: Plain | None = None
        self.task = asyncio.get_running_loop().create_task(self.run())

    async def run(self) -> None:
        """Work off the queue."""
        while True:
            message = await self.queue.get()
            if isinstance(message, Add):
                self.count += message.n
            elif isinstance(message, Hop):
                self.hop(message)
            else:
                message.set_result(self.count)

    def hop(self, message: Hop) -> None:
        """Pass it on."""
        if message.left and self.other is not None:
            self.other.queue.put_nowait(Hop(message.left - 1, message.done))
        else:
            message.done.set()

    def ask(self) -> "asyncio.Future[int]":
        """Queue a future."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.queue.put_nowait(future)
        return future


class Counted(Event, tag="bench.counted"):
    """One more."""

    n: int


class Total(msgspec.Struct, frozen=True):
    """The sum of an event-sourced counter."""

    n: int = 0


class Count(Ask[int]):
    """Count one more, durably."""

    n: int


class Durable(EventSourced[Total]):
    """A counter whose every step is an event."""

    fold = Fold(
        kind="bench",
        state=Total,
        initial=lambda _: Total(),
        evolve=lambda state, event: Total(state.n + event.n),  # type: ignore[attr-defined]  # there is one event
    )

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.reacted = 0

    def decide(self, state: Total, command: Message, ctx: ActorContext) -> Decision:  # noqa: ARG002 - the signature
        """Count."""
        assert isinstance(command, Count)
        return Decision((Counted(command.n),), state.n + command.n)

    def react(self, event: Event, ctx: ActorContext) -> None:  # noqa: ARG002 - the signature
        """Do as good as nothing."""
        self.reacted += 1


Times = dict[str, list[float]]


async def timed(
    times: Times,
    name: str,
    count: int,
    work: Callable[[], Awaitable[object]],
) -> None:
    """Add the CPU nanoseconds of one of `count` in `work`."""
    gc.collect()
    start = time.thread_time()
    await work()
    times.setdefault(name, []).append((time.thread_time() - start) / count * 1e9)


async def compare(system: ActorSystem) -> Times:
    """Measure ours and the floor in turns."""
    times: Times = {}
    wide = Mailbox(capacity=TELLS)
    ref, other = [
        await system.spawn(ChildSpec(id=name, factory=Counter, mailbox=wide))
        for name in ("a", "b")
    ]
    plain, second = Plain(), Plain()
    cells = [system.cell(f"/{name}") for name in ("a", "b")]
    for cell, peer in zip(cells, (other, ref), strict=True):
        assert isinstance(cell.actor, Counter)
        cell.actor.other = peer
    plain.other, second.other = second, plain
    for number in range(ROUNDS):
        await timed(times, "tell", TELLS, lambda: tell_ours(ref))
        await timed(times, "tell_floor", TELLS, lambda: tell_floor(plain))
        await timed(times, "ask", ASKS, lambda: ask_ours(ref))
        await timed(times, "ask_floor", ASKS, lambda: ask_floor(plain))
        await timed(times, "hop", HOPS, lambda: hop(ref.tell))
        await timed(times, "hop_floor", HOPS, lambda: hop(plain.queue.put_nowait))
        prefix = str(number)
        await timed(times, "spawn", SPAWNS, lambda p=prefix: spawn(system, p))  # type: ignore[misc]  # its default binds it now
        tasks: list[Plain] = []
        await timed(times, "spawn_floor", SPAWNS, lambda t=tasks: spawn_floor(t))  # type: ignore[misc]  # likewise
        for each in tasks:
            each.task.cancel()
    for each in (plain, second):
        each.task.cancel()
    return times


async def tell_ours(ref: Ref) -> None:
    """Tell in bursts, and wait until all is worked off."""
    message = Add(1)
    for _ in range(TELLS // BURST):
        for _ in range(BURST):
            ref.tell(message)
        await asyncio.sleep(0)
    await ref.ask(Get())


async def tell_floor(plain: Plain) -> None:
    """Do the same with a queue."""
    message = Add(1)
    for _ in range(TELLS // BURST):
        for _ in range(BURST):
            plain.queue.put_nowait(message)
        await asyncio.sleep(0)
    await plain.ask()


async def ask_ours(ref: Ref) -> None:
    """Ask one after the other."""
    message = Get()
    for _ in range(ASKS):
        await ref.ask(message)


async def ask_floor(plain: Plain) -> None:
    """Do the same with a queue and a future."""
    for _ in range(ASKS):
        await plain.ask()


async def hop(tell: Callable[[Hop], None]) -> None:
    """Have a message go to and fro."""
    done = asyncio.Event()
    tell(Hop(HOPS, done))
    await done.wait()


async def spawn(system: ActorSystem, prefix: str) -> None:
    """Start supervised actors."""
    for number in range(SPAWNS):
        await system.spawn(ChildSpec(id=f"{prefix}-{number}", factory=Counter))


async def spawn_floor(tasks: list[Plain]) -> None:
    """Start tasks."""
    for _ in range(SPAWNS):
        tasks.append(Plain())  # noqa: PERF401 - starting is what is measured
    await asyncio.sleep(0)


async def bytes_per_actor(system: ActorSystem) -> float:
    """Return the memory of one idle actor, with its path and its place in the tree."""
    count = 2_000
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    refs = [
        await system.spawn(ChildSpec(id=f"idle-{number}", factory=Counter))
        for number in range(count)
    ]
    for ref in refs:
        ref.tell(Add(1))
    await system.settled()
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return (after - before) / count


async def persisted(folder: Path) -> dict[str, float]:
    """Measure durable steps, asked by many at once."""
    costs: list[float] = []
    rates: list[float] = []
    log = SqliteLog(folder / "log.sqlite", Registry([Counted]))
    async with log, ActorSystem(log=log) as system:
        refs = [
            await system.spawn(
                ChildSpec(id=f"{n}", factory=lambda n=n: Durable(f"bench/{n}")),  # type: ignore[misc]  # its default binds it now
            )
            for n in range(ASKERS)
        ]

        async def asker(ref: Ref) -> None:
            for _ in range(STEPS // ASKERS):
                await ref.ask(Count(1), timeout_s=60)

        for _ in range(ROUNDS):
            gc.collect()
            cpu, wall = time.thread_time(), time.perf_counter()
            await asyncio.gather(*[asker(ref) for ref in refs])
            costs.append((time.thread_time() - cpu) / STEPS * 1e6)
            rates.append(STEPS / (time.perf_counter() - wall))
    return {
        "persisted_step_cpu_us": round(statistics.median(costs), 1),
        "persisted_steps_per_s": round(statistics.median(rates)),
        "persisted_askers": ASKERS,
    }


async def measured() -> dict[str, Any]:
    """Measure everything."""
    async with ActorSystem() as system:
        size = await bytes_per_actor(system)
    async with ActorSystem() as system:
        times = await compare(system)
    medians = {name: statistics.median(each) for name, each in times.items()}
    result: dict[str, Any] = {}
    for name in ("tell", "ask", "hop", "spawn"):
        ours, floor = medians[name], medians[f"{name}_floor"]
        result[f"{name}_ns"] = round(ours)
        result[f"{name}_floor_ns"] = round(floor)
        result[f"{name}_ratio"] = round(ours / floor, 3)
    result["idle_actor_bytes"] = round(size)
    with tempfile.TemporaryDirectory() as folder:
        result.update(await persisted(Path(folder)))
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure actors.")
    parser.add_argument("--uvloop", action="store_true", help="run on uvloop")
    use_uvloop = parser.parse_args().uvloop
    result = {
        "benchmark": "actors",
        "loop": "uvloop" if use_uvloop else "asyncio",
        "python": ".".join(map(str, sys.version_info[:3])),
    }
    factory = uvloop.new_event_loop if use_uvloop else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        result |= runner.run(measured())
    print(json.dumps(result))


if __name__ == "__main__":
    main()
