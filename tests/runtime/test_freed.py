"""A system that has stopped is freed, whatever lay in its mailboxes or was at fault."""

import asyncio
import gc
import weakref
from typing import Any

import pytest

from dramaturg.actors.runtime import (
    Actor,
    ActorSystem,
    Ask,
    ChildSpec,
    Message,
    Ref,
    StartChild,
    SupervisorSpec,
    handles,
)
from dramaturg.events import Event
from dramaturg.events.log import KeyTakenError
from dramaturg.events.log.memory import MemoryLog

from .actors import REGISTRY, Bank, Counter, Deposit, Measured, Record, spec


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


async def own_messages(system: ActorSystem) -> None:
    """Stop with a tick and an outcome unread."""
    leaving = await system.spawn(spec("leaving", Leaving))
    await leaving.ask(Leave())
    await system.settled()
    kinds = {type(dead.message).__name__ for dead in system.dead_messages.latest}
    assert kinds == {"Ring", "Finished"}


class Answer(Ask[None]):
    """Tell an actor the outcome."""

    to: Ref


class Crashing(Actor):
    @handles
    def answer(self, message: Answer) -> None:
        raise ValueError(message.to.path)


async def crash_on_a_reference(system: ActorSystem) -> None:
    """Fail with a reference among the variables that the error's traceback keeps."""
    crashing = await system.spawn(spec("crashing", Crashing))
    with pytest.raises(ValueError, match="/crashing"):
        await crashing.ask(Answer(crashing))


async def dead_reference(system: ActorSystem) -> None:
    """Tell nobody of an actor."""
    counter = await system.spawn(spec("counter", Counter))
    counter.tell(Answer(counter))
    await system.settled()
    assert [dead.reason for dead in system.dead_messages.latest] == ["unhandled"]


async def child_that_cannot_start(system: ActorSystem) -> None:
    """Have a supervisor answer with the error of a child's factory."""
    top = await system.spawn(SupervisorSpec(id="top"))

    def factory() -> Actor:
        raise ValueError(top)

    with pytest.raises(ValueError, match="/top"):
        await top.ask(StartChild(ChildSpec(id="child", factory=factory)))


async def taken_key(system: ActorSystem) -> None:
    """Refuse a decision whose idempotency key was used before."""
    bank = await system.spawn(spec("bank", Bank))
    await bank.ask(Deposit(1, "key"))
    with pytest.raises(KeyTakenError):
        await bank.ask(Deposit(1, "key"))


async def refused_append(system: ActorSystem) -> None:
    """Rebuild an actor whose events the log cannot keep."""
    bank = await system.spawn(spec("bank", Bank))
    with pytest.raises(Exception, match="Measured"):
        await bank.ask(Record((Measured(float("nan")),)))
    assert await bank.ask(Deposit(1)) == 1


class Reacting(Bank):
    def react(self, event: Event, ctx: Any) -> None:
        raise ValueError(event, ctx)


async def failing_reaction(system: ActorSystem) -> None:
    """Fail over the effect of an event."""
    bank = await system.spawn(spec("bank", Reacting))
    assert await bank.ask(Deposit(1)) == 1
    await system.settled()
    assert system.tree().children[0].restarts == 1


@pytest.mark.parametrize(
    "use",
    [
        own_messages,
        crash_on_a_reference,
        dead_reference,
        child_that_cannot_start,
        taken_key,
        refused_append,
        failing_reaction,
    ],
)
@pytest.mark.asyncio
async def test_nothing_keeps_a_system_that_has_stopped(use: Any) -> None:
    async def life() -> "weakref.ref[ActorSystem]":
        log = MemoryLog(REGISTRY)
        async with log, ActorSystem(log=log) as system:
            await use(system)
        return weakref.ref(system)

    system = await life()
    gc.collect()

    assert system() is None
