"""A process that calls a dependency that flaps, and is killed: its last line is the twin."""

import asyncio
import os
import sys
from contextlib import suppress
from pathlib import Path
from random import Random

import msgspec

from dramaturg.actors.breakers import BreakerConfig, BreakerOpenError, Breakers
from dramaturg.actors.breakers.desk import Desk
from dramaturg.actors.runtime import ActorSystem
from dramaturg.events import Registry
from dramaturg.events.breaker import EVENTS, WindowRolledUp
from dramaturg.events.log.sqlite import SqliteLog

CONFIG = BreakerConfig(min_calls=40, cooldown_s=0.02, cooldown_max_s=0.05)
REGISTRY = Registry(EVENTS)


class Twin(msgspec.Struct, frozen=True):
    """What the living breaker knows."""

    generation: int
    calls: int
    unrolled: int
    """Calls counted and in no event yet."""
    calls_waiting: int
    """Calls in events on their way."""
    moves_waiting: int
    """Other events on their way."""
    acknowledged: int
    """The version of the last settings a person was told are in force."""


async def fail() -> None:
    raise ConnectionError


async def answer() -> None:
    return None


async def main(file: Path, seed: int) -> None:
    random = Random(seed)
    async with SqliteLog(file, REGISTRY) as log, ActorSystem(log=log) as system:
        breaker = await Breakers(system).open("db", CONFIG)
        machine = breaker.machine
        desk = machine.journal
        assert isinstance(desk, Desk)
        acknowledged = machine.state.config_version
        healthy = True
        while True:
            if random.random() < 0.05:
                healthy = not healthy
            if random.random() < 0.02:
                changed = msgspec.structs.replace(
                    machine.state.config, window_s=random.choice((30.0, 60.0))
                )
                await breaker.configure(changed, "drill")
                acknowledged = machine.state.config_version
            call = breaker(answer if healthy else fail)
            for _ in range(random.choice((1, 10, 200))):
                with suppress(ConnectionError, BreakerOpenError):
                    await call()
            waiting = [*desk.outbox.handed, *desk.outbox.waiting]
            rolled = [e for e in waiting if isinstance(e, WindowRolledUp)]
            twin = Twin(
                machine.state.generation,
                breaker.statistics().calls,
                machine.generation.seq - machine.generation.rolled_seq,
                sum(event.calls for event in rolled),
                len(waiting) - len(rolled),
                acknowledged,
            )
            os.write(sys.stdout.fileno(), msgspec.json.encode(twin) + b"\n")
            await asyncio.sleep(0)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
