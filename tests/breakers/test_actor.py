"""Breakers with an actor and a log: in memory for faults, in SQLite for the real thing."""

import asyncio
import shutil
from contextlib import AbstractAsyncContextManager, suppress
from functools import reduce
from pathlib import Path

import anyio.to_thread
import pytest

from dramaturg.actors.breakers import (
    Breaker,
    BreakerConfig,
    BreakerOpenError,
    Breakers,
    BreakerState,
    NoSuchBreakerError,
    ReasonMissingError,
    evolve,
)
from dramaturg.actors.breakers.desk import Desk
from dramaturg.actors.runtime import ActorSystem, ManualClock
from dramaturg.events import Event, Registry
from dramaturg.events.breaker import (
    EVENTS,
    CaughtUp,
    Flushed,
    HalfOpened,
    Opened,
    Overridden,
    ProbeGranted,
    WindowRolledUp,
)
from dramaturg.events.log import EventLog, LogUnavailableError, MemoryLog
from dramaturg.events.log.sqlite import SqliteLog

REGISTRY = Registry(EVENTS)
CLASSIC = BreakerConfig.preset("classic", failures_max=2, cooldown_s=10.0)


def log_at(path: Path) -> AbstractAsyncContextManager[EventLog]:
    return SqliteLog(path, REGISTRY)


async def answer() -> int:
    return 1


async def refuse() -> None:
    raise ConnectionError


async def fail(breaker: Breaker, times: int) -> None:
    for _ in range(times):
        with suppress(ConnectionError):
            await breaker.call(refuse)


async def events_of(log: EventLog, name: str = "db") -> list[Event]:
    found = [recorded.event for recorded in await log.read_stream(f"breaker/{name}")]
    return [event for event in found if isinstance(event, Event)]


async def replayed(log: EventLog, name: str = "db") -> BreakerState:
    return reduce(evolve, await events_of(log, name), BreakerState(name))


@pytest.mark.asyncio
async def test_a_trip_is_in_the_log_with_what_was_counted() -> None:
    async with MemoryLog(REGISTRY) as log, ActorSystem(log=log) as system:
        breaker = await Breakers(system).open("db", CLASSIC)
        await fail(breaker, 2)
        await system.settled()

        *before, opened = await events_of(log)

        rolled = [e for e in before if isinstance(e, WindowRolledUp)]
        assert [number for e in rolled for number in e.failures] == [1, 2]
        assert isinstance(opened, Opened)
        assert await replayed(log) == breaker.machine.state


@pytest.mark.asyncio
async def test_a_probe_starts_after_its_grant_is_durable() -> None:
    clock = ManualClock()
    async with MemoryLog(REGISTRY) as log, ActorSystem(log=log, clock=clock) as system:
        breaker = await Breakers(system).open("db", CLASSIC)
        await fail(breaker, 2)
        clock.advance(10)
        await system.settled()
        log.hold()
        probe = asyncio.create_task(breaker.call(answer))
        await system.settled()
        assert not probe.done()
        assert not any(isinstance(e, ProbeGranted) for e in await events_of(log))

        log.release()

        assert await probe == 1
        events = await events_of(log)
        kinds = [type(event) for event in events]
        assert kinds.index(HalfOpened) < kinds.index(ProbeGranted)


@pytest.mark.asyncio
async def test_a_caller_who_goes_away_while_the_grant_is_written_frees_the_place() -> (
    None
):
    clock = ManualClock()
    async with MemoryLog(REGISTRY) as log, ActorSystem(log=log, clock=clock) as system:
        breaker = await Breakers(system).open("db", CLASSIC)
        await fail(breaker, 2)
        clock.advance(10)
        await system.settled()
        log.hold()
        probe = asyncio.create_task(breaker.call(answer))
        await system.settled()

        probe.cancel()
        with suppress(asyncio.CancelledError):
            await probe
        log.release()
        await system.settled()

        assert breaker.machine.state.leases == ()
        assert await replayed(log) == breaker.machine.state


