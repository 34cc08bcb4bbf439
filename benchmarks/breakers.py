"""What a guarded call costs more than a bare await, and what a refusal costs.

    python -m benchmarks.breakers [--quick]

prints one JSON line, in nanoseconds of this thread's CPU time. The floors are a bare
await of a coroutine that does nothing and the same through a decorator that does
nothing. `logged` is the default breaker with its actor and a log in SQLite, the others
live in memory. Variants take turns in small blocks, in both orders, and medians over the
rounds are reported: `median_ns` of a whole call, `adds_ns` of its difference to the bare
await of the same round, `times_bare` of its quotient by that, which says the same on a
slow machine and on a fast one. `beyond_decorated_ns` is what is added to a decorator that
does nothing, so what the guard itself costs.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

from dramaturg.actors.breakers import Breaker, BreakerConfig, BreakerOpenError, Breakers
from dramaturg.actors.runtime import ActorSystem
from dramaturg.events import Registry
from dramaturg.events.breaker import EVENTS
from dramaturg.events.log.sqlite import SqliteLog

CALLS = 1_000
"""In one block."""
ROUNDS = 400
AIM_NS = 300
MANY = 1_000
"""Breakers whose memory is measured."""

Call = Callable[[], Awaitable[object]]
SLOW = BreakerConfig(slow_call_s=1.0, slow_rate=0.5)


async def nothing() -> int:
    """Do nothing."""
    return 1


def decorated(function: Callable[..., Awaitable[Any]]) -> Call:
    """Return what every decorator of a coroutine function costs at least."""

    async def through(*args: object, **kwargs: object) -> object:
        return await function(*args, **kwargs)

    return through


async def block(call: Call) -> float:
    """Return the nanoseconds of one call."""
    started = time.thread_time_ns()
    for _ in range(CALLS):
        await call()
    return (time.thread_time_ns() - started) / CALLS


async def variants(system: ActorSystem) -> dict[str, Call]:
    """Return what is compared, by name."""
    count = BreakerConfig(window="count")
    logged = await Breakers(system).open("logged")
    refusing = Breaker("refusing")
    await refusing.hold_open("the benchmark")
    refused = refusing(nothing)

    async def rejected() -> None:
        try:
            await refused()
        except BreakerOpenError:
            return

    async def asked() -> None:
        refusing.refusal()

    def guard(
        name: str, config: BreakerConfig
    ) -> Callable[[], Coroutine[Any, Any, int]]:
        return Breaker(name, config)(nothing)

    return {
        "bare": nothing,
        "decorated": decorated(nothing),
        "consecutive": guard("consecutive", BreakerConfig.preset("classic")),
        "count": guard("count", count),
        "time": guard("time", BreakerConfig()),
        "timed": guard("timed", SLOW),
        "logged": logged(nothing),
        "rejected": rejected,
        "rejected_without_raising": asked,
    }


async def measure(rounds: int) -> dict[str, list[float]]:
    """Let the variants take turns."""
    with tempfile.TemporaryDirectory() as folder:
        registry = Registry(EVENTS)
        async with (
            SqliteLog(Path(folder) / "log", registry) as log,
            ActorSystem(log=log) as system,
        ):
            calls = await variants(system)
            found: dict[str, list[float]] = {name: [] for name in calls}
            for number in range(rounds):
                turns = [*calls.items()]
                for name, call in reversed(turns) if number % 2 else turns:
                    found[name].append(await block(call))
                await asyncio.sleep(0)
            return found


def bytes_each() -> int:
    """Return the memory of a breaker that has guarded good calls."""
    config = BreakerConfig()

    async def use() -> list[Breaker]:
        breakers = [Breaker("b", config) for _ in range(MANY)]
        for breaker in breakers:
            for _ in range(3):
                await breaker.call(nothing)
        return breakers

    tracemalloc.start()
    kept = asyncio.run(use())
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size // len(kept)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rounds")
    rounds = ROUNDS // 10 if parser.parse_args().quick else ROUNDS
    found = asyncio.run(measure(rounds))
    bare = found["bare"]
    adds = {
        name: statistics.median(a - b for a, b in zip(taken, bare, strict=True))
        for name, taken in found.items()
    }
    times = {
        name: statistics.median(a / b for a, b in zip(taken, bare, strict=True))
        for name, taken in found.items()
    }
    print(
        json.dumps(
            {
                "benchmark": "breakers",
                "median_ns": {
                    name: round(statistics.median(taken))
                    for name, taken in found.items()
                },
                "adds_ns": {name: round(ns) for name, ns in adds.items()},
                "times_bare": {name: round(ratio, 2) for name, ratio in times.items()},
                "beyond_decorated_ns": {
                    name: round(ns - adds["decorated"]) for name, ns in adds.items()
                },
                "bytes_each": bytes_each(),
                "aim_ns": AIM_NS,
                "aim_met": adds["time"] <= AIM_NS,
            },
        ),
    )


if __name__ == "__main__":
    main()
