"""Which routee a message goes to."""

import asyncio
import itertools

import pytest

from dramaturg.actors.runtime import (
    Actor,
    ActorStoppedError,
    ActorSystem,
    Ask,
    Backoff,
    Broadcast,
    ChildSpec,
    ConsistentHash,
    LeastLoaded,
    Mailbox,
    MailboxFullError,
    ManualClock,
    Message,
    Ref,
    RoundRobin,
    handles,
)
from dramaturg.actors.runtime.routers import Router


class Put(Message):
    key: str


class Who(Ask[str]):
    key: str = ""


class Hang(Ask[str]):
    pass


class Odd(Ask[str]):
    """Answered by /1 alone."""


class Worker(Actor):
    def __init__(self) -> None:
        self.keys: list[str] = []

    @handles
    def put(self, message: Put) -> None:
        self.keys.append(message.key)

    @handles
    def who(self, _: Who) -> str:
        return self.ctx.self.path

    @handles
    def odd(self, message: Odd) -> str:
        if self.ctx.self.path != "/1":
            raise ValueError(message)
        return "/1"

    @handles
    async def hang(self, _: Hang) -> str:
        await asyncio.Event().wait()
        return ""


async def pool(system: ActorSystem, size: int = 3) -> list[Ref]:
    mailbox = Mailbox(capacity=2)
    return [
        await system.spawn(ChildSpec(id=str(i), factory=Worker, mailbox=mailbox))
        for i in range(size)
    ]


def kept(system: ActorSystem) -> list[list[str]]:
    actors = [system.cell(f"/{i}").actor for i in range(3)]
    return [actor.keys for actor in actors if isinstance(actor, Worker)]


@pytest.mark.asyncio
async def test_round_robin_takes_turns() -> None:
    async with ActorSystem() as system:
        router = RoundRobin("/pool", await pool(system))
        for key in "abcde":
            router.tell(Put(key))
        await system.settled()

        assert kept(system) == [["a", "d"], ["b", "e"], ["c"]]
        assert await router.ask(Who()) == "/2"
        await router.offer(Put("f"))
        await system.settled()
        assert kept(system)[0] == ["a", "d", "f"]


@pytest.mark.asyncio
async def test_the_least_loaded_is_found_and_equals_take_turns() -> None:
    async with ActorSystem() as system:
        refs = await pool(system)
        router = LeastLoaded("/pool", refs)
        assert [await router.ask(Who()) for _ in range(4)] == ["/0", "/1", "/2", "/0"]
        refs[1].ask(Hang())
        await system.settled()
        assert [await router.ask(Who()) for _ in range(3)] == ["/2", "/0", "/2"]
        await system.stop(refs[2])

        assert [await router.ask(Who()) for _ in range(2)] == ["/0", "/0"]
        system.kill(refs[1])  # which would be given five seconds to end


@pytest.mark.asyncio
async def test_least_loaded_wants_actors() -> None:
    async with ActorSystem() as system:
        inner = RoundRobin("/inner", await pool(system))

        with pytest.raises(ValueError, match="take no routers"):
            LeastLoaded("/pool", [inner])
        with pytest.raises(TypeError, match="stands for several"):
            await system.stop(inner)


@pytest.mark.asyncio
async def test_the_same_key_goes_to_the_same_routee_in_order() -> None:
    def key(message: Message) -> str:
        return message.key if isinstance(message, Put) else ""

    async with ActorSystem() as system:
        router = ConsistentHash("/pool", await pool(system), key)
        for name in "abcdef":
            for _ in range(3):
                router.tell(Put(name))
                await system.settled()

        found = kept(system)
        assert sorted(itertools.chain(*found)) == sorted("abcdef" * 3)
        for name in "abcdef":
            assert sum(name in keys for keys in found) == 1


@pytest.mark.asyncio
async def test_a_broadcast_reaches_all_even_if_one_is_full() -> None:
    async with ActorSystem() as system:
        refs = await pool(system)
        router = Broadcast("/pool", refs)
        await router.offer(Put("a"))
        await system.settled()
        system.cell("/1").hold()
        refs[1].tell(Put("b"))
        refs[1].tell(Put("c"))
        with pytest.raises(MailboxFullError, match="/1"):
            router.tell(Put("d"))
        system.cell("/1").release()
        await system.settled()

        assert kept(system) == [["a", "d"], ["a", "b", "c"], ["a", "d"]]


@pytest.mark.asyncio
async def test_the_first_answer_to_a_broadcast_counts() -> None:
    async with ActorSystem() as system:
        router = Broadcast("/pool", await pool(system))

        assert await router.ask(Who()) == "/0"
        assert await router.ask(Odd()) == "/1"


@pytest.mark.asyncio
async def test_a_broadcast_nobody_answers_fails_with_the_last_error() -> None:
    async with ActorSystem() as system:
        refs = await pool(system)
        router = Broadcast("/pool", [refs[0], refs[2]])

        with pytest.raises(ValueError, match="Odd"):
            await router.ask(Odd())


def test_a_router_without_routees_is_refused() -> None:
    with pytest.raises(ValueError, match="spawn at least one"):
        RoundRobin("/pool", [])


@pytest.mark.parametrize("kind", [RoundRobin, LeastLoaded, Broadcast, "hash"])
@pytest.mark.asyncio
async def test_a_routee_that_has_stopped_gets_nothing_while_others_live(
    kind: type[RoundRobin | LeastLoaded | Broadcast] | str,
) -> None:
    async with ActorSystem() as system:
        refs = await pool(system)
        router: Router
        if isinstance(kind, str):
            router = ConsistentHash("/pool", refs, lambda message: message.key)  # type: ignore[attr-defined]  # all have one
        else:
            router = kind("/pool", refs)
        moved = [key for key in "abcdefghij" if await router.ask(Who(key)) != "/1"]
        before = [await router.ask(Who(key)) for key in moved]
        await system.stop(refs[1])
        answers = [await router.ask(Who(key)) for key in "abcdefghij"]
        router.tell(Put("x"))
        await router.offer(Put("y"))
        await system.settled()

        assert "/1" not in answers
        assert system.dead_messages.count == 0
        if kind == "hash":  # those of the others have not moved
            assert [await router.ask(Who(key)) for key in moved] == before
        for ref in refs:
            await system.stop(ref)
        assert router.stopped
        with pytest.raises(ActorStoppedError):
            await router.ask(Who("a"))


@pytest.mark.asyncio
async def test_a_routee_that_is_being_restarted_keeps_its_messages() -> None:
    backoff = Backoff(min_s=1.0, jitter=0.0)
    clock = ManualClock()

    async with ActorSystem(clock=clock) as system:
        refs = [
            await system.spawn(ChildSpec(id=str(i), factory=Worker, backoff=backoff))
            for i in range(3)
        ]
        router = ConsistentHash("/pool", refs, lambda message: message.key)  # type: ignore[attr-defined]  # all have one
        home = await router.ask(Who("a"))
        system.kill(system.ref(home))
        for _ in range(3):
            router.tell(Put("a"))
        await system.settled()
        assert kept(system) == [[], []]
        clock.advance(1.0)
        await system.settled()

        actor = system.cell(home).actor
        assert isinstance(actor, Worker)
        assert actor.keys == ["a", "a", "a"]
