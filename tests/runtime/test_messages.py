"""Messages travel once, in order, and are answered."""

import asyncio

import pytest

from dramaturg.actors.runtime import (
    Actor,
    ActorSystem,
    Ask,
    AskTimeoutError,
    ManualClock,
    Ref,
    UnhandledMessageError,
    handles,
)

from .actors import Add, AskFail, Counter, Fail, Get, GetSlowly, spec


@pytest.mark.asyncio
async def test_what_is_told_is_worked_off_in_order() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter))
        for n in range(100):
            counter.tell(Add(n))

        assert await counter.ask(Get()) == sum(range(100))


@pytest.mark.asyncio
async def test_a_suspended_handler_keeps_its_actor_busy() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter))
        slow = counter.ask(GetSlowly(5))
        counter.tell(Add(1))
        after = counter.ask(Get())

        assert await slow == 0
        assert await after == 1


@pytest.mark.asyncio
async def test_a_failing_handler_answers_with_its_error_and_is_replaced() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter))
        counter.tell(Add(3))
        failing = counter.ask(AskFail())
        counter.tell(Add(1))

        with pytest.raises(ValueError, match="AskFail"):
            await failing
        assert await counter.ask(Get()) == 1


@pytest.mark.asyncio
async def test_messages_behind_a_failure_are_kept() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter))
        for message in (Add(1), Fail(), Add(2), Add(3)):
            counter.tell(message)

        assert await counter.ask(Get()) == 5


@pytest.mark.asyncio
async def test_a_message_without_handler_is_refused_and_counted() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter))
        other = await system.spawn(spec("other", Counter))

        with pytest.raises(UnhandledMessageError):
            await other.ask(Unknown())
        assert system.dead_messages.counts["unhandled"] == 1
        assert await counter.ask(Get()) == 0


class Unknown(Ask[int]):
    pass


class Pass(Ask[int]):
    """Ask `to` for something it has no handler for."""

    to: Ref


class Middle(Actor):
    @handles
    async def pass_on(self, message: Pass) -> int:
        return await message.to.ask(Get())


@pytest.mark.asyncio
async def test_what_another_actor_does_not_handle_fails_the_one_that_asked_it() -> None:
    async with ActorSystem() as system:
        idle = await system.spawn(spec("idle", Actor))
        middle = await system.spawn(spec("middle", Middle))
        with pytest.raises(UnhandledMessageError, match="/idle has no handler"):
            await middle.ask(Pass(idle))
        await system.settled()

        assert [each.restarts for each in system.tree().children] == [0, 1]
        dead = [(each.reason, each.target) for each in system.dead_messages.latest]
        assert dead == [("unhandled", "/idle"), ("crashed", "/middle")]


@pytest.mark.asyncio
async def test_an_ask_ends_at_its_deadline() -> None:
    clock = ManualClock()
    async with ActorSystem(clock=clock) as system:
        counter = await system.spawn(spec("counter", Counter))
        slow = counter.ask(GetSlowly(50), timeout_s=1)
        await asyncio.sleep(0)
        clock.advance(2)

        with pytest.raises(AskTimeoutError, match="GetSlowly within 1 s"):
            await slow


@pytest.mark.asyncio
async def test_an_error_of_the_block_leaves_the_system_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with ActorSystem():
            raise ZeroDivisionError
