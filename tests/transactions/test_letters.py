"""Stuck transactions and the dead letters that stand for them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dramaturg.actors.dead_letters import (
    DeadLetterActor,
    ListEntries,
    Redrive,
    Selection,
)
from dramaturg.actors.dead_letters.entry import FOLD as ENTRY
from dramaturg.actors.runtime import Actor, ActorSystem, ChildSpec, ManualClock
from dramaturg.actors.transactions import Coordinator, Outcome, Steps
from dramaturg.events import Event
from dramaturg.events.log import EventLog
from dramaturg.events.log.memory import MemoryLog
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.vocabulary import vocabulary

from .made_up import LIMITS, House, MadeUp, World, transaction

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def a_log(kind: str, folder: Path) -> AsyncGenerator[EventLog, None]:
    if kind == "memory":
        yield MemoryLog(vocabulary())
    else:
        async with SqliteLog(folder / "log.db", vocabulary()) as log:
            yield log


@asynccontextmanager
async def house(log: EventLog, world: World) -> AsyncGenerator[House, None]:
    clock = ManualClock()
    steps = Steps([MadeUp(world)])
    async with ActorSystem(log=log, clock=clock, seed=1) as system:
        letters = await system.spawn(DeadLetterActor.spec("stuck"))
        await system.spawn(ChildSpec(id="transactions", factory=Actor))
        spec = Coordinator.spec("main", steps, LIMITS, letters=letters, queue="stuck")
        one = House(log, system, clock)
        one.ref = await system.spawn(spec, system.cell("/transactions"))
        one.coordinator = Coordinator(one.ref, steps, log)
        yield one


async def get_stuck(one: House, world: World) -> Outcome:
    """Begin a transaction that cannot be taken back."""
    world.fail("run b")
    world.fail("undo a", times=3)
    outcome = await one.run(transaction("a", "b"))
    assert outcome.end == "stuck"
    return outcome


async def place(one: House, stream: str) -> str:
    state = ENTRY.initial(stream)
    for recorded in await one.log.read_stream(stream):
        assert isinstance(recorded.event, Event)
        state = ENTRY.evolve(state, recorded.event)
    return state.place


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_a_stuck_transaction_is_redriven_from_its_dead_letter(
    kind: str, tmp_path: Path
) -> None:
    world = World()
    async with a_log(kind, tmp_path) as log, house(log, world) as one:
        outcome = await get_stuck(one, world)
        letters = one.system.ref("/stuck")
        (entry,) = await letters.ask(ListEntries())
        assert (entry.item, entry.stage, entry.strategy) == (
            outcome.stream,
            "do",
            "manual",
        )

        await letters.ask(Redrive(Selection(entries=(entry.stream,))))

        assert (await ended(one, outcome)).end == "rolled_back"
        assert world.there == []
        assert await place(one, entry.stream) == "returned"
        assert await letters.ask(ListEntries()) == ()


async def ended(one: House, outcome: Outcome) -> Outcome:
    """Wait until it is not stuck any more, which takes more than one append."""
    while await one.coordinator.get(outcome.stream) is not None:
        if one.clock.next_s is not None:
            one.clock.advance(min(1.0, one.clock.next_s))
        await one.settle()
    return await one.coordinator.wait(outcome.stream)


async def test_its_dead_letter_goes_when_it_is_resolved_otherwise() -> None:
    world, log = World(), MemoryLog(vocabulary())
    async with house(log, world) as one:
        outcome = await get_stuck(one, world)
        letters = one.system.ref("/stuck")
        (entry,) = await letters.ask(ListEntries())

        await one.coordinator.resolve(outcome.stream, "retry", "disk replaced")
        await ended(one, outcome)
        await one.settle()

        assert await place(one, entry.stream) == "resolved"


async def test_stuck_twice_it_has_a_second_dead_letter() -> None:
    world, log = World(), MemoryLog(vocabulary())
    async with house(log, world) as one:
        outcome = await get_stuck(one, world)
        letters = one.system.ref("/stuck")
        (first,) = await letters.ask(ListEntries())
        world.fail("undo a", times=3)
        await letters.ask(Redrive())

        await one.until(lambda: world.failing["undo a"] == 0)
        await one.settle()
        (second,) = await letters.ask(ListEntries())

        assert await place(one, first.stream) == "returned"
        assert second.stream != first.stream
        await one.coordinator.resolve(outcome.stream, "skip", "there was nothing")
        assert (await ended(one, outcome)).end == "rolled_back"
