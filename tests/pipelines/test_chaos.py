"""Everything at once, from a seed: failures, crashes, a failing log, wishes, redrives."""

import asyncio
import random

import anyio
import pytest

from dramaturg.actors.breakers import BreakerOpenError
from dramaturg.actors.dead_letters import DeadLetterActor, QueuePolicy, Redrive
from dramaturg.actors.pipelines import (
    FOLD,
    ItemNotOpenError,
    ItemStateError,
    Pipeline,
    Stage,
    Work,
)
from dramaturg.actors.retries import InvalidInputError, RetryPolicy
from dramaturg.actors.runtime import ActorError
from dramaturg.events import Event
from dramaturg.events.dead_letters import Parked, Returned
from dramaturg.events.log import LogUnavailableError
from dramaturg.events.log.memory import MemoryLog
from dramaturg.events.vocabulary import vocabulary

from .stand import Stand, stand

RETRY = RetryPolicy(base_s=1.0, cap_s=5.0, attempts_max=3)
WISHES = (ItemNotOpenError, ItemStateError, ActorError, LogUnavailableError)
ITEMS = 12


class Chaos:
    """Stage functions that do one thing or another, and count who is inside."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.calm = False
        self.inside: set[str] = set()

    async def __call__(self, work: Work) -> object:
        assert work.stream not in self.inside, "an item is worked on twice at a time"
        self.inside.add(work.stream)
        try:
            return await self._act()
        finally:
            self.inside.discard(work.stream)

    async def _act(self) -> object:
        draw = 0.0 if self.calm else self.chance.random()
        if draw > 0.97:
            raise InvalidInputError("no use")
        if draw > 0.85:
            raise ConnectionError("reset")
        if draw > 0.75:
            raise BreakerOpenError("graph-db", 2.0)
        if draw > 0.65:
            await anyio.sleep_forever()
        if draw > 0.4:
            await asyncio.sleep(0)
        return "done"

    def pipeline(self) -> Pipeline:
        names = ("read", "parse", "store")
        stages = [
            Stage(
                name,
                self,
                concurrency=2,
                timeout_s=7.0,
                retry=RETRY,
                undo_retry=RETRY,
                compensate=None if name == "parse" else self,
            )
            for name in names
        ]
        limits = {"in_flight_max": 8, "running_max": 4}
        return Pipeline("chaos", stages, "mail", asks_for_room=True, **limits)


async def live(s: Stand, chaos: Chaos, items: list[str], submitted: int) -> int:
    """Run for a while, and return how many items have been submitted."""
    chance = chaos.chance
    queue = await s.system.spawn(DeadLetterActor.spec("mail", QueuePolicy()))
    await s.start(chaos.pipeline(), dead_letters=queue)
    for _ in range(12):
        item = chance.choice(items) if items else "0192"
        try:
            match chance.randrange(9):
                case 0 | 1 | 2 if submitted < ITEMS:
                    key = f"k-{submitted}"
                    new = await s.running.submit(submitted, key=key, wait=False)
                    submitted += 1
                    items.append(new.item)
                case 3:
                    await s.running.pause("look", item=item)
                case 4:
                    await s.running.resume(item=item)
                case 5 if chance.random() < 0.3:
                    await s.running.cancel(item, "unwanted")
                case 6:
                    await queue.ask(Redrive())
                case 7 if chance.random() < 0.3:
                    s.log.fail(unknown=True, written=chance.random() < 0.5)
                    s.log.recover()
                case _:
                    await s.advance(chance.random() * 6)
        except WISHES:
            pass
    return submitted


async def drain(s: Stand, chaos: Chaos, items: list[str]) -> None:
    """Let everything come to its end, with nothing going wrong any more."""
    chaos.calm = True
    queue = await s.system.spawn(DeadLetterActor.spec("mail", QueuePolicy()))
    await s.start(chaos.pipeline(), dead_letters=queue)
    for _ in range(6):
        for item in items:
            place = await s.place(item)
            if place == "paused":
                await s.running.resume(item=item)
            elif place == "stuck":
                await s.running.retry_stuck(item, "calm now")
        await queue.ask(Redrive())
        await s.advance(30)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.asyncio
async def test_every_item_comes_to_an_end_whatever_happens(seed: int) -> None:
    chance = random.Random(seed)
    log = MemoryLog(vocabulary())
    items: list[str] = []
    submitted = 0
    for _ in range(5):
        chaos = Chaos(chance)
        async with stand(log, seed=chance.randrange(1000)) as s:
            submitted = await live(s, chaos, items, submitted)
        log = log.reopened()
    chaos = Chaos(chance)
    async with stand(log) as s:
        streams = await log.open_streams("item/chaos/")
        items += [head.stream.rpartition("/")[2] for head in streams]
        await drain(s, chaos, items)
        assert {await s.place(item) for item in items} <= {"done", "cancelled"}
        assert (await s.running.figures()).open == 0
        await every_giving_up_is_one_entry(s, items)


async def every_giving_up_is_one_entry(s: Stand, items: list[str]) -> None:
    """What was parked was given up, and what was redriven was returned."""
    for item in set(items):
        events = await s.events(item)
        state = FOLD.initial(f"item/chaos/{item}")
        for event in events:
            state = FOLD.evolve(state, event)
            if state.place == "dead_lettered":
                entry = [each.event for each in await s.log.read_stream(state.entry)]
                assert isinstance(entry[0], Parked)
                assert isinstance(entry[-1], Returned)
                assert all(isinstance(each, Event) for each in entry)
