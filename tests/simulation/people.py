"""What people do to the system, and what they are told: that is durable."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from dramaturg.actors.dead_letters import (
    Claim,
    Discard,
    ListEntries,
    Redrive,
    Release,
    Selection,
)
from dramaturg.actors.dead_letters.messages import Escalate, Note, Prioritise
from dramaturg.actors.runtime import NoSuchActorError
from dramaturg.actors.transactions.coordinator import Transaction
from dramaturg.actors.transactions.step import Do
from dramaturg.events.transactions import InDoubt

from .items import ItemModel
from .life import Life
from .promise import holds
from .scenario import ACTIONS
from .steps import Args

PATHS = (
    "/pipelines/work/items",
    "/pipelines/work/control",
    "/pipelines/work/read",
    "/pipelines/work/store",
    "/pipelines/work/index",
    "/pipelines/work",
    "/mail",
    "/stuck",
    "/transactions/main",
    "/breakers/graph",
)
IN_DOUBT: tuple[InDoubt, ...] = ("redo", "query", "compensate", "manual")

Act = Callable[["People"], Coroutine[Any, Any, None]]


class People:
    """Draws what is done next, and sees that what was answered is durable."""

    def __init__(self, life: Life) -> None:
        self.life = life
        self.chance = life.chance
        self.book = life.book

    async def act(self, look: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Do what the scenario says, and look at everything in between."""
        scenario, chance = self.life.scenario, self.chance
        for _ in range(scenario.steps):
            (name,) = chance.choices(ACTIONS, scenario.weights)
            self.life.loop.note(name)
            if name == "stop":
                if chance.random() < 0.3:
                    return
                continue
            if name == "wait":
                await asyncio.sleep(chance.random() * chance.choice((1.0, 8.0, 30.0)))
                continue
            self.life.ask(name, ACTS[name](self))
            if chance.random() < 0.6:
                await self.life.system.settled()
                await look()
            if chance.random() < 0.5:
                await asyncio.sleep(chance.random())

    # The pipeline

    async def submit(self) -> None:
        life, chance = self.life, self.chance
        key = f"k{chance.randrange(life.scenario.items_max)}"
        submitted = await life.running.submit({"n": key}, key=key, wait=False)
        item = self.book.items.get(submitted.stream)
        holds(item is not None and item.key == key, 1, f"{submitted} is not durable")
        if chance.random() < 0.3:
            found = await life.running.result(submitted.item)
            place = item.place if item is not None else ""
            place = {"dead": "dead_lettered"}.get(place, place)
            seen = item is not None and (found.phase == place or item.redrives)
            holds(seen, 1, f"{submitted} was said to be {found.phase}, it is {place}")

    def _some_item(self) -> ItemModel | None:
        items = list(self.book.items.values())
        return self.chance.choice(items) if items else None

    async def pause(self) -> None:
        item, running = self._some_item(), self.life.running
        draw = self.chance.random()
        if draw < 0.2:
            await running.pause("look")
            await asyncio.sleep(self.chance.random() * 5)
            await running.resume("seen")
        elif draw < 0.4:
            await running.pause("look", stage="store")
            await asyncio.sleep(self.chance.random() * 5)
            await running.resume("seen", stage="store")
        elif item is not None:
            name = item.stream.rpartition("/")[2]
            await running.pause("look", item=name)
            holds("paused" in item.seen, 1, f"{item.stream} was never paused")
            await asyncio.sleep(self.chance.random() * 10)
            await running.resume(item=name)
            holds("resumed" in item.seen or item.back, 1, "it was never resumed")

    async def cancel(self) -> None:
        item = self._some_item()
        if item is not None:
            await self.life.running.cancel(item.stream.rpartition("/")[2], "unwanted")
            seen = "cancel_requested" in item.seen
            holds(seen, 1, f"{item.stream} was never cancelled")

    # Dead letters

    async def redrive(self) -> None:
        queue = self.life.mail if self.chance.random() < 0.7 else self.life.stuck
        done = await queue.ask(Redrive(reason="try again"))
        for stream in done.entries:
            holds(stream in self.book.letters, 1, f"{stream} is to be redriven")

    async def review(self) -> None:
        life, chance = self.life, self.chance
        entries = await life.mail.ask(ListEntries())
        if not entries:
            return
        entry = chance.choice(entries).stream
        match chance.randrange(5):
            case 0:
                chosen = Selection(entries=(entry,))
                closed = await life.mail.ask(Discard(chosen, "not needed"))
                place = self.book.letters[entry].place
                gone = place == "discarded" or not closed
                holds(gone, 1, f"{entry} was said to be discarded, it is {place}")
            case 1:
                await life.mail.ask(Claim(entry))
                await asyncio.sleep(chance.random() * 5)
                await life.mail.ask(Release(entry))
            case 2:
                await life.mail.ask(Note(entry, "seen"))
            case 3:
                await life.mail.ask(Prioritise(entry, chance.randrange(5)))
            case _:
                await life.mail.ask(Escalate(entry, "look at it"))

    # Transactions

    async def transact(self) -> None:
        life, chance = self.life, self.chance
        most = life.scenario.transactions_max
        if not most:
            return
        key = f"t{chance.randrange(most)}"
        steps = [self._step(number) for number in range(chance.randint(1, 4))]
        deadline_s = chance.choice((3.0, 300.0))
        wanted = Transaction(steps, key=key, deadline_s=deadline_s)
        stream = await life.coordinator.begin(wanted)
        known = self.book.transactions.get(stream)
        holds(known is not None and known.key == key, 1, f"{stream} is not durable")
        outcome = await life.coordinator.wait(stream)
        told = known is not None and (
            known.phase == outcome.end or (outcome.end == "stuck" and known.letters)
        )
        holds(told, 1, f"{stream} was said to be {outcome.end}")

    def _step(self, number: int) -> Do:
        chance = self.chance
        return Do(
            "act",
            Args(f"step {number}", deaf=chance.random() < 0.3),
            group=chance.choice((0, 0, 1)),
            pivot=chance.random() < 0.15,
            in_doubt=chance.choice(IN_DOUBT),
            attempts_max=chance.randint(1, 2),
        )

    async def roll_back(self) -> None:
        streams = list(self.book.transactions)
        if streams:
            stream = self.chance.choice(streams)
            await self.life.coordinator.roll_back(stream, "unwanted")
            seen = "rollback_started" in self.book.transactions[stream].seen
            holds(seen, 1, f"{stream} was never rolled back")

    # What goes wrong

    async def crash(self) -> None:
        if self.chance.random() < 0.4:
            self.life.log.crash(self.chance.randrange(4))

    async def kill(self) -> None:
        path = self.chance.choice(PATHS)
        try:
            self.life.system.kill(self.life.system.ref(path))
        except NoSuchActorError:
            return
        self.life.process.kills += 1

    async def hold_up(self) -> None:
        self.life.log.hold()
        await asyncio.sleep(self.chance.random() * 2)
        self.life.log.release()

    async def breaker(self) -> None:
        breaker = self.life.breakers["graph"]
        if self.chance.random() < 0.5:
            await breaker.trip("by hand")
        else:
            await breaker.reset("by hand")


ACTS: dict[str, Act] = {
    "submit": People.submit,
    "transact": People.transact,
    "crash": People.crash,
    "kill": People.kill,
    "pause": People.pause,
    "cancel": People.cancel,
    "redrive": People.redrive,
    "review": People.review,
    "roll_back": People.roll_back,
    "hold_up": People.hold_up,
    "breaker": People.breaker,
}
