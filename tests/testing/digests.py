"""A pipeline on a seeded loop; run as a script it prints the digests of some seeds."""

import asyncio
import sys

from dramaturg.actors.pipelines import Pipeline, Stage, Work
from dramaturg.actors.pipelines.tree import start_pipeline
from dramaturg.actors.retries import RetryPolicy
from dramaturg.actors.runtime import ActorSystem
from dramaturg.events import vocabulary
from dramaturg.events.log import MemoryLog
from dramaturg.testing import SeededLoop


async def work_off() -> list[str]:
    """Run items through three stages that fail and wait by chance."""
    log = MemoryLog(vocabulary())
    async with ActorSystem(log=log) as system:

        async def act(work: Work) -> str:
            await asyncio.sleep(system.random.random())
            if system.random.random() < 0.2:
                raise ConnectionError(work.stage)
            return work.stage

        retry = RetryPolicy(attempts_max=20)
        stages = [Stage(name, act, concurrency=2, retry=retry) for name in "abc"]
        running = await start_pipeline(system, Pipeline("letters", stages))
        items = [(await running.submit(n)).item for n in range(4)]
        ends = [running.result(item) for item in items]
        return [(end.place) for end in await asyncio.gather(*ends)]


def digest(seed: int) -> str:
    """Return the digest of a run."""
    loop = SeededLoop(seed, lag_s=0.1)
    assert loop.run(work_off()) == ["done"] * 4
    return loop.digest


SEEDS = range(4)

if __name__ == "__main__":
    sys.stdout.write(" ".join(digest(seed) for seed in SEEDS))
