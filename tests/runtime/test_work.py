"""Work beside the mailbox comes back as a message."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dramaturg.actors.runtime import (
    Actor,
    ActorSystem,
    Ask,
    HandlerCancelledError,
    Message,
    Origin,
    Ref,
    Running,
    handles,
)

from .actors import spec


class Begin(Message):
    body: Callable[[], Awaitable[object]]
    quietly: bool = False


class Outcome(Message):
    value: object


class Cancel(Message):
    pass


class Fail(Message):
    pass


class Outcomes(Ask[list[Any]]):
    pass


class Worker(Actor):
    def __init__(self) -> None:
        self.outcomes: list[Any] = []
        self.running: Running | None = None

    @handles
    def begin(self, message: Begin) -> None:
        async def work() -> object:
            return await message.body()

        if message.quietly:
            self.running = self.ctx.run(work())
        else:
            self.running = self.ctx.run(work(), then=Outcome, failed=Outcome)

    @handles
    def outcome(self, message: Outcome) -> None:
        self.outcomes.append((message.value, self.ctx.corr))

    @handles
    def cancel(self, message: Cancel) -> None:  # noqa: ARG002 - it takes its message
        assert self.running is not None
        self.running.cancel()
        self.running.cancel()

    @handles
    def fail(self, message: Fail) -> None:
        raise ValueError(message)

    @handles
    def told(self, message: Outcomes) -> list[Any]:  # noqa: ARG002 - likewise
        return self.outcomes


async def at_once() -> object:
    return "at once"


async def later() -> object:
    await asyncio.sleep(0)
    return "later"


async def broken() -> object:
    await asyncio.sleep(0)
    raise KeyError("broken")


async def started(system: ActorSystem, *messages: Message) -> Ref:
    ref = await system.spawn(spec("worker", Worker))
    for message in messages:
        ref.tell(message, origin=Origin(corr="c-1"))
    await system.settled()
    return ref


@pytest.mark.asyncio
async def test_results_come_back_with_the_origin_of_the_work() -> None:
    async with ActorSystem() as system:
        ref = await started(system, Begin(at_once), Begin(later))

        assert await ref.ask(Outcomes()) == [("at once", "c-1"), ("later", "c-1")]
        assert not system.cell("/worker").extras.works


@pytest.mark.asyncio
async def test_errors_come_back() -> None:
    async with ActorSystem() as system:
        ref = await started(system, Begin(broken))

        ((error, _),) = await ref.ask(Outcomes())
        assert isinstance(error, KeyError)


@pytest.mark.asyncio
async def test_an_error_nobody_asked_for_fails_the_actor() -> None:
    async with ActorSystem() as system:
        await started(system, Begin(broken, quietly=True))

        assert isinstance(system.cell("/worker").error, KeyError)
        assert system.cell("/worker").restarts == 1


@pytest.mark.asyncio
async def test_a_result_nobody_asked_for_is_no_message() -> None:
    async with ActorSystem() as system:
        ref = await started(system, Begin(later, quietly=True))

        assert await ref.ask(Outcomes()) == []
        assert not system.cell("/worker").extras.works


@pytest.mark.asyncio
async def test_work_can_be_cancelled_before_it_has_begun() -> None:
    begun: list[object] = []

    async def begin() -> object:
        begun.append("begun")
        return None

    async with ActorSystem(eager=False) as system:
        ref = await started(system, Begin(begin), Cancel())

        assert not begun
        assert await ref.ask(Outcomes()) == []


@pytest.mark.asyncio
async def test_cancelled_work_is_not_heard_of() -> None:
    ended: list[str] = []

    async def waiting() -> object:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("ended")
        return None

    async with ActorSystem() as system:
        ref = await started(system, Begin(waiting), Cancel())

        assert ended == ["ended"]
        assert await ref.ask(Outcomes()) == []


@pytest.mark.asyncio
async def test_work_that_cancels_itself_is_an_error() -> None:
    async def suicidal() -> object:
        raise asyncio.CancelledError

    async with ActorSystem() as system:
        ref = await started(system, Begin(suicidal))

        ((error, _),) = await ref.ask(Outcomes())
        assert isinstance(error, HandlerCancelledError)


@pytest.mark.parametrize("end", [Fail(), None], ids=["restart", "stop"])
@pytest.mark.asyncio
async def test_work_ends_with_the_life_that_began_it(end: Message | None) -> None:
    ended = asyncio.Event()

    async def waiting() -> object:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return None

    async with ActorSystem() as system:
        ref = await started(system, Begin(waiting))
        if end is None:
            await system.stop(ref)
        else:
            ref.tell(end)
        await ended.wait()


@pytest.mark.asyncio
async def test_an_outcome_in_the_mailbox_ends_with_the_life_that_wanted_it() -> None:
    async with ActorSystem() as system:
        ref = await system.spawn(spec("worker", Worker))
        for message in (Begin(at_once), Fail()):
            ref.tell(message)

        assert await ref.ask(Outcomes()) == []
