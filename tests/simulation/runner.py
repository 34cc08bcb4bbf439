"""Runs many seeds, spread over processes."""

import gc
import logging
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import msgspec
import structlog

from .planted import FAULTS, FOUND_AT
from .simulation import LOOPS, Ran, simulate

A = TypeVar("A")
B = TypeVar("B")

CHUNK = 250
"""Seeds that a process runs before it makes room for another."""
FIND_MAX = 2000
"""A planted fault must be found within so many seeds."""


class Failed(msgspec.Struct, frozen=True):
    """A seed that broke a promise."""

    seed: int
    error: str


def quiet() -> None:
    """Keep the logs of what goes wrong on purpose to themselves."""

    def drop(_: Any, __: str, ___: Any) -> Any:
        raise structlog.DropEvent

    structlog.configure(processors=[drop], cache_logger_on_first_use=True)
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")  # a crash leaves coroutines that never began
    gc.set_threshold(20_000, 20, 100)


def run_one(seed: int) -> Ran | Failed:
    """Run a seed, and survive whatever it finds."""
    try:
        return simulate(seed)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - it is told, cancellation and all
        return Failed(seed, f"{type(error).__name__}: {str(error)[:1500]}")


def run_chunk(seeds: range) -> list[Ran | Failed]:
    """Run some seeds; what they ran on must not be in memory afterwards."""
    quiet()
    results = [run_one(seed) for seed in seeds]
    gc.collect()
    left = sorted(set(LOOPS.values()))
    return [
        *results,
        *(Failed(seed, "its systems are still in memory") for seed in left),
    ]


def run_seeds(first: int, count: int, processes: int) -> Iterator[Ran | Failed]:
    """Run so many seeds from the first on, each chunk in a process of its own."""
    end = first + count
    chunks = [range(n, min(n + CHUNK, end)) for n in range(first, end, CHUNK)]
    for results in spread(run_chunk, chunks, processes):
        yield from results


def find_one(what: tuple[str, range]) -> Failed | None:
    """Look for one planted fault; return the first seed that finds it."""
    quiet()
    name, seeds = what
    with FAULTS[name].planted():
        results = map(run_one, seeds)
        return next((each for each in results if isinstance(each, Failed)), None)


def find_planted(
    names: list[str], processes: int, *, known: bool
) -> Iterator[tuple[str, Failed | None]]:
    """Look for planted faults from seed 0 on; or first where they were found before."""
    for name in names:
        at = FOUND_AT.get(name)
        ranges = [range(at, at + 1)] if known and at is not None else []
        ranges += [range(n, n + CHUNK) for n in range(0, FIND_MAX, CHUNK)]
        found = spread(find_one, [(name, seeds) for seeds in ranges], processes)
        yield name, next((each for each in found if each is not None), None)
        found.close()


def spread(
    function: Callable[[A], B], arguments: Sequence[A], processes: int
) -> Generator[B]:
    """Call a function for each argument, each time in a new process; keep the order.

    Forked by a process without threads, which is why this is no pool.
    """
    context = get_context("fork")
    running: deque[tuple[BaseProcess, Any]] = deque()
    waiting = deque(arguments)
    try:
        while running or waiting:
            while waiting and len(running) < processes:
                here, there = context.Pipe(duplex=False)
                what = (there, function, waiting.popleft())
                new = context.Process(target=answer, args=what)
                new.start()
                there.close()
                running.append((new, here))
            process, here = running.popleft()
            yield here.recv()
            process.join()
    finally:
        for process, _ in running:  # nobody wants to hear of the rest
            process.terminate()
            process.join()


def answer(there: Any, function: Callable[[A], B], argument: A) -> None:
    """Be the new process."""
    there.send(function(argument))
    there.close()