@pytest.mark.asyncio
@pytest.mark.parametrize("written", [False, True])
async def test_a_probe_whose_grant_could_not_be_written_does_not_start(
    written: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    clock = ManualClock()
    async with MemoryLog(REGISTRY) as log, ActorSystem(log=log, clock=clock) as system:
        breaker = await Breakers(system).open("db", CLASSIC)
        await fail(breaker, 2)
        clock.advance(10)
        await system.settled()
        log.hold()
        probe = asyncio.create_task(breaker.call(answer))
        await system.settled()
        log.fail(unknown=True, written=written)
        with pytest.raises(BreakerOpenError, match="no probe without the log"):
            await probe
        log.release()
        log.recover()
        await system.settled()

        assert breaker.machine.state.leases == ()
        assert await replayed(log) == breaker.machine.state


@pytest.mark.asyncio
async def test_a_breaker_whose_state_was_never_read_refuses() -> None:
    class Deaf(Desk):
        async def durable(self) -> None:
            """Say that all is well, and do nothing."""

    breaker = Breaker("db", CLASSIC, recorder=Deaf("db"))

    with pytest.raises(BreakerOpenError, match="its state could not be read"):
        await breaker.call(answer)


@pytest.mark.asyncio
async def test_an_action_is_durable_before_it_is_in_force() -> None:
    async with MemoryLog(REGISTRY) as log, ActorSystem(log=log) as system:
        breaker = await Breakers(system).open("db", CLASSIC)
        log.hold()
        action = asyncio.create_task(breaker.hold_open("maintenance", "ann"))
        await system.settled()
        assert await breaker.call(answer) == 1

        log.release()
        await action

        with pytest.raises(BreakerOpenError):
            await breaker.call(answer)
        event = (await events_of(log))[1]
        assert isinstance(event, Overridden)
        assert (event.reason, event.by) == ("maintenance", "ann")


@pytest.mark.asyncio
async def test_every_action_is_an_event_with_its_reason() -> None:
    async with MemoryLog(REGISTRY) as log, ActorSystem(log=log) as system:
        breaker = await Breakers(system).open("db", CLASSIC)
        with pytest.raises(ReasonMissingError):
            await breaker.reset("")

        await breaker.trip("drill", "ann")
        await breaker.reset("drill", "ann")
        await breaker.disable("drill", "ann", for_s=5)
        await breaker.only_measure("drill", "ann")
        await breaker.configure(BreakerConfig(), "drill", "ann")

        actions = (await events_of(log))[1:]
        assert [getattr(event, "reason", "") for event in actions] == ["drill"] * 5
        assert [getattr(event, "by", "") for event in actions] == ["ann"] * 5
        assert await replayed(log) == breaker.machine.state


@pytest.mark.asyncio
async def test_counts_are_rolled_up_after_a_second_and_then_there_is_quiet() -> None:
    clock = ManualClock()
    async with MemoryLog(REGISTRY) as log, ActorSystem(log=log, clock=clock) as system:
        breaker = await Breakers(system).open("db", CLASSIC)
        await breaker.call(answer)
        await system.settled()
        clock.advance(1)
        await system.settled()
        rolled = await events_of(log)
        clock.advance(3600)
        await system.settled()

        assert isinstance(rolled[-1], WindowRolledUp)
        assert await events_of(log) == rolled


@pytest.mark.asyncio
async def test_a_passing_override_ends_without_a_call() -> None:
    clock = ManualClock()
    async with MemoryLog(REGISTRY) as log, ActorSystem(log=log, clock=clock) as system:
        breaker = await Breakers(system).open("db", CLASSIC)
        await breaker.disable("drill", for_s=5)
        await system.settled()
        clock.advance(5)
        await system.settled()

        assert (await replayed(log)).phase == "closed"


@pytest.mark.asyncio
async def test_a_clean_stop_leaves_everything_in_the_log() -> None:
    log = MemoryLog(REGISTRY)
    async with log:
        async with ActorSystem(log=log) as system:
            breaker = await Breakers(system).open("db", CLASSIC)
            await breaker.call(answer)
            await fail(breaker, 1)
        events = await events_of(log)

        assert isinstance(events[-1], Flushed)
        assert (await replayed(log)).window.failures == (2,)
        assert (await replayed(log)).totals.calls == 2


@pytest.mark.asyncio
async def test_without_the_log_it_goes_on_in_memory_and_catches_up() -> None:
    clock = ManualClock()
    async with MemoryLog(REGISTRY) as log, ActorSystem(log=log, clock=clock) as system:
        breaker = await Breakers(system).open("db", CLASSIC)
        await system.settled()
        log.fail()
        assert await breaker.call(answer) == 1
        await fail(breaker, 2)
        with pytest.raises(BreakerOpenError, match="open"):
            await breaker.call(answer)
        clock.advance(10)
        await system.settled()
        with pytest.raises(BreakerOpenError, match="the log cannot be written"):
            await breaker.call(answer)
        with pytest.raises(LogUnavailableError):
            await breaker.reset("drill")

        log.recover()
        await system.settled()

        assert await breaker.call(answer) == 1
        await system.settled()
        kinds = [type(event) for event in await events_of(log)]
        assert Opened in kinds
        assert CaughtUp not in kinds
        assert await replayed(log) == breaker.machine.state


@pytest.mark.asyncio
@pytest.mark.parametrize("written", [False, True])
async def test_a_failing_append_neither_loses_nor_doubles_a_transition(
    written: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    async with MemoryLog(REGISTRY) as log, ActorSystem(log=log) as system:
        breaker = await Breakers(system).open("db", CLASSIC)
        await system.settled()
        log.hold()
        await fail(breaker, 2)
        await system.settled()
        log.fail(unknown=True, written=written)
        await system.settled()
        log.release()
        log.recover()
        await system.settled()

        kinds = [type(event) for event in await events_of(log)]
        assert kinds.count(Opened) == 1
        assert await replayed(log) == breaker.machine.state


@pytest.mark.asyncio
@pytest.mark.parametrize("written", [False, True])
async def test_an_action_whose_append_failed_is_in_force_only_if_it_was_written(
    written: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    async with MemoryLog(REGISTRY) as log, ActorSystem(log=log) as system:
        breaker = await Breakers(system).open("db", CLASSIC)
        await system.settled()
        log.hold()
        action = asyncio.create_task(breaker.hold_open("maintenance"))
        await system.settled()
        log.fail(unknown=True, written=written)
        with pytest.raises(LogUnavailableError):
            await action
        log.release()
        log.recover()
        await system.settled()

        phase = breaker.machine.state.phase
        assert phase == ("forced_open" if written else "closed")
        assert await replayed(log) == breaker.machine.state


@pytest.mark.asyncio
async def test_a_breaker_whose_first_settings_were_not_written_starts_anew() -> None:
    async with MemoryLog(REGISTRY) as log, ActorSystem(log=log) as system:
        log.hold()
        opening = asyncio.create_task(Breakers(system).open("db", CLASSIC))
        await system.settled()
        log.fail()
        with suppress(LogUnavailableError):
            await opening
        log.release()
        log.recover()
        await system.settled()

        assert (await replayed(log)).config == CLASSIC


@pytest.mark.asyncio
async def test_a_crash_keeps_generation_deadline_and_settings_exactly(
    tmp_path: Path,
) -> None:
    path, dead = tmp_path / "alive" / "log", tmp_path / "dead"
    path.parent.mkdir()
    clock = ManualClock()
    config = BreakerConfig.preset("classic", failures_max=2, cooldown_s=30.0)
    async with log_at(path) as log, ActorSystem(log=log, clock=clock) as system:
        breaker = await Breakers(system, boot="b").open("db", config)
        await fail(breaker, 2)
        clock.advance(30)
        with suppress(ConnectionError):
            await breaker.call(refuse)
        other = BreakerConfig.preset("classic", cooldown_s=7.0)
        await breaker.configure(other, "drill", "ann")
        lived = breaker.machine.state
        await anyio.to_thread.run_sync(shutil.copytree, path.parent, dead)
    assert (lived.phase, lived.attempt, lived.config) == ("open", 2, other)
    async with log_at(dead / "log") as log, ActorSystem(log=log, clock=clock) as system:
        again = await Breakers(system, boot="b").open("db", config)
        state = again.machine.state
        clock.advance(20)

        assert state == lived
        assert not any(isinstance(event, Flushed) for event in await events_of(log))
        assert again.statistics().retry_after_s == 40


@pytest.mark.asyncio
async def test_leases_outlive_a_crash() -> None:
    clock = ManualClock()
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log, clock=clock) as system:
        breaker = await Breakers(system, boot="b").open("db", CLASSIC)
        await fail(breaker, 2)
        clock.advance(10)
        for _ in range(2):
            await breaker.acquire()
        log = log.reopened()
    async with log, ActorSystem(log=log, clock=clock) as system:
        breaker = await Breakers(system, boot="b").open("db", CLASSIC)
        await breaker.acquire()

        with pytest.raises(BreakerOpenError):
            await breaker.acquire()

        clock.advance(60)
        assert (await breaker.acquire()).probe == 4


@pytest.mark.asyncio
async def test_a_snapshot_shortens_the_next_start() -> None:
    clock = ManualClock()
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log, clock=clock) as system:
        breaker = await Breakers(system).open("db", CLASSIC)
        for _ in range(510):
            await breaker.trip("drill")
        state = breaker.machine.state
    async with log.reopened() as twin:
        assert await twin.snapshot("breaker/db", 1) is not None
        async with ActorSystem(log=twin, clock=clock) as system:
            again = await Breakers(system).open("db", CLASSIC)

            assert again.machine.state.generation == state.generation


@pytest.mark.asyncio
async def test_a_registry_hands_out_one_breaker_a_name() -> None:
    async with MemoryLog(REGISTRY) as log, ActorSystem(log=log) as system:
        breakers = Breakers(
            system, {"storage.upload": {"preset": "storage", "cooldown_s": "20"}}
        )
        upload, same, download = await asyncio.gather(
            breakers.open("storage.upload", CLASSIC),
            breakers.open("storage.upload"),
            breakers.open("storage.download", CLASSIC),
        )

        assert upload is same is breakers["storage.upload"]
        assert upload.machine.state.config.cooldown_s == 20
        assert download.machine.state.config == CLASSIC
        assert list(breakers) == ["storage.upload", "storage.download"]
        assert [found.name for found in breakers.statistics()] == list(breakers)
        assert len(breakers) == 2
        with pytest.raises(NoSuchBreakerError, match=r"'db'; open it first.*storage"):
            breakers["db"]


@pytest.mark.asyncio
async def test_without_a_system_breakers_live_in_memory() -> None:
    breaker = await Breakers().open("db", CLASSIC)
    await fail(breaker, 2)

    assert breaker.statistics().phase == "open"

    async with ActorSystem() as system:
        breaker = await Breakers(system).open("db", CLASSIC)
        assert await breaker.call(answer) == 1


@pytest.mark.asyncio
async def test_a_breaker_whose_system_is_gone_goes_on_without_it() -> None:
    clock = ManualClock()
    async with MemoryLog(REGISTRY) as log, ActorSystem(log=log, clock=clock) as system:
        breaker = await Breakers(system).open("db", CLASSIC)

    assert await breaker.call(answer) == 1
    await fail(breaker, 2)
    clock.advance(10)
    with pytest.raises(BreakerOpenError, match="the log cannot be written"):
        await breaker.call(answer)
    with pytest.raises(LogUnavailableError, match="'db' has no actor"):
        await breaker.reset("drill")
