"""Whoever is cancelled, wherever it waits: the system stays whole.

Each test goes through all the points at which a scenario waits, one run for each: the
scenario is cancelled there, and then everything must be as if it had never begun.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator
from contextlib import suppress
from types import coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs

from dramaturg.actors.runtime import (
    ActorError,
    ActorStoppedError,
    ActorSystem,
    ChildSpec,
    Mailbox,
    ManualClock,
    Ref,
    StartChild,
    SupervisorSpec,
)
from dramaturg.events.log.memory import MemoryLog

from .actors import (
    REGISTRY,
    Add,
    AskFail,
    Balance,
    Bank,
    Counter,
    Deposit,
    Get,
    GetSlowly,
    spec,
)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Write no lines: there would be thousands."""
    with capture_logs():
        yield


both = pytest.mark.parametrize("eager", [True, False], ids=["stepped", "tasks"])
late = pytest.mark.parametrize("late", [False, True], ids=["waiting", "woken"])


class Careful(Counter):
    """Takes some turns of the loop to start, to restart and to stop."""

    async def starting(self) -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def restarting(self, error: BaseException | None) -> None:  # noqa: ARG002 - a hook
        await asyncio.sleep(0)

    async def stopping(self) -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)


class Vault(Bank):
    """Takes its time as well."""

    async def stopping(self) -> None:
        await asyncio.sleep(0)


@coroutine
def cancelled_at(
    coro: Coroutine[Any, Any, None],
    point: int,
    *,
    woken: bool,
) -> Generator[Any, Any, bool]:
    """Await `coro` and cancel the task at its wait number `point`; was there one?

    `woken`: not while it waits, but when what it waits for has just come.
    """
    task = asyncio.current_task()
    assert task is not None

    def cancel(_: object) -> None:
        task.cancel()

    waits, value = 0, None
    send: Any = coro.send
    while True:
        try:
            waited: Any = send(value)
        except StopIteration:
            return waits >= point
        waits += 1
        if waits == point:
            if woken and waited is not None:
                waited.add_done_callback(cancel)
            else:
                task.get_loop().call_soon(task.cancel)
        try:
            value = yield waited
        except BaseException as error:  # noqa: BLE001 - passed into the coroutine
            send, value = coro.throw, error
        else:
            send = coro.send


async def use(system: ActorSystem, kept: list[Ref]) -> None:
    """Wait for everything that can be waited for."""
    counter = await system.spawn(spec("counter", Careful))
    vault = await system.spawn(spec("vault", Vault))
    family = [spec(name, Careful) for name in ("a", "b")]
    top = await system.spawn(SupervisorSpec(id="top", children=family))
    kept += [counter, vault, top]
    await counter.ask(GetSlowly(2))
    await vault.ask(Deposit(5))
    child = await top.ask(StartChild(spec("c", Careful)))
    with suppress(ValueError):
        await child.ask(AskFail())
    small = Mailbox(capacity=1, policy="wait")
    narrow = await system.spawn(spec("narrow", Careful, small))
    kept += [child, narrow]
    busy = narrow.ask(GetSlowly(3))
    await narrow.offer(Add())
    await narrow.offer(Add())
    await asyncio.gather(busy, counter.ask(GetSlowly(1)), vault.ask(Balance()))
    await system.stop(child)
    for _ in range(3):
        counter.tell(Add())
    await system.stop(counter, drain=True)
    await system.settled()


async def points(
    *, eager: bool
) -> AsyncIterator[tuple[int, ManualClock, ActorSystem, MemoryLog]]:
    """Go through the points, with a system of its own for each."""
    for point in range(1, 1000):
        clock, log = ManualClock(), MemoryLog(REGISTRY)
        yield point, clock, ActorSystem(clock=clock, log=log, eager=eager), log


def own_tasks() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


@both
@late
@pytest.mark.asyncio
async def test_a_host_may_be_cancelled_wherever_it_waits(
    *, eager: bool, late: bool
) -> None:
    async for point, clock, system, log in points(eager=eager):

        async def host(
            kept: list[Ref],
            log: MemoryLog = log,
            system: ActorSystem = system,
        ) -> None:
            async with log, system:
                await use(system, kept)

        kept: list[Ref] = []
        task = asyncio.ensure_future(cancelled_at(host(kept), point, woken=late))
        await asyncio.wait([task])

        assert own_tasks() == set(), point
        assert clock.next_s is None, point
        for ref in kept:
            with pytest.raises(ActorStoppedError):
                await ref.ask(Get())
        if not task.cancelled():
            assert not task.result(), point
            assert point > 15
            return


@both
@late
@pytest.mark.asyncio
async def test_a_client_may_be_cancelled_wherever_it_waits(
    *, eager: bool, late: bool
) -> None:
    async for point, clock, system, log in points(eager=eager):
        async with log, system:
            task = asyncio.ensure_future(
                cancelled_at(use(system, []), point, woken=late)
            )
            await asyncio.wait([task])
            await system.settled()
            clock.advance(1.0)  # sweeps have nothing left to do

            await everybody_is_well(system)
        assert own_tasks() == set(), point
        assert clock.next_s is None, point
        if not task.cancelled():
            assert not task.result(), point
            assert point > 10
            return


async def everybody_is_well(system: ActorSystem) -> None:
    """Every actor that is there answers and stops, and its place can be taken again."""
    for info in system.tree().children:
        ref = system.ref(info.path)
        assert info.state == "running"
        assert info.depth == 0
        match info.kind:
            case "Vault":
                assert await ref.ask(Balance()) in {0, 5}
            case "Supervisor":
                assert await ref.ask(StartChild(spec("new", Careful))) is not None
                assert [c.state for c in info.children[:2]] == ["running"] * 2
            case _:
                await ref.ask(GetSlowly(1))
        await system.stop(ref)
        await system.spawn(ChildSpec(id=info.path[1:], factory=Counter))
    assert {info.state for info in system.tree().children} <= {"running"}


@pytest.mark.parametrize(
    ("target", "eager"),
    [
        ("/counter", True),
        ("/counter", False),
        ("/vault", True),
        ("/top", True),
        ("/top/c", True),
        ("/narrow", True),
    ],
)
@pytest.mark.asyncio
async def test_an_actor_may_be_killed_at_any_time(target: str, *, eager: bool) -> None:
    async for point, clock, system, log in points(eager=eager):
        async with log, system:
            task = asyncio.ensure_future(use(system, []))
            for _ in range(point):
                await asyncio.sleep(0)
            over = task.done()
            with suppress(ActorError):
                system.kill(system.ref(target))
            await asyncio.wait([task])
            assert isinstance(task.exception(), ActorError | None), task.exception()
            await system.settled()

            await everybody_is_well(system)
        assert own_tasks() == set(), point
        assert clock.next_s is None, point
        if over:
            assert point > 15
            return
