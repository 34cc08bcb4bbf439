"""A crash after every append: what was begun ends wholly, not at all, or stuck."""

import asyncio

import pytest

from dramaturg.actors.runtime import ManualClock
from dramaturg.actors.transactions.coordinator import Transaction
from dramaturg.actors.transactions.messages import End
from dramaturg.events.log.memory import MemoryLog
from dramaturg.events.transactions import InDoubt
from dramaturg.events.vocabulary import vocabulary

from .made_up import House, World, do, house, transaction

pytestmark = pytest.mark.asyncio


def plan(in_doubt: InDoubt, *, pivot: bool) -> Transaction:
    return transaction(
        do("a", in_doubt=in_doubt),
        do("b", group=1, in_doubt=in_doubt),
        do("c", group=1, in_doubt=in_doubt),
        do("d", in_doubt=in_doubt, pivot=pivot),
        do("e", in_doubt=in_doubt),
        key="k",
    )


class Crashing:
    """Runs one transaction through lives that end after a number of appends."""

    def __init__(self, world: World, wanted: Transaction) -> None:
        self.world = world
        self.wanted = wanted
        self.clock = ManualClock()
        self.log = MemoryLog(vocabulary())

    async def live(self, appends: int) -> bool:
        """Live for so many appends; tells whether the transaction had ended."""
        self.log.hold()
        async with house(self.log, self.world, clock=self.clock) as one:
            run = asyncio.create_task(one.coordinator.run(self.wanted, wait_s=1e9))
            for _ in range(appends):
                await self.settle(one)
                self.log.release(1)
            await self.settle(one)
            ended = run.done()
            run.cancel()
            await asyncio.wait([run])
            self.log.fail()
            await one.system.settled()
        self.log = self.log.reopened()
        return ended

    @staticmethod
    async def settle(one: House) -> None:
        await one.system.settled()
        if one.clock.next_s is not None:
            one.clock.advance(min(one.clock.next_s, 1.0))
            await one.system.settled()

    async def end(self) -> End:
        """Live on without a crash; return how the transaction ended."""
        async with house(self.log, self.world, clock=self.clock) as one:
            return (await one.run(self.wanted)).end


def assert_all_or_nothing(world: World, end: End) -> None:
    if end == "committed":
        assert world.there == ["a", "b", "c", "d", "e"]
    elif end == "rolled_back":
        assert world.there == []
    else:
        assert end == "stuck"


@pytest.mark.parametrize("in_doubt", ["redo", "query", "compensate", "manual"])
@pytest.mark.parametrize(
    ("fails", "pivot"),
    [("", False), ("run c", False), ("undo b", False), ("run e", True)],
)
async def test_a_crash_anywhere_leaves_all_or_nothing_or_it_shows(
    in_doubt: InDoubt, fails: str, *, pivot: bool
) -> None:
    for appends in range(1, 100):
        world = World()
        if fails:
            world.fail(fails, times=2)
            world.fail("run e")
        crashing = Crashing(world, plan(in_doubt, pivot=pivot))

        ended = await crashing.live(appends)

        assert_all_or_nothing(world, await crashing.end())
        if ended:
            break
    else:
        pytest.fail("it never ended")


async def test_many_crashes_in_a_row_leave_all_or_nothing_or_it_shows() -> None:
    for appends in range(1, 4):
        for fails in ("", "run e", "undo b"):
            world = World()
            world.fail(fails, "run e" if fails else "", times=1)
            crashing = Crashing(world, plan("redo", pivot=False))
            for _ in range(50):
                if await crashing.live(appends):
                    break

            assert_all_or_nothing(world, await crashing.end())
