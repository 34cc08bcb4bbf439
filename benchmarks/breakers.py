"""What a guarded call costs more than a bare await, and what a refusal costs, beside others.

    python -m benchmarks.breakers [--quick]

prints one JSON line, in nanoseconds of this thread's CPU time. The floors are a bare
await of a coroutine that does nothing, the same through a decorator that does nothing,
and a coroutine that does nothing but raise. `logged` is the default breaker with its
actor and a log in SQLite; the others live in memory. Variants take turns in small
blocks, in both orders, and medians over the rounds are reported: `median_ns` of a
whole call, `adds_ns` of its difference to the bare await of the same round, `least_ns`
of the same for the tenth of rounds in which the machine had the least else to do, and
`times_bare` of its quotient, which says the same on a slow machine and on a fast one.
What the actor of `logged` does after the calls, once in 500 of them or in a second, is
`roll_up_us`: all CPU time of the loop's thread for so many calls, less that of as many
in memory.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.peers import BREAKERS, RETRIES, Call, Function, Guard, installed

from dramaturg.actors.breakers import Breaker, BreakerConfig, Breakers
from dramaturg.actors.retries import Retrying, RetryPolicy
from dramaturg.actors.runtime import ActorSystem
from dramaturg.events import Registry
from dramaturg.events.breaker import EVENTS
from dramaturg.events.log.sqlite import SqliteLog

CALLS = 500
"""In one block."""
ROUNDS = 600
ROLL_UPS = 100
WARM_S = 2.5
"""So long the variants run unmeasured; busy windows need two of their buckets."""
AIMS_NS = {"time": 250, "logged": 250, "timed": 350}
MANY = 1_000
"""Breakers whose memory is measured."""
BYTES_AIM = 600
TRIES_MAX = 1_000
"""So many failures open every breaker."""
DEFAULT = BreakerConfig()
CONFIGS = {
    "consecutive": BreakerConfig.preset("classic"),
    "count": BreakerConfig(window="count"),
    "time": DEFAULT,
    "timed": BreakerConfig(slow_call_s=1.0, slow_rate=0.5),
}
Taken = dict[str, list[float]]


async def nothing() -> object:
    """Do nothing."""
    return 1


async def fail() -> object:
    """Fail."""
    raise ConnectionError


def decorated(function: Callable[..., Awaitable[Any]]) -> Call:
    """Return what every decorator of a coroutine function costs at least."""

    async def through(*args: object, **kwargs: object) -> object:
        return await function(*args, **kwargs)

    return through


def ours(config: BreakerConfig) -> Guard:
    """Return a breaker of ours."""
    return Breaker("a breaker", config)


async def block(call: Call) -> float:
    """Return the nanoseconds of one call."""
    started = time.thread_time_ns()
    for _ in range(CALLS):
        await call()
    return (time.thread_time_ns() - started) / CALLS


async def block_refused(call: Call) -> float:
    """Return the nanoseconds of one call that raises."""
    started = time.thread_time_ns()
    for _ in range(CALLS):
        try:
            await call()
        except Exception:  # noqa: BLE001, S112 - each raises its own
            continue
    return (time.thread_time_ns() - started) / CALLS


async def open_guard(guard: Guard) -> Call:
    """Return a guarded call that is refused."""
    healthy = True

    async def dependency() -> object:
        nonlocal healthy
        healthy = False
        raise ConnectionError

    call = guard(dependency)
    for _ in range(TRIES_MAX):
        healthy = True
        with suppress(Exception):
            await call()
        if healthy:
            return call
    raise AssertionError("it does not open")


def calls(logged: Function) -> dict[str, Call]:
    """Return the ways of a good call, by name."""
    found: dict[str, Call] = {"bare": nothing, "decorated": decorated(nothing)}
    found |= {name: ours(config)(nothing) for name, config in CONFIGS.items()}
    found["logged"] = logged
    found |= {name: make()(nothing) for name, make in installed(BREAKERS).items()}
    found["retrying"] = Retrying(RetryPolicy())(nothing)
    found |= {name: make()(nothing) for name, make in installed(RETRIES).items()}
    return found


async def refusals() -> dict[str, Call]:
    """Return the ways to be refused, by name."""
    refusing = Breaker("refusing")
    await refusing.hold_open("the benchmark")

    async def asked() -> object:
        return refusing.refusal()

    found: dict[str, Call] = {"raise": fail, "asked": asked}
    found["open"] = await open_guard(ours(CONFIGS["consecutive"]))
    for name, make in installed(BREAKERS).items():
        found[f"{name} open"] = await open_guard(make())
    return found


async def with_loop(call: Call, blocks: int) -> float:
    """Return the nanoseconds of a block of calls and the loop's turns after them."""
    started = time.thread_time_ns()
    for _ in range(blocks):
        for _ in range(CALLS):
            await call()
        await asyncio.sleep(0)
    return (time.thread_time_ns() - started) / blocks


