"""A system is a guest in a process: it takes nothing over and leaves nothing behind."""

import asyncio
import gc
import logging
import os
import signal
import sys
import threading
from pathlib import Path

import pytest
import structlog

from dramaturg.actors.runtime import (
    Actor,
    ActorSystem,
    Message,
    Ref,
    SupervisorSpec,
    handles,
)
from dramaturg.events.log.memory import MemoryLog

from .actors import (
    REGISTRY,
    Add,
    AskFail,
    Bank,
    Counter,
    Deposit,
    Get,
    GetSlowly,
    spec,
)

WARM = 10
LIVES = int(os.environ.get("DRAMATURG_LIVES", "50"))
"""How many systems come and go; `make lives` lets a thousand."""


class Busy(Counter):
    async def starting(self) -> None:
        self.ctx.timers.every("tick", 60.0, Add())
        self.ctx.run(asyncio.Event().wait())


async def life(*, development: bool = False) -> None:
    """Start a system, use a bit of everything, and end it."""
    log = MemoryLog(REGISTRY)
    system = ActorSystem(log=log, development=development)
    async with log, system:
        busy = await system.spawn(spec("busy", Busy))
        bank = await system.spawn(spec("bank", Bank))
        children = [spec(name, Counter) for name in "ab"]
        await system.spawn(SupervisorSpec(id="top", children=children))
        child = system.ref("/top/a")
        system.link(busy, bank)
        system.registry.register("bank", bank)
        asked = busy.ask(GetSlowly(1_000_000))
        await bank.ask(Deposit(1))
        await asyncio.gather(child.ask(AskFail()), return_exceptions=True)
        system.kill(busy)
        await asyncio.gather(asked, return_exceptions=True)
        assert await child.ask(Get()) == 0
        await system.entity(Entity, "1").offer(Add())
        system.post(child, Add())


class Entity(Counter):
    def __init__(self, _: str) -> None:
        super().__init__()


def held() -> list[int]:
    """Count tasks, threads, open files, objects and blocks of memory."""
    gc.collect()
    files = Path("/proc/self/fd")
    return [
        len(asyncio.all_tasks()),
        threading.active_count(),
        len(list(files.iterdir())) if files.is_dir() else 0,
        len(gc.get_objects()),
        sys.getallocatedblocks(),
    ]


@pytest.mark.asyncio
async def test_systems_that_come_and_go_leave_no_task_thread_file_or_memory() -> None:
    with structlog.testing.capture_logs() as lines:
        before: list[int] = []
        for i in range(WARM + LIVES):
            if i == WARM:  # what is made once is made now
                before = held()
            await life()
            lines.clear()
        tasks, threads, files, objects, blocks = [
            after - earlier for after, earlier in zip(held(), before, strict=True)
        ]

    assert max(tasks, threads, files) <= 0  # what others left may be gone meanwhile
    assert objects < LIVES // 2, "a life keeps an object"
    # the free lists of msgspec and CPython fill up at first, a block or two a life
    assert blocks < 300 + 2 * LIVES, "a life keeps blocks of memory"


class Quit(Message):
    pass


class Quitting(Counter):
    @handles
    def quit(self, _: Quit) -> None:
        raise KeyboardInterrupt


def test_an_interrupt_in_a_handler_fails_its_actor_and_goes_on_to_the_host() -> None:
    async def quits() -> None:
        for message in (Add(1), Quit(), Add(2)):
            quitting.tell(message)
        await asyncio.Event().wait()

    async def goes_on() -> int:
        return await quitting.ask(Get(), timeout_s=60)

    async def begin() -> Ref:
        await system.__aenter__()
        return await system.spawn(spec("a", Quitting))

    system = ActorSystem()
    with asyncio.Runner() as runner:
        quitting = runner.run(begin())
        with pytest.raises(KeyboardInterrupt):
            runner.run(quits())

        assert runner.run(goes_on()) == 2
        assert system.tree().children[0].restarts == 1


class Say(Message):
    pass


class Speaker(Actor):
    @handles
    def say(self, _: Say) -> None:
        self.ctx.log.info("spoken")


@pytest.mark.parametrize("development", [False, True])
@pytest.mark.asyncio
async def test_signals_logging_and_the_loop_stay_as_they_are(
    *, development: bool
) -> None:
    loop = asyncio.get_running_loop()
    root = logging.getLogger()

    def surroundings() -> list[object]:
        return [
            *(signal.getsignal(each) for each in signal.valid_signals()),
            root.level,
            *root.handlers,
            *root.filters,
            structlog.get_config(),
            loop.get_exception_handler(),
            loop.get_task_factory(),
            loop.get_debug(),
            asyncio.get_running_loop(),
            signal.set_wakeup_fd(-1, warn_on_full_buffer=False),
        ]

    before = surroundings()
    wakeup_fd = before[-1]
    async with ActorSystem(development=development) as system:
        (await system.spawn(spec("speaker", Speaker))).tell(Say())
        await system.settled()
        during = surroundings()
    after = surroundings()
    signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False)  # type: ignore[arg-type]  # a number

    assert during[:-1] == before[:-1]
    assert after[:-1] == before[:-1]


@pytest.mark.asyncio
async def test_systems_in_one_loop_do_not_meet() -> None:
    """Names, paths, dead messages, notices and failures are each system's own."""
    async with ActorSystem(name="one") as one, ActorSystem(name="two") as two:
        refs = [await each.spawn(spec("counter", Counter)) for each in (one, two)]
        one.registry.register("counter", refs[0])
        with pytest.raises(ValueError, match="AskFail"):
            await refs[0].ask(AskFail())
        refs[1].tell(Add(2))

        assert two.registry.whereis("counter") is None
        assert [each.dead_messages.count for each in (one, two)] == [1, 0]
        assert [await ref.ask(Get()) for ref in refs] == [0, 2]
        assert [each.tree().children[0].restarts for each in (one, two)] == [1, 0]
