"""Other threads can tell actors something."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from dramaturg.actors.runtime import (
    ActorSystem,
    Mailbox,
    MailboxFullError,
    Ref,
    SystemClosedError,
    post,
)

from .actors import Add, Counter, Get, spec


def tell_often(system: ActorSystem, ref: Ref, times: int) -> None:
    for _ in range(times):
        system.post(ref, Add())


@pytest.mark.asyncio
async def test_other_threads_tell_actors_something() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter))
        with ThreadPoolExecutor() as pool:
            for _ in range(4):
                pool.submit(tell_often, system, counter, 100)
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(pool, tell_often, system, counter, 100)
            while await counter.ask(Get()) < 500:  # noqa: ASYNC110 - threads end soon
                await asyncio.sleep(0)

        assert await counter.ask(Get()) == 500


@pytest.mark.asyncio
async def test_what_a_mailbox_refuses_becomes_a_dead_message() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter, Mailbox(capacity=2)))
        tell_often(system, counter, 3)
        await system.settled()

        assert await counter.ask(Get()) == 2
        assert system.dead_messages.counts["mailbox_full"] == 1


@pytest.mark.asyncio
async def test_too_many_messages_on_their_way_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(post, "POST_MAX", 2)
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter))
        with pytest.raises(MailboxFullError):
            tell_often(system, counter, 3)


def test_a_system_that_is_over_or_not_begun_takes_no_post() -> None:
    system = ActorSystem()

    async def host() -> Ref:
        async with system:
            return await system.spawn(spec("counter", Counter))

    with pytest.raises(SystemClosedError, match="use async with"):
        system.post(None, Add())  # type: ignore[arg-type]  # there is none yet
    counter = asyncio.run(host())
    for _ in range(2):  # each of them
        with pytest.raises(SystemClosedError, match="its system is over"):
            system.post(counter, Add())


class Entity(Counter):
    def __init__(self, _: str) -> None:
        super().__init__()


@pytest.mark.asyncio
async def test_a_message_that_cannot_be_told_does_not_keep_back_the_next() -> None:
    said: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: said.append(context["exception"]))
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter))
        system.post(system.entity(Entity, ""), Add())
        system.post(counter, Add())
        for _ in range(3):
            await asyncio.sleep(0)

        assert await counter.ask(Get()) == 1
    assert [type(error) for error in said] == [ValueError]
