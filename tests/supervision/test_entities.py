"""Entities, names, and the census of the tree."""

import asyncio

import pytest

from dramaturg.actors.runtime import (
    Actor,
    ActorStopped,
    ActorStoppedError,
    ActorSystem,
    Ask,
    ChildSpec,
    ManualClock,
    Message,
    NameTakenError,
    RoundRobin,
    handles,
)


class Add(Message):
    pass


class Get(Ask[tuple[str, int]]):
    pass


class Fail(Message):
    pass


class Account(Actor):
    instances = 0

    def __init__(self, account_id: str) -> None:
        self.account_id = account_id
        self.total = 0
        type(self).instances += 1

    @handles
    def add(self, _: Add) -> None:
        self.total += 1

    @handles
    def get(self, _: Get) -> tuple[str, int]:
        return self.account_id, self.total

    @handles
    def fail(self, message: Fail) -> None:
        raise ValueError(message)


class Slow(Account):
    """Takes its time to stop."""

    gate: asyncio.Event

    async def stopping(self) -> None:
        await self.gate.wait()


class Broken(Account):
    async def starting(self) -> None:
        raise OSError(self.account_id)


@pytest.mark.asyncio
async def test_an_entity_is_there_when_a_message_comes() -> None:
    async with ActorSystem() as system:
        ref = system.entity(Account, "Ann / Bob")
        assert system.tree().children[0].children[0].children == ()
        ref.tell(Add())

        assert await ref.ask(Get()) == ("Ann / Bob", 1)
        assert ref.path == "/entities/Account/Ann%20%2F%20Bob"
        assert ref == system.entity(Account, "Ann / Bob")
        assert len({ref, system.entity(Account, "Ann / Bob")}) == 1
        assert system.ref(ref.path).path == ref.path


@pytest.mark.asyncio
async def test_an_idle_entity_is_passivated_and_comes_back() -> None:
    clock = ManualClock()
    stopped: list[str] = []
    async with ActorSystem(clock=clock) as system:
        system.events.subscribe(ActorStopped, lambda each: stopped.append(each.path))
        system.entities.register(Account, idle_s=8.0)
        busy, idle = system.entity(Account, "busy"), system.entity(Account, "idle")
        idle.tell(Add())
        for _ in range(6):
            busy.tell(Add())
            await system.settled()
            clock.advance(2.0)
            await system.settled()

        assert stopped == ["/entities/Account/idle"]
        assert await idle.ask(Get()) == ("idle", 0)
        assert await busy.ask(Get()) == ("busy", 6)
        clock.advance(60.0)
        await system.settled()
        clock.advance(60.0)
        await system.settled()
        assert system.tree().children[0].children[0].children == ()


@pytest.mark.asyncio
async def test_what_comes_while_it_is_passivated_reaches_the_next_life() -> None:
    clock = ManualClock()
    Slow.gate = asyncio.Event()
    async with ActorSystem(clock=clock) as system:
        system.entities.register(Slow, idle_s=4.0)
        ref = system.entity(Slow, "a")
        ref.tell(Add())
        await system.settled()
        for _ in range(5):
            clock.advance(1.0)
            await system.settled()
        old = system.ref(ref.path)
        answer = ref.ask(Get())
        ref.tell(Add())
        await system.settled()
        assert not answer.done()
        Slow.gate.set()

        assert await answer == ("a", 0)
        assert await ref.ask(Get()) == ("a", 1)
        old.tell(Add())
        assert await ref.ask(Get()) == ("a", 2)
        assert system.dead_messages.count == 0
        await system.stop(system.ref("/entities"))
        old.tell(Add())
        assert await ref.ask(Get()) == ("a", 1)


@pytest.mark.asyncio
async def test_while_its_supervisor_goes_down_no_entity_is_activated() -> None:
    Slow.gate = asyncio.Event()
    async with ActorSystem() as system:
        ref = system.entity(Slow, "a")
        other = system.entity(Slow, "b")
        ref.tell(Add())
        await system.settled()
        stopping = asyncio.create_task(system.stop(system.ref("/entities/Slow")))
        await system.settled()
        other.tell(Add())
        await other.offer(Add())
        with pytest.raises(ActorStoppedError):
            await other.ask(Get())
        assert system.dead_messages.counts == {"stopped": 3}
        Slow.gate.set()
        await stopping
        other.tell(Add())

        assert await other.ask(Get()) == ("b", 1)
    other.tell(Add())
    assert system.dead_messages.counts == {"stopped": 4}


@pytest.mark.asyncio
async def test_an_entity_that_cannot_start_tells_those_who_wait() -> None:
    async with ActorSystem() as system:
        ref = system.entity(Broken, "a")
        ref.tell(Add())
        with pytest.raises(OSError, match="a"):
            await ref.ask(Get())

        assert system.tree().children[0].children[0].children == ()


@pytest.mark.asyncio
async def test_an_entity_that_fails_comes_back_after_its_backoff() -> None:
    clock = ManualClock()
    async with ActorSystem(clock=clock) as system:
        ref = system.entity(Account, "a")
        ref.tell(Fail())
        await ref.offer(Add())
        await system.settled()
        clock.advance(1.0)

        assert await ref.ask(Get()) == ("a", 1)


@pytest.mark.asyncio
async def test_a_name_is_found_until_its_actor_stops() -> None:
    async with ActorSystem() as system:
        a = await system.spawn(ChildSpec(id="a", factory=lambda: Account("a")))
        b = await system.spawn(ChildSpec(id="b", factory=lambda: Account("b")))
        names = system.registry
        names.register("teller", a)
        names.register("teller", a)
        with pytest.raises(NameTakenError, match="'teller' is /a"):
            names.register("teller", b)
        a.tell(Fail())
        await system.settled()
        assert names.whereis("teller") is a
        await system.stop(a)
        assert names.whereis("teller") is None

        names.register("teller", b)
        names.register("pool", RoundRobin("/pool", [b]))
        assert names.names() == ("pool", "teller")
        names.unregister("teller")
        names.unregister("teller")
        await system.stop(b)
        assert names.names() == ("pool",)


@pytest.mark.asyncio
async def test_the_census_tells_how_everybody_fares() -> None:
    async with ActorSystem() as system:
        ref = await system.spawn(ChildSpec(id="a", factory=lambda: Account("a")))
        ref.tell(Fail())
        ref.tell(Add())
        await system.settled()
        system.cell("/a").hold()
        ref.tell(Add())

        root = system.tree()
        (info,) = root.children
        assert root.path == "/"
        assert (info.path, info.kind, info.state) == ("/a", "Account", "running")
        assert (info.depth, info.handled, info.restarts) == (1, 2, 1)
        assert info.failure == "ValueError(Fail())"
        assert not info.busy
