"""Timers send their actor messages, unless they are stale."""

import asyncio

import pytest

from dramaturg.actors.runtime import (
    Actor,
    ActorSystem,
    Ask,
    ManualClock,
    Message,
    handles,
)

from .actors import spec


class Once(Message):
    after_s: float
    name: str = "once"


class Every(Message):
    interval_s: float


class Stop(Message):
    name: str


class Rang(Message):
    name: str


class Break(Message):
    pass


class Count(Ask[list[str]]):
    pass


class Slow(Ask[None]):
    gate: asyncio.Event


class Alarmed(Actor):
    def __init__(self) -> None:
        self.rang: list[str] = []

    @handles
    def once(self, message: Once) -> None:
        self.ctx.timers.once(message.name, message.after_s, Rang(message.name))

    @handles
    def every(self, message: Every) -> None:
        self.ctx.timers.every("every", message.interval_s, Rang("every"))

    @handles
    def stop(self, message: Stop) -> None:
        self.ctx.timers.cancel(message.name)

    @handles
    def ring(self, message: Rang) -> None:
        self.rang.append(message.name)

    @handles
    def fail(self, message: Break) -> None:
        raise ValueError(message)

    @handles
    async def slow(self, message: Slow) -> None:
        await message.gate.wait()

    @handles
    def count(self, message: Count) -> list[str]:  # noqa: ARG002 - it takes its message
        return [*self.rang, f"{len(self.ctx.timers)} armed"]


@pytest.mark.asyncio
async def test_a_timer_rings_once() -> None:
    clock = ManualClock()
    async with ActorSystem(clock=clock) as system:
        actor = await system.spawn(spec("actor", Alarmed))
        actor.tell(Once(1))
        await system.settled()
        clock.advance(0.5)
        assert await actor.ask(Count()) == ["1 armed"]
        clock.advance(5)
        await system.settled()

        assert await actor.ask(Count()) == ["once", "0 armed"]


@pytest.mark.asyncio
async def test_an_interval_rings_until_it_is_cancelled() -> None:
    clock = ManualClock()
    async with ActorSystem(clock=clock) as system:
        actor = await system.spawn(spec("actor", Alarmed))
        actor.tell(Every(1))
        await system.settled()
        for _ in range(3):
            clock.advance(1)
            await system.settled()
        actor.tell(Stop("every"))
        actor.tell(Stop("every"))
        await system.settled()
        clock.advance(5)

        assert await actor.ask(Count()) == ["every"] * 3 + ["0 armed"]


@pytest.mark.asyncio
async def test_a_slow_actor_misses_ticks_instead_of_collecting_them() -> None:
    clock = ManualClock()
    gate = asyncio.Event()
    async with ActorSystem(clock=clock) as system:
        actor = await system.spawn(spec("actor", Alarmed))
        actor.tell(Every(1))
        await system.settled()
        slow = actor.ask(Slow(gate), timeout_s=100)
        for _ in range(10):
            clock.advance(1)
        gate.set()
        await slow
        await system.settled()

        assert (await actor.ask(Count()))[:-1] == ["every"]


@pytest.mark.asyncio
async def test_a_timer_of_the_same_key_takes_the_place_of_the_first() -> None:
    clock = ManualClock()
    async with ActorSystem(clock=clock) as system:
        actor = await system.spawn(spec("actor", Alarmed))
        actor.tell(Once(1))
        actor.tell(Once(3))
        await system.settled()
        clock.advance(2)
        await system.settled()
        assert await actor.ask(Count()) == ["1 armed"]


@pytest.mark.asyncio
async def test_a_tick_in_the_mailbox_is_dropped_when_its_timer_is_cancelled() -> None:
    clock = ManualClock()
    gate = asyncio.Event()
    async with ActorSystem(clock=clock) as system:
        actor = await system.spawn(spec("actor", Alarmed))
        actor.tell(Once(1))
        await system.settled()
        slow = actor.ask(Slow(gate), timeout_s=100)
        actor.tell(Stop("once"))
        clock.advance(2)
        gate.set()
        await slow
        await system.settled()

        assert await actor.ask(Count()) == ["0 armed"]


@pytest.mark.asyncio
async def test_timers_end_with_the_life_that_armed_them() -> None:
    clock = ManualClock()
    async with ActorSystem(clock=clock) as system:
        actor = await system.spawn(spec("actor", Alarmed))
        for message in (Once(1, "a"), Once(2, "b"), Every(1), Break()):
            actor.tell(message)
        await system.settled()
        clock.advance(10)
        await system.settled()

        assert await actor.ask(Count()) == ["0 armed"]