async def roll_up_ns(logged: Call, kept: Call, rounds: int) -> float:
    """Return what the log costs for each block of calls."""
    return statistics.median(
        [
            await with_loop(logged, ROLL_UPS) - await with_loop(kept, ROLL_UPS)
            for _ in range(max(5, rounds // 20))
        ]
    )


async def measure(rounds: int) -> tuple[Taken, float]:
    """Let the variants take turns."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        log = SqliteLog(Path(folder) / "log", Registry(EVENTS))
        system = ActorSystem(log=await stack.enter_async_context(log))
        await stack.enter_async_context(system)
        logged = await Breakers(system).open("logged")
        passing, refused = calls(logged(nothing)), await refusals()
        turns = [(name, call, block) for name, call in passing.items()]
        turns += [(name, call, block_refused) for name, call in refused.items()]
        warm_until_s = time.monotonic() + WARM_S
        while time.monotonic() < warm_until_s:
            for _, call, take in turns:
                await take(call)
            await asyncio.sleep(0)
        found: Taken = {name: [] for name, *_ in turns}
        for number in range(rounds):
            for name, call, take in reversed(turns) if number % 2 else turns:
                found[name].append(await take(call))
            await asyncio.sleep(0)
        return found, await roll_up_ns(passing["logged"], passing["time"], rounds)


def bytes_each(make: Callable[[], Any], use: Callable[[Any], Awaitable[None]]) -> int:
    """Return the memory that one of many takes once it was used.

    Without the guards of functions, which are the functions' rather than its own.
    """

    async def made() -> tuple[list[Any], int]:
        await use(make())  # what is made once for all
        kept: list[Any] = [None] * MANY
        tracemalloc.start()
        for number in range(MANY):
            kept[number] = make()
            await use(kept[number])
        size, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return kept, size

    return asyncio.run(made())[1] // MANY


async def _three(breaker: Breaker) -> None:
    for _ in range(3):
        await breaker.call(nothing)


def _called(good: int, bad: int) -> Callable[[Guard], Awaitable[None]]:
    """Return what guards two functions by it, and calls them."""

    async def use(guard: Guard) -> None:
        passing, failing = guard(nothing), guard(fail)
        for _ in range(good):
            await passing()
        for _ in range(bad):
            with suppress(Exception):
                await failing()

    return use


def memory() -> dict[str, Any]:
    """Return the bytes of a breaker alone, and of each when healthy and when failing."""
    makers: dict[str, Callable[[], Guard]] = {
        f"ours, {name}": partial(ours, config) for name, config in CONFIGS.items()
    }
    makers |= installed(BREAKERS)
    return {
        "alone": bytes_each(lambda: Breaker("a breaker", DEFAULT), _three),
        "healthy": {n: bytes_each(m, _called(3, 0)) for n, m in makers.items()},
        "failing": {n: bytes_each(m, _called(30, 10)) for n, m in makers.items()},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rounds")
    rounds = ROUNDS // 10 if parser.parse_args().quick else ROUNDS
    found, roll_up = asyncio.run(measure(rounds))
    bare = found["bare"]
    more = {n: [a - b for a, b in zip(t, bare, strict=True)] for n, t in found.items()}
    adds = {name: round(statistics.median(taken)) for name, taken in more.items()}
    times = {
        name: statistics.median(a / b for a, b in zip(taken, bare, strict=True))
        for name, taken in found.items()
    }
    quiet = statistics.quantiles(bare, n=10)[0]
    least = {
        name: round(statistics.quantiles(taken, n=10)[0] - quiet)
        for name, taken in found.items()
    }
    size = memory()
    line = {
        "benchmark": "breakers",
        "median_ns": {n: round(statistics.median(t)) for n, t in found.items()},
        "adds_ns": adds,
        "least_ns": least,
        "times_bare": {name: round(ratio, 2) for name, ratio in times.items()},
        "roll_up_us": round(roll_up / 1e3, 1),
        "bytes": size,
        "left_out": sorted({*BREAKERS, *RETRIES} - {*found}),
        "aims_ns": AIMS_NS,
        "aims_met": {name: adds[name] <= aim for name, aim in AIMS_NS.items()},
        "bytes_aim_met": size["alone"] <= BYTES_AIM,
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
