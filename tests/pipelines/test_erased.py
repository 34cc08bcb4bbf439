"""Open work of an owner whose data is erased: it ends, and all else goes on."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import msgspec
import pytest

from dramaturg.actors.breakers import BreakerConfig
from dramaturg.actors.breakers.registry import Breakers
from dramaturg.actors.dead_letters import (
    DeadLetterActor,
    GetStatistics,
    ListEntries,
    QueuePolicy,
    Redrive,
    Selection,
)
from dramaturg.actors.dead_letters.messages import Note
from dramaturg.actors.pipelines import Stage, Work
from dramaturg.actors.retries import InvalidInputError, RetryPolicy, TransientError
from dramaturg.events import Erased, vocabulary
from dramaturg.events.dead_letters import Discarded
from dramaturg.events.log import MemoryLog, Recorded
from dramaturg.events.log.encryption import MemoryKeyring
from dramaturg.events.log.memory_store import MemoryStore
from dramaturg.events.pipelines import ItemDiscarded

from .stand import Stand, pipeline, stand

OWNERS = "ann", "bob"
DAY_S = 86_400.0
CALM = BreakerConfig.from_dict({"window": "consecutive", "failures_max": 50})
NOW_AND_THEN = RetryPolicy(
    strategy="fixed", base_s=DAY_S, cap_s=DAY_S, jitter=False, attempts_max=9
)


def secret(owner: str) -> str:
    return f"the letter of {owner}, to be read by nobody else"


class Asked(msgspec.Struct, frozen=True):
    """The payload of an item."""

    do: str
    text: str


@dataclass
class House:
    """Lives of one system over one log, and what its stages were called with."""

    keys: MemoryKeyring = field(default_factory=MemoryKeyring)
    store: MemoryStore = field(default_factory=MemoryStore)
    calls: list[Work] = field(default_factory=list[Work])
    mended: bool = False
    """Whether the stages now succeed at whatever they are to do."""

    @asynccontextmanager
    async def life(self) -> AsyncGenerator[Stand]:
        log = MemoryLog(vocabulary(), keyring=self.keys, store=self.store)
        async with stand(log) as s:
            queue = await s.system.spawn(DeadLetterActor.spec("mail", QueuePolicy()))
            breakers = Breakers(s.system)
            await breakers.open("reader", CALM)
            slow = 90 * DAY_S
            stages = [
                Stage("open", self._do, 4, slow, NOW_AND_THEN, compensate=self._undo),
                Stage("read", self._do, 4, slow, NOW_AND_THEN, breaker="reader"),
            ]
            declared = pipeline(*stages, dead_letters="mail", asks_for_room=True)
            await s.start(declared, dead_letters=queue, breakers=breakers)
            yield s

    def erase(self, owner: str) -> None:
        self.keys.destroy(owner)
        self.keys.destroy("")

    async def _do(self, work: Work) -> object:
        self.calls.append(work)
        asked = msgspec.convert(work.payload, Asked)
        match "" if self.mended or work.stage == "open" else asked.do:
            case "hang":
                await asyncio.sleep(30 * DAY_S)
            case "retry":
                raise TransientError(asked.text)
            case "park" | "stick":
                raise InvalidInputError(asked.text)
            case _:
                pass
        return asked.text

    async def _undo(self, work: Work) -> None:
        self.calls.append(work)
        asked = msgspec.convert(work.payload, Asked)
        if asked.do == "stick" and not self.mended:
            raise InvalidInputError(asked.text)


async def begin(s: Stand, owner: str) -> dict[str, str]:
    """Submit an item for each place, and return what came of each."""
    items: dict[str, str] = {}
    for do in ("hang", "retry", "park", "stick", "done", "pause", "wait"):
        due_us = s.clock.now_us() + round(2 * DAY_S * 1e6) if do == "wait" else 0
        payload = Asked(do, secret(owner))
        if do == "pause":
            await s.running.pause("to see", stage="open")
        items[do] = await s.submit(payload, owner=owner, due_us=due_us)
        if do == "pause":
            await s.running.pause(f"{owner} wants it", item=items[do])
            await s.running.resume(stage="open")
    await s.advance(1)
    return items


async def places(s: Stand, items: dict[str, str]) -> dict[str, str]:
    return {do: await s.place(item) for do, item in items.items()}


async def rows_of(s: Stand, stream: str) -> list[Recorded]:
    return await s.log.read_stream(stream)


async def whole(s: Stand) -> list[Recorded]:
    return await s.log.read(limit=10_000)


@pytest.mark.asyncio
async def test_the_work_of_the_erased_ends_and_that_of_others_is_done() -> None:
    house = House()
    items: dict[str, dict[str, str]] = {}
    async with house.life() as s:
        for owner in OWNERS:
            items[owner] = await begin(s, owner)
            assert await places(s, items[owner]) == {
                "hang": "running",
                "retry": "waiting_to_retry",
                "park": "dead_lettered",
                "stick": "stuck",
                "done": "done",
                "pause": "paused",
                "wait": "waiting",
            }
        queue = s.system.ref("/mail")
        for owner in OWNERS:
            entry = f"dead-letter/mail/{items[owner]['park']}"
            await queue.ask(Note(entry, f"looked at {secret(owner)}"))
        for owner in OWNERS:
            entry = f"dead-letter/mail/{items[owner]['park']}"
            edited = msgspec.Raw(msgspec.json.encode(Asked("park", secret(owner))))
            meant = Selection(entries=(entry,))
            await queue.ask(Redrive(meant, reason="again", payload=edited))
        await s.advance(1)
        owned = {row.stream: row.header.owner for row in reversed(await whole(s))}
        for row in await whole(s):
            assert row.header.owner in {"", owned[row.stream]}, row
    for kept in house.store.rows:
        assert b"the letter of" not in kept.data, (kept.stream, kept.event, kept.header)

    house.erase("ann")
    house.mended = True
    del house.calls[:]
    async with house.life() as s:
        await s.running.resume(item=items["bob"]["pause"])
        await s.running.retry_stuck(items["bob"]["stick"], "mended")
        for _ in range(4):
            await s.advance(DAY_S)
        queue = s.system.ref("/mail")
        await queue.ask(Redrive(Selection(), reason="mended"))
        await s.advance(DAY_S)

        assert {*(await places(s, items["bob"])).values()} == {"done"}
        hers = await places(s, items["ann"])
        assert hers.pop("done") == "done", "what had ended is known by its tag"
        assert hers.pop("park") == "dead_lettered"
        assert {*hers.values()} == {"discarded"}
        assert {work.owner for work in house.calls} == {"bob"}
        for do in hers:
            *before, last = await rows_of(s, f"item/letters/{items['ann'][do]}")
            assert isinstance(last.event, ItemDiscarded)
            assert "was erased" in last.event.reason
            assert last.header.owner == ""
            assert {type(row.event) for row in before} == {Erased}
        *_, last = await rows_of(s, f"dead-letter/mail/{items['ann']['park']}.1")
        assert isinstance(last.event, Discarded)
        assert await queue.ask(ListEntries(Selection())) == ()
        assert (await queue.ask(GetStatistics())).discarded == 1
        assert not (await s.running.figures()).busy
        assert (await s.running.result(items["ann"]["hang"])).place == "discarded"
        again = await s.running.submit(Asked("", "new"), owner="ann")
        assert (await s.running.result(again.item)).place == "done"
        streams = {row.stream: row for row in await whole(s) if row.header.owner}
        kinds = {stream.partition("/")[0] for stream in streams}
        assert kinds == {"item", "dead-letter"}, "others are nobody's"
