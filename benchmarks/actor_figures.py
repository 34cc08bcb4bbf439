"""Figures of our actors alone: memory, restarts, the loop's lag, durable steps."""

import asyncio
import gc
import resource
import statistics
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from benchmarks.actor_sides.ours import Add, Counter, Get
from benchmarks.actor_sides.plain import Worker, ended

from dramaturg.actors.runtime import (
    Actor,
    ActorContext,
    ActorSystem,
    Ask,
    ChildSpec,
    Decision,
    EventSourced,
    Message,
    Ref,
    SupervisorSpec,
    handles,
)
from dramaturg.events import Event, Fold, Registry
from dramaturg.events.log.sqlite import SqliteLog

SATURATED = 50
ASKERS = 100
RESTARTS = 50
"""In one round; more than an actor works off in one turn."""
WINDOW = 512
"""Asks on their way to the one hot actor."""


class Crash(Message):
    """Fail."""


class Again(Message):
    """Tell yourself the same again."""


class Fragile(Actor):
    """Fails when it is told to."""

    @handles
    def crash(self, message: Crash) -> None:  # noqa: ARG002 - a handler takes its message
        """Fail."""
        raise ValueError

    @handles
    def get(self, message: Get) -> int:  # noqa: ARG002 - likewise
        """Answer."""
        return 1


class Busy(Actor):
    """Never without a message."""

    @handles
    def again(self, message: Again) -> None:
        """Go on."""
        self.ctx.self.tell(message)


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

    def decide(self, state: Total, command: Message, ctx: ActorContext) -> Decision:  # noqa: ARG002 - the signature
        """Count."""
        assert isinstance(command, Count)
        return Decision((Counted(command.n),), state.n + command.n)


class Waiting(Durable):
    """The same, but it waits for the disk before it decides again."""

    pipelined = False


async def bytes_per_actor(count: int) -> dict[str, float]:
    """Return the bytes of an idle actor that has had a message, and of the floor."""
    async with ActorSystem() as system:
        gc.collect()
        tracemalloc.start()
        refs = [
            await system.spawn(ChildSpec(id=f"{number}", factory=Counter))
            for number in range(count)
        ]
        for ref in refs:
            ref.tell(Add(1))
        await system.settled()
        gc.collect()
        ours, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    tracemalloc.start()
    workers = [Worker() for _ in range(count)]
    for worker in workers:
        worker.queue.put_nowait(Add(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gc.collect()
    floor, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    await ended(workers)
    return {
        "dramaturg": round(ours / count),
        "queue_and_task": round(floor / count),
        "times": round(floor / ours, 2),
    }


async def restart_us(rounds: int) -> dict[str, dict[str, float]]:
    """Return the CPU of restarts: the least and the median of short rounds.

    `crash_to_reply`: from a message that crashes an actor to its next answer.
    `told_and_asked`: the same without a crash. `in_a_row`: one of many crashes that
    the pump works off by itself.
    """
    costs: dict[str, list[float]] = {}
    async with ActorSystem() as system:
        spec = SupervisorSpec(id="top", within_s=1e-6)  # each crash is the first
        top = await system.spawn(spec)
        ref = await system.spawn(ChildSpec(id="fragile", factory=Fragile), top)
        for _ in range(rounds):
            for name, message in (
                ("crash_to_reply", Crash()),
                ("told_and_asked", Get()),
            ):
                start = time.thread_time()
                for _ in range(RESTARTS):
                    ref.tell(message)
                    await ref.ask(Get())
                costs.setdefault(name, []).append(time.thread_time() - start)
            start = time.thread_time()
            for _ in range(RESTARTS):
                ref.tell(Crash())
            await ref.ask(Get())
            costs.setdefault("in_a_row", []).append(time.thread_time() - start)
    return {
        name: {
            "least": round(min(each) / RESTARTS * 1e6, 1),
            "median": round(statistics.median(each) / RESTARTS * 1e6, 1),
        }
        for name, each in costs.items()
    }


async def lag_ms(samples: int) -> dict[str, float]:
    """Return how late the host's own timers are beside saturated actors."""
    loop = asyncio.get_running_loop()
    wall: list[float] = []
    cpu: list[float] = []
    async with ActorSystem() as system:
        for number in range(SATURATED):
            ref = await system.spawn(ChildSpec(id=f"{number}", factory=Busy))
            ref.tell(Again())
        for _ in range(samples):
            due, begun = loop.time() + 0.001, time.thread_time()
            await asyncio.sleep(0.001)
            wall.append((loop.time() - due) * 1e3)
            cpu.append((time.thread_time() - begun - 0.001) * 1e3)
    return {
        "p50": round(statistics.median(wall), 2),
        "p99": round(statistics.quantiles(wall, n=100)[-1], 2),
        "p99_cpu": round(statistics.quantiles(cpu, n=100)[-1], 2),
    }


async def durable(
    folder: Path,
    rounds: int,
    steps: int,
    factory: Callable[[str], Durable],
    askers: int | None,
) -> dict[str, float]:
    """Measure durable steps: of an actor per asker, or of one hot actor (None)."""
    costs: list[float] = []
    rates: list[float] = []
    log = SqliteLog(folder / f"{factory.__name__}-{askers}.db", Registry([Counted]))
    async with log, ActorSystem(log=log) as system:
        refs: list[Ref] = [
            await system.spawn(
                ChildSpec(id=f"{n}", factory=lambda n=n: factory(f"bench/{n}")),  # type: ignore[misc]  # its default binds it now
            )
            for n in range(askers or 1)
        ]

        async def asker(ref: Ref, times: int) -> None:
            for _ in range(times):
                await ref.ask(Count(1), timeout_s=60)

        async def hot(ref: Ref) -> None:
            for _ in range(steps // WINDOW):
                for answer in [ref.ask(Count(1), timeout_s=60) for _ in range(WINDOW)]:
                    await answer

        for _ in range(rounds):
            gc.collect()
            cpu, clock = time.thread_time(), time.perf_counter()
            if askers is None:
                await hot(refs[0])
            else:
                await asyncio.gather(*[asker(ref, steps // askers) for ref in refs])
            costs.append((time.thread_time() - cpu) / steps * 1e6)
            rates.append(steps / (time.perf_counter() - clock))
    return {
        "loop_cpu_us": round(statistics.median(costs), 2),
        "per_s": round(statistics.median(rates)),
    }


async def figures(folder: Path, *, quick: bool) -> dict[str, Any]:
    """Measure all of them."""
    rounds, part = (1, 10) if quick else (5, 1)
    sizes = (1_000,) if quick else (10_000, 100_000)
    return {
        "bytes_idle": {str(size): await bytes_per_actor(size) for size in sizes},
        "restart_cpu_us": await restart_us(100 // part),
        "lag_ms": await lag_ms(2_000 // part),
        "durable": {
            "100_askers": await durable(
                folder, rounds, 10_000 // part, Durable, ASKERS
            ),
            "hot_pipelined": await durable(
                folder, rounds, 20 * WINDOW // (4 if quick else 1), Durable, None
            ),
            "hot_waiting": await durable(folder, 1, WINDOW, Waiting, None),
        },
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
