"""A system that has stopped is freed, whatever lay in its mailboxes."""

import asyncio
import gc
import weakref

import pytest

from dramaturg.actors.runtime import Actor, ActorSystem, Ask, Message, handles

from .actors import spec


class Ring(Message):
    """Sent by a timer."""


class Heard(Message):
    """Sent by work beside the mailbox."""


class Leave(Ask[None]):
    """Start a timer and some work, and stop before they are heard of."""


class Leaving(Actor):
    """Has messages of its own in its mailbox when it stops."""

    @handles
    async def leave(self, _: Leave) -> None:
        self.ctx.timers.once("ring", 0.0, Ring())
        self.ctx.run(asyncio.sleep(0), then=lambda _: Heard())
        for _turn in range(20):
            await asyncio.sleep(0)
        self.ctx.leave()


async def ran() -> "weakref.ref[ActorSystem]":
    """Return a system that has stopped with a tick and an outcome unread."""
    async with ActorSystem() as system:
        leaving = await system.spawn(spec("leaving", Leaving))
        await leaving.ask(Leave())
        await system.settled()
    kinds = {type(dead.message).__name__ for dead in system.dead_messages.latest}
    assert kinds == {"Ring", "Finished"}
    return weakref.ref(system)


@pytest.mark.asyncio
async def test_messages_of_timers_and_work_that_nobody_read_keep_no_system() -> None:
    system = await ran()

    gc.collect()

    assert system() is None
