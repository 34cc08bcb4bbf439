"""A process that does what several owners want done, and kills itself on the way.

`run([FOLDER, KILL_AFTER])` submits an item for each owner and number, unless that was
done before, kills itself with SIGKILL as attempt number KILL_AFTER begins (0: never),
and otherwise ends once every item has. It prints whose each attempt is.
"""

import asyncio
import os
import signal
from pathlib import Path

from dramaturg.actors.pipelines import Pipeline, Stage, Work, start_pipeline
from dramaturg.actors.retries import RetryPolicy
from dramaturg.actors.runtime import ActorSystem
from dramaturg.events.log.encryption import Keyring
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.vocabulary import vocabulary

EACH = 8
OWNERS = "ann", "bob"
PATIENT = RetryPolicy(attempts_max=100, base_s=0.0, cap_s=0.0)


async def main(folder: Path, kill_after: int, keyring: Keyring) -> None:
    begun = 0

    async def work(what: Work) -> str:
        nonlocal begun
        begun += 1
        os.write(1, f"{what.owner} {what.payload}\n".encode())
        if begun == kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
        await asyncio.sleep(0)
        return f"what {what.payload} says"

    stages = [Stage(name, work, 2, retry=PATIENT) for name in ("read", "store")]
    async with (
        SqliteLog(folder / "log.db", vocabulary(), keyring=keyring) as log,
        ActorSystem(log=log) as system,
    ):
        running = await start_pipeline(system, Pipeline("small", stages, spread_s=0.0))
        for number in range(EACH):
            for owner in OWNERS:
                text, key = f"letter {number} of {owner}", f"{owner}-{number}"
                await running.submit(text, key=key, owner=owner)
        await running.wait_idle()


def run(words: list[str]) -> None:
    where = Path(words[0])
    asyncio.run(main(where, int(words[1]), Keyring(where / "keys.jsonl")))
