"""Event-sourced actors say nothing before it is durable, and come back from the log."""

import asyncio
from typing import Any

import pytest

from dramaturg.actors.runtime import ActorSystem, CommandRejectedError
from dramaturg.events import Event
from dramaturg.events.log import KeyTakenError, LogUnavailableError
from dramaturg.events.log.memory import MemoryLog

from .actors import (
    REGISTRY,
    Balance,
    Bank,
    Branch,
    Deposit,
    Deposited,
    Withdraw,
    spec,
)


@pytest.mark.asyncio
async def test_an_answer_waits_for_the_disk() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Bank))
        log.hold()
        deposit, balance = bank.ask(Deposit(5)), bank.ask(Balance())
        await system.settled()
        assert not deposit.done()
        assert not balance.done()

        log.release()

        assert await deposit == 5
        assert await balance == 5


@pytest.mark.asyncio
async def test_reactions_happen_in_order_with_their_cause() -> None:
    log = MemoryLog(REGISTRY)
    reactions: list[tuple[Event, Any]] = []
    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", lambda: Bank(reactions)))
        await asyncio.gather(*[bank.ask(Deposit(n)) for n in (1, 2, 3)])

    assert reactions == [(Deposited(n), ("account/1", n)) for n in (1, 2, 3)]


@pytest.mark.asyncio
async def test_state_comes_back_without_reactions() -> None:
    log = MemoryLog(REGISTRY)
    reactions: list[tuple[Event, Any]] = []
    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", lambda: Bank(reactions)))
        await bank.ask(Deposit(7))
        await system.stop(bank)
        reactions.clear()
        bank = await system.spawn(spec("bank", lambda: Bank(reactions)))

        assert await bank.ask(Balance()) == 7
    assert not reactions


@pytest.mark.asyncio
async def test_a_refused_command_changes_nothing() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Bank))
        with pytest.raises(CommandRejectedError, match="0 is all there is"):
            await bank.ask(Withdraw(1))

        assert log.position == 0
        assert system.cell("/bank").restarts == 0


@pytest.mark.asyncio
async def test_a_taken_key_is_told_to_its_asker_alone() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Bank))
        first = bank.ask(Deposit(1, "a"))
        again = bank.ask(Deposit(10, "a"))
        after = bank.ask(Deposit(100, "b"))

        assert await first == 1
        with pytest.raises(KeyTakenError):
            await again
        assert await after == 101
        assert await bank.ask(Balance()) == 101
        assert system.cell("/bank").restarts == 0


@pytest.mark.asyncio
async def test_an_unavailable_log_suspends_and_is_waited_for() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Bank))
        await bank.ask(Deposit(1))
        log.fail()
        with pytest.raises(LogUnavailableError):
            await bank.ask(Deposit(1))
        log.recover()
        await system.settled()

        assert await bank.ask(Deposit(1)) == 2
        assert system.cell("/bank").restarts == 0


@pytest.mark.asyncio
async def test_an_owner_keeps_many_streams_and_what_derives_from_them() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        branch = await system.spawn(spec("branch", Branch))
        await branch.ask(Deposit(1, name="a"))
        await branch.ask(Deposit(2, name="b"))
        await system.stop(branch)
        branch = await system.spawn(spec("branch", Branch))

        assert await branch.ask(Balance()) == 3
