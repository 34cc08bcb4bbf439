"""Open transactions of an owner whose data is erased: they end, and all others do."""

import msgspec
import pytest

from dramaturg.actors.dead_letters import ListEntries, Selection
from dramaturg.actors.transactions import Transaction
from dramaturg.events import Erased, vocabulary
from dramaturg.events.dead_letters import Discarded
from dramaturg.events.log import MemoryLog
from dramaturg.events.log.encryption import MemoryKeyring
from dramaturg.events.log.memory_store import MemoryStore
from dramaturg.events.transactions import RolledBack

from .made_up import World, do, transaction
from .test_letters import house

pytestmark = pytest.mark.asyncio


def of(owner: str, *steps: str) -> Transaction:
    named = [do(f"{step} of {owner}, in secret", in_doubt="redo") for step in steps]
    return msgspec.structs.replace(transaction(*named), owner=owner)


async def test_the_erased_end_as_such_and_the_others_go_on() -> None:
    keys, store = MemoryKeyring(), MemoryStore()

    def log() -> MemoryLog:
        return MemoryLog(vocabulary(), keyring=keys, store=store)

    world = World()
    streams: dict[str, str] = {}
    stuck: dict[str, str] = {}
    done: dict[str, str] = {}
    async with house(log(), world) as one:
        for owner in ("ann", "bob"):
            done[owner] = (await one.run(of(owner, "first"))).stream
            world.fail(f"run b of {owner}, in secret")
            world.fail(f"undo a of {owner}, in secret", times=3)
            stuck[owner] = (await one.run(of(owner, "a", "b"))).stream
            name = f"run c of {owner}, in secret"
            world.gate(name)
            streams[owner] = await one.begin(of(owner, "c", "d"))
            await one.until(world.reached[name].is_set)
    async with house(log(), world) as one:  # once more, with nobody asking for them
        await one.settle()
    for row in store.rows:
        assert b"in secret" not in row.data, (row.stream, row.event)

    keys.destroy("ann")
    keys.destroy("")
    world.gates.clear()
    del world.order[:]
    async with house(log(), world) as one:
        assert (await one.finish(streams["bob"])).committed
        for stream in (streams["ann"], stuck["ann"]):
            outcome = await one.finish(stream)
            assert outcome.end == "rolled_back"
            assert "was erased" in outcome.reason
            *before, last = await one.log.read_stream(stream)
            assert isinstance(last.event, RolledBack)
            assert "was erased" in last.event.forced
            assert last.header.owner == ""
            assert {type(row.event) for row in before} == {Erased}
        assert (await one.coordinator.state(done["ann"])).phase == "committed"
        assert not [name for name in world.order if "ann" in name]

        (summary,) = await one.coordinator.active()
        assert summary.phase == "stuck"
        (entry,) = await one.system.ref("/stuck").ask(ListEntries(Selection()))
        assert entry.item == stuck["bob"]
        letters = [h.stream for h in await one.log.open_streams("dead-letter/")]
        assert letters == [entry.stream]
        await one.coordinator.resolve(stuck["bob"], "retry", "mended")
        assert (await one.finish(stuck["bob"])).end == "rolled_back"
        ends = [row.event for row in await one.log.read() if row.stream != entry.stream]
        assert sum(isinstance(event, Discarded) for event in ends) == 1
