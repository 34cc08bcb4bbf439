"""A process that runs a small pipeline and kills itself on the way.

`run([LOG, KILL_AFTER])` submits twenty items under keys, kills itself with SIGKILL as
attempt number KILL_AFTER begins (0: never; poison: with each attempt at the fourth
item), and otherwise ends once every item has.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from dramaturg.actors.pipelines import Pipeline, Stage, Work, start_pipeline
from dramaturg.actors.retries import RetryPolicy
from dramaturg.actors.runtime import ActorSystem
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.vocabulary import vocabulary

ITEMS = 20
PATIENT = RetryPolicy(attempts_max=100, base_s=0.0, cap_s=0.0)


POISONED = 3


async def main(path: Path, kill_after: int, policy: RetryPolicy) -> None:
    begun = 0

    async def work(what: Work) -> str:
        nonlocal begun
        begun += 1
        poisoned = policy is not PATIENT and what.payload == POISONED
        if begun == kill_after or poisoned:
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(0)
        return what.effect_key

    stages = [Stage(name, work, retry=policy) for name in ("read", "parse", "store")]
    async with (
        SqliteLog(path, vocabulary(), node="test") as log,
        ActorSystem(log=log) as system,
    ):
        running = await start_pipeline(system, Pipeline("small", stages, spread_s=0.0))
        for number in range(ITEMS):
            submitted = await running.submit(number, key=f"item-{number}")
            sys.stdout.write(f"{submitted.item}\n")
            sys.stdout.flush()
        await running.wait_idle()


def run(words: list[str]) -> None:
    log, kill_after = words
    if kill_after == "poison":
        few = RetryPolicy(attempts_max=3, base_s=0.0, cap_s=0.0)
        asyncio.run(main(Path(log), 0, few))
    else:
        asyncio.run(main(Path(log), int(kill_after), PATIENT))
