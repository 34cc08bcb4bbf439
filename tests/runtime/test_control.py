"""What the runtime itself puts into a mailbox is never dropped for want of room."""

import asyncio

import pytest

from dramaturg.actors.runtime import (
    ActorSystem,
    Ask,
    ChildSpec,
    Mailbox,
    ManualClock,
    Message,
    Terminated,
    handles,
)

from .actors import Add, Counter, Get, GetSlowly, spec

TINY = Mailbox(capacity=2, policy="drop_oldest")


class Rung(Message):
    pass


class Worked(Message):
    pass


class Begin(Ask[None]):
    """Start a timer and work beside the mailbox."""


class Hearing(Counter):
    def __init__(self, heard: list[str]) -> None:
        super().__init__()
        self.heard = heard

    @handles
    def begin(self, _: Begin) -> None:
        self.ctx.timers.every("ring", 1.0, Rung())
        self.ctx.run(asyncio.sleep(0), then=lambda _: Worked())

    @handles
    def hear(self, message: Rung | Worked | Terminated) -> None:
        self.heard.append(type(message).__name__)


@pytest.mark.parametrize("taken_out", [False, True])
@pytest.mark.asyncio
async def test_a_flood_drops_no_tick_no_outcome_and_no_news_of_an_end(
    *, taken_out: bool
) -> None:
    heard: list[str] = []
    clock = ManualClock()
    async with ActorSystem(clock=clock) as system:
        hearing = await system.spawn(spec("a", lambda: Hearing(heard), TINY))
        other = await system.spawn(spec("b", Counter))
        system.watch(system.cell("/a"), other)
        await hearing.ask(Begin())
        slow = hearing.ask(GetSlowly(10))
        if taken_out:  # the news are put before all that waits, into what was taken out
            await system.stop(other)
        clock.advance(1.0)
        await asyncio.sleep(0)
        if not taken_out:
            await system.stop(other)
        for n in range(1, 6):
            hearing.tell(Add(n))
        await slow
        await system.settled()
        clock.advance(1.0)  # the timer goes on
        await system.settled()

        assert sorted(heard) == ["Rung", "Rung", "Terminated", "Worked"]
        assert await hearing.ask(Get()) >= 5


@pytest.mark.asyncio
async def test_a_flood_does_not_keep_an_actor_from_its_end() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(
            ChildSpec(id="a", factory=Counter, mailbox=TINY, restart="temporary")
        )
        slow = counter.ask(GetSlowly(5))
        draining = asyncio.create_task(system.stop(counter, drain=True))
        await asyncio.sleep(0)
        for n in range(5):
            counter.tell(Add(n))
        await slow
        await draining

        assert counter.stopped
