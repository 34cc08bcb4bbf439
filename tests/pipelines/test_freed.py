"""A whole system that was used, and went wrong, leaves nothing of itself in memory."""

import asyncio
import gc
import weakref
from collections import Counter
from pathlib import Path

import pytest
import structlog

from dramaturg.actors.breakers import BreakerConfig
from dramaturg.actors.breakers.registry import Breakers
from dramaturg.actors.dead_letters import DeadLetterActor
from dramaturg.actors.pipelines import Pipeline, Stage, Work, start_pipeline
from dramaturg.actors.retries import InvalidInputError, RetryPolicy, TransientError
from dramaturg.actors.runtime import ActorSystem
from dramaturg.actors.transactions import Coordinator, Steps
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.vocabulary import vocabulary

from ..transactions.made_up import MadeUp, World, transaction

SOON = RetryPolicy(base_s=0.001, cap_s=0.001, attempts_max=3)
LIVES = 4


async def read(work: Work) -> object:
    if work.payload == 3:
        raise InvalidInputError("three")
    if work.attempt == 1 and work.payload % 2:
        raise TransientError("not yet")
    await asyncio.sleep(0)
    return work.payload * 2


async def undo(_: Work) -> None:
    await asyncio.sleep(0)


async def life(path: Path) -> "weakref.ref[ActorSystem]":
    """Open a system, use and break all of it, and end it."""
    world = World()
    world.fail("run b")
    async with SqliteLog(path, vocabulary()) as log, ActorSystem(log=log) as system:
        breakers = Breakers(system)
        await breakers.open("graph", BreakerConfig(cooldown_s=0.01))
        mail = await system.spawn(DeadLetterActor.spec("mail"))
        steps = Steps([MadeUp(world)])
        ref = await system.spawn(Coordinator.spec("main", steps))
        coordinator = Coordinator(ref, steps, log)
        stages = [
            Stage("read", read, retry=SOON, compensate=undo, concurrency=3),
            Stage("store", read, retry=SOON, breaker="graph"),
        ]
        running = await start_pipeline(
            system,
            Pipeline("work", stages, "mail"),
            dead_letters=mail,
            breakers=breakers,
        )
        items = [await running.submit(n, key=str(n % 6)) for n in range(8)]
        system.kill(system.ref("/pipelines/work/read"))
        stream = await coordinator.begin(transaction("a", "b"))
        system.kill(mail)
        places = [(await running.result(item.item)).place for item in items]
        ended = await coordinator.wait(stream, wait_s=10.0)
        system.kill(system.ref("/pipelines/work/items"))
        system.kill(system.ref("/pipelines/work"))
    assert set(places) == {"done", "dead_lettered"}
    assert ended.end == "rolled_back"
    return weakref.ref(system)


def census() -> Counter[str]:
    """Count what is in memory, by the classes of this project."""
    gc.collect()
    kinds: Counter[type] = Counter(each.__class__ for each in gc.get_objects())
    return Counter(
        {
            f"{kind.__module__}.{kind.__qualname__}": count
            for kind, count in kinds.items()
            if str(kind.__module__).startswith("dramaturg")
        }
    )


@pytest.mark.asyncio
async def test_nothing_remains_of_whole_systems_that_come_and_go(
    tmp_path: Path,
) -> None:
    with structlog.testing.capture_logs():
        await life(tmp_path / "0.db")  # what is made once is made now
        before = census()
        systems = [await life(tmp_path / f"{n}.db") for n in range(1, LIVES)]
        after = census()

    assert [system() for system in systems] == [None] * len(systems)
    assert after - before == Counter()
