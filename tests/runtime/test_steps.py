"""Coroutine handlers meet the task, the context and the cancellation they expect."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

import anyio
import pytest

from dramaturg.actors.runtime import (
    Actor,
    ActorSystem,
    Ask,
    ChildSpec,
    HandlerCancelledError,
    HandlerTimeoutError,
    ManualClock,
    Message,
    Ref,
    handles,
)

from .actors import Counter, Get, spec

VARIABLE: ContextVar[str] = ContextVar("VARIABLE", default="unset")

both = pytest.mark.parametrize("eager", [True, False], ids=["stepped", "tasks"])
"""With the first step taken at once, and with a task from the start."""


class Run(Ask[object]):
    body: Callable[[], Awaitable[object]]


class Tell(Message):
    body: Callable[[], Awaitable[object]]


class Runner(Actor):
    """Runs what it is sent."""

    @handles
    async def run(self, message: Run | Tell) -> object:
        return await message.body()


@asynccontextmanager
async def runner(*, eager: bool) -> AsyncGenerator[Ref]:
    async with ActorSystem(eager=eager) as system:
        yield await system.spawn(spec("runner", Runner))


async def turn() -> None:
    await asyncio.sleep(0)


@both
@pytest.mark.asyncio
async def test_a_handler_is_in_one_task_from_its_first_line(*, eager: bool) -> None:
    async def body() -> object:
        before = asyncio.current_task()
        await turn()
        return before is not None and before is asyncio.current_task()

    async with runner(eager=eager) as ref:
        assert await ref.ask(Run(body)) is True


@both
@pytest.mark.asyncio
async def test_the_asker_is_in_its_own_task_again(*, eager: bool) -> None:
    async with runner(eager=eager) as ref:
        mine = asyncio.current_task()
        reply = ref.ask(Run(turn))

        assert asyncio.current_task() is mine
        await reply
        assert asyncio.current_task() is mine


@both
@pytest.mark.asyncio
async def test_a_timeout_that_began_in_the_first_step_ends(*, eager: bool) -> None:
    async def body() -> object:
        try:
            async with asyncio.timeout(0):
                await asyncio.sleep(60)
        except TimeoutError:
            task = asyncio.current_task()
            assert task is not None
            return task.cancelling()
        return None

    async with runner(eager=eager) as ref:
        assert await ref.ask(Run(body)) == 0
        assert await ref.ask(Run(body)) == 0


@both
@pytest.mark.asyncio
async def test_cancel_scopes_and_task_groups_hold(*, eager: bool) -> None:
    async def body() -> object:
        done: list[int] = []
        with anyio.move_on_after(0) as scope:
            await anyio.sleep(60)
        async with anyio.create_task_group() as group:
            for n in range(3):
                group.start_soon(add, done, n)
        return scope.cancelled_caught, sorted(done)

    async def add(done: list[int], n: int) -> None:
        await turn()
        done.append(n)

    async with runner(eager=eager) as ref:
        assert await ref.ask(Run(body)) == (True, [0, 1, 2])


@both
@pytest.mark.asyncio
async def test_a_context_variable_lives_as_long_as_its_handler(*, eager: bool) -> None:
    async def body() -> object:
        before = VARIABLE.get()
        VARIABLE.set("mine")
        await turn()
        return before, VARIABLE.get()

    async with runner(eager=eager) as ref:
        assert await ref.ask(Run(body)) == ("unset", "mine")
        assert await ref.ask(Run(body)) == ("unset", "mine")
    assert VARIABLE.get() == "unset"


@both
@pytest.mark.asyncio
async def test_an_error_after_a_suspension_reaches_the_asker(*, eager: bool) -> None:
    async def body() -> object:
        await turn()
        raise ValueError

    async with runner(eager=eager) as ref:
        with pytest.raises(ValueError):  # noqa: PT011 - the class is the point
            await ref.ask(Run(body))


@both
@pytest.mark.parametrize("after", [True, False], ids=["suspended", "at_once"])
@pytest.mark.asyncio
async def test_a_handler_that_cancels_itself_fails(*, eager: bool, after: bool) -> None:
    async def body() -> object:
        if after:
            await turn()
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await turn()
        return "survived"

    async with runner(eager=eager) as ref:
        with pytest.raises(HandlerCancelledError):
            await ref.ask(Run(body))
        assert await ref.ask(Run(turn)) is None


@both
@pytest.mark.asyncio
async def test_a_handler_may_outlive_its_own_cancellation(*, eager: bool) -> None:
    async def body() -> object:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        return "survived"

    async with runner(eager=eager) as ref:
        assert await ref.ask(Run(body)) == "survived"
        for _ in range(3):
            await turn()
        assert await ref.ask(Run(turn)) is None


@both
@pytest.mark.asyncio
async def test_more_handlers_can_suspend_than_there_are_workers(*, eager: bool) -> None:
    gate = asyncio.Event()
    async with ActorSystem(eager=eager) as system:
        refs = [await system.spawn(spec(f"{n}", Runner)) for n in range(100)]
        replies = [ref.ask(Run(gate.wait)) for ref in refs]
        await turn()
        gate.set()

        assert await asyncio.gather(*replies) == [True] * 100


@both
@pytest.mark.asyncio
async def test_nothing_is_left_behind(*, eager: bool) -> None:
    async with runner(eager=eager) as ref:
        await asyncio.gather(*[ref.ask(Run(turn)) for _ in range(10)])

    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.asyncio
async def test_an_idle_actor_has_no_task() -> None:
    async with ActorSystem() as system:
        before = len(asyncio.all_tasks())
        refs = [await system.spawn(spec(f"{n}", Counter)) for n in range(200)]
        await asyncio.gather(*[ref.ask(Get()) for ref in refs])

        assert len(asyncio.all_tasks()) == before


@pytest.mark.asyncio
async def test_a_handler_over_its_time_is_cancelled_and_its_actor_fails() -> None:
    clock = ManualClock()
    async with ActorSystem(clock=clock) as system:
        ref = await system.spawn(
            ChildSpec(id="runner", factory=Runner, handler_max_s=10),
        )
        reply = ref.ask(Run(asyncio.Event().wait), timeout_s=100)
        clock.advance(12)
        with pytest.raises(HandlerTimeoutError, match="Run for more than 10 s"):
            await reply

        assert await ref.ask(Run(turn)) is None
        assert system.cell("/runner").restarts == 1


@pytest.mark.asyncio
async def test_a_handler_that_takes_no_notice_is_abandoned() -> None:
    clock = ManualClock()
    gate = asyncio.Event()

    async def stubborn() -> object:
        while not gate.is_set():
            try:
                await gate.wait()
            except asyncio.CancelledError:
                continue
        return None

    async with ActorSystem(clock=clock) as system:
        ref = await system.spawn(
            ChildSpec(id="runner", factory=Runner, handler_max_s=10, shutdown_s=2),
        )
        reply = ref.ask(Run(stubborn), timeout_s=100)
        for _ in range(3):
            clock.advance(6)
            await system.settled()
        with pytest.raises(HandlerTimeoutError):
            await reply
        assert await ref.ask(Run(turn)) is None
        gate.set()


@pytest.mark.asyncio
async def test_one_actor_that_tells_itself_does_not_stall_the_others() -> None:
    class Busy(Actor):
        @handles
        def again(self, message: Tell) -> None:
            self.ctx.self.tell(message)

    async with ActorSystem() as system:
        busy = await system.spawn(spec("busy", Busy))
        busy.tell(Tell(turn))
        counter = await system.spawn(spec("counter", Counter))
        await turn()

        assert await counter.ask(Get()) == 0


@pytest.mark.asyncio
async def test_asks_in_a_row_leave_the_loop_its_turns() -> None:
    turns = 0
    loop = asyncio.get_running_loop()

    def count() -> None:
        nonlocal turns
        turns += 1
        loop.call_soon(count)

    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter))
        loop.call_soon(count)
        for _ in range(2_560):
            await counter.ask(Get())

        assert turns >= 10
