"""An actor does not run ahead of its log without a limit, and stops with it."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from dramaturg.actors.runtime import Actor, ActorSystem, ChildSpec, ManualClock
from dramaturg.events.log import (
    Context,
    EncodingError,
    LogUnavailableError,
    OutcomeUnknownError,
    Recorded,
    StreamAppend,
    VersionConflictError,
)
from dramaturg.events.log.memory import MemoryLog

from .actors import (
    REGISTRY,
    Balance,
    Bank,
    Deposit,
    Deposited,
    Fail,
    Measured,
    Record,
    spec,
)

NOW = Context(at_us=1)


def decided(system: ActorSystem) -> int:
    actor = system.cell("/bank").actor
    assert isinstance(actor, Bank)
    return actor.state.events


@pytest.mark.asyncio
async def test_with_so_many_events_on_their_way_commands_wait() -> None:
    class Careful(Bank):
        undurable_max = 5

    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Careful))
        log.hold()
        asks: list[Awaitable[int]] = []
        for _ in range(20):
            asks.append(bank.ask(Deposit(1)))
            await system.settled()  # lest they share an append
        assert decided(system) == 5
        log.release(1)
        await system.settled()
        assert decided(system) == 6
        log.release()

        assert await asyncio.gather(*asks) == list(range(1, 21))


@pytest.mark.asyncio
async def test_without_pipelining_one_command_is_written_at_a_time() -> None:
    class OneByOne(Bank):
        pipelined = False

    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", OneByOne))
        log.hold()
        asks = [bank.ask(Deposit(1)) for _ in range(5)]
        for n in range(1, 6):
            await system.settled()
            assert decided(system) == n
            log.release(1)
        log.release()

        assert await asyncio.gather(*asks) == [1, 2, 3, 4, 5]


@pytest.mark.asyncio
async def test_a_congested_log_is_waited_for() -> None:
    log = MemoryLog(REGISTRY, unwritten_max=4)
    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Bank))
        other = await system.spawn(spec("other", Other))
        log.hold()
        asks = [bank.ask(Deposit(1)) for _ in range(20)]
        await system.settled()
        assert log.congested
        assert decided(system) == 4
        more = other.ask(Deposit(1))
        log.release()

        assert await asyncio.gather(*asks) == list(range(1, 21))
        assert await more == 1


class Other(Bank):
    stream = "account/2"


@pytest.mark.asyncio
async def test_a_conflict_fails_the_actor_which_is_rebuilt() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Bank))
        await bank.ask(Deposit(1))
        await log.append([StreamAppend("account/1", 1, (Deposited(10),))], NOW)
        conflicting, behind = bank.ask(Deposit(100)), bank.ask(Deposit(1000))

        with pytest.raises(VersionConflictError):
            await conflicting
        with pytest.raises(VersionConflictError):
            await behind
        assert await bank.ask(Balance()) == 11
        assert await bank.ask(Deposit(1)) == 12
        assert system.cell("/bank").restarts == 1


@pytest.mark.asyncio
async def test_an_event_that_cannot_be_written_fails_the_actor() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Bank))
        with pytest.raises(EncodingError):
            await bank.ask(Record((Measured(float("nan")),)))

        assert await bank.ask(Deposit(1)) == 1
        assert system.cell("/bank").restarts == 1


@pytest.mark.asyncio
async def test_while_the_log_fails_asks_are_refused_and_tells_wait() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Bank))
        log.hold()
        deposit, waiting = bank.ask(Deposit(1)), bank.ask(Balance())
        await system.settled()
        queued = bank.ask(Deposit(5))
        log.fail()
        bank.tell(Deposit(10))
        for ask in (deposit, waiting, queued, bank.ask(Deposit(100))):
            with pytest.raises(LogUnavailableError):
                await ask
        assert system.cell("/bank").state == "suspended"
        log.recover()
        log.release()
        await system.settled()

        assert await bank.ask(Balance()) == 10
        assert system.cell("/bank").restarts == 0


@pytest.mark.parametrize("written", [True, False], ids=["written", "lost"])
@pytest.mark.asyncio
async def test_an_unknown_outcome_is_told_as_such(*, written: bool) -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Bank))
        log.hold()
        deposit = bank.ask(Deposit(1))
        await system.settled()
        log.fail(unknown=True, written=written)
        with pytest.raises(OutcomeUnknownError):
            await deposit
        log.recover()
        log.release()
        await system.settled()

        assert await bank.ask(Balance()) == (1 if written else 0)


@pytest.mark.asyncio
async def test_an_actor_that_stops_while_the_log_fails_is_not_rebuilt() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Bank))
        cell = system.cell("/bank")
        log.fail()
        await system.settled()
        await system.stop(bank)
        log.recover()
        await system.settled()

        assert cell.stopped
        assert not system.suspended()


@pytest.mark.asyncio
async def test_a_log_that_fails_again_during_recovery_is_waited_for_again() -> None:
    class Gated(MemoryLog):
        gate = asyncio.Event()

        async def read_stream(self, *args: Any, **options: Any) -> list[Recorded]:
            await self.gate.wait()
            return await super().read_stream(*args, **options)

    log = Gated(REGISTRY)
    log.gate = asyncio.Event()
    log.gate.set()
    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Bank))
        await bank.ask(Deposit(1))
        log.gate.clear()
        log.fail()
        log.recover()
        await system.settled()
        log.fail()
        log.gate.set()
        await system.settled()
        assert system.cell("/bank").state == "suspended"
        log.recover()
        await system.settled()

        assert await bank.ask(Balance()) == 1


@pytest.mark.asyncio
async def test_a_system_can_stop_while_its_log_does_not_answer() -> None:
    clock = ManualClock()
    log = MemoryLog(REGISTRY)
    async with log:
        async with ActorSystem(log=log, clock=clock) as system:
            bank = await system.spawn(
                ChildSpec(id="bank", factory=Bank, shutdown_s=1),
            )
            log.hold()
            deposit = bank.ask(Deposit(1), timeout_s=1000)
            await system.settled()
            stop = asyncio.ensure_future(system.stop(bank))
            for _ in range(4):
                await system.settled()
                clock.advance(1)
            await stop
        assert deposit.done()
        assert deposit.exception() is not None
        log.release()


@pytest.mark.asyncio
async def test_no_actor_starts_while_the_log_fails() -> None:
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        log.fail()
        with pytest.raises(LogUnavailableError):
            await system.spawn(spec("bank", Bank))
        log.recover()
        bank = await system.spawn(spec("bank", Bank))

        assert await bank.ask(Deposit(1)) == 1


@pytest.mark.asyncio
async def test_recoveries_are_bounded() -> None:
    reading = most = 0

    class Counting(MemoryLog):
        async def read_stream(self, *args: Any, **options: Any) -> list[Recorded]:
            nonlocal reading, most
            reading += 1
            most = max(most, reading)
            await asyncio.sleep(0)
            reading -= 1
            return await super().read_stream(*args, **options)

    log = Counting(REGISTRY)
    async with log, ActorSystem(log=log, recoveries_max=3) as system:
        await asyncio.gather(*[system.spawn(spec(f"{n}", Bank)) for n in range(10)])

    assert most == 3


@pytest.mark.asyncio
async def test_a_log_that_fails_while_an_actor_gets_ready_is_waited_for() -> None:
    log = MemoryLog(REGISTRY)
    ready = asyncio.Event()
    ready.set()

    class Slow(Bank):
        async def starting(self) -> None:
            await ready.wait()

    async with log, ActorSystem(log=log) as system:
        bank = await system.spawn(spec("bank", Slow))
        await bank.ask(Deposit(1))
        ready.clear()
        bank.tell(Fail())
        await system.settled()
        log.fail()
        ready.set()
        await system.settled()
        assert system.cell("/bank").state == "suspended"
        log.recover()
        await system.settled()

        assert await bank.ask(Balance()) == 1


@pytest.mark.asyncio
async def test_a_log_may_come_back_while_the_system_stops() -> None:
    log = MemoryLog(REGISTRY)
    heard: list[bool] = []

    class Slow(Actor):
        async def stopping(self) -> None:
            log.fail()
            log.recover()

    async with log, ActorSystem(log=log) as system:
        log.on_availability(heard.append)
        await system.spawn(ChildSpec(id="slow", factory=Slow))

    assert heard == [False, True]
