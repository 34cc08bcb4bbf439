"""What the runtime promises holds in any order in which things may happen."""

import asyncio
from random import Random

import pytest

from dramaturg.actors.runtime import (
    Actor,
    ActorError,
    ActorSystem,
    Ask,
    AskTimeoutError,
    Backoff,
    ChildSpec,
    Message,
    Ref,
    SupervisorSpec,
    Terminated,
    handles,
)
from dramaturg.testing import Probe, SeededLoop, run_seeded

NAMES = "abc"
LAST = 10_000


class Echo(Ask[int]):
    n: int


class EchoLater(Ask[int]):
    n: int


class Fail(Message):
    pass


class Frail(Actor):
    """Answers, now or later; fails when told to, and sometimes as it starts."""

    def __init__(self, seen: list[int]) -> None:
        self.seen = seen

    async def pause(self) -> None:
        await asyncio.sleep(self.ctx.random.random() * 0.02)

    async def starting(self) -> None:
        await self.pause()
        if self.ctx.random.random() < 0.1:
            raise ConnectionError("it does not start")

    async def stopping(self) -> None:
        await self.pause()

    async def restarting(self, error: BaseException | None) -> None:
        del error
        await self.pause()

    @handles
    def echo(self, message: Echo) -> int:
        self.seen.append(message.n)
        return message.n

    @handles
    async def echo_later(self, message: EchoLater) -> int:
        self.seen.append(message.n)
        await self.pause()
        return message.n

    @handles
    def fail(self, message: Fail) -> None:
        raise ValueError(message)


def family(chance: Random, seen: dict[str, list[int]]) -> SupervisorSpec:
    def child(name: str) -> ChildSpec:
        return ChildSpec(
            id=name,
            factory=lambda: Frail(seen[name]),
            restart=chance.choice(["permanent", "transient"]),
            backoff=chance.choice([None, Backoff(min_s=0.01, max_s=0.1)]),
        )

    return SupervisorSpec(
        id="family",
        children=[child(name) for name in NAMES],
        strategy=chance.choice(["one_for_one", "one_for_all", "rest_for_one"]),
        restarts_max=1000,
    )


async def disturb(
    system: ActorSystem, refs: list[Ref], chance: Random
) -> dict[int, asyncio.Future[int]]:
    """Ask, tell, kill and wait by chance; return the asks by their numbers."""
    asks: dict[int, asyncio.Future[int]] = {}
    for n in range(40):
        ref = chance.choice(refs)
        match chance.randrange(10):
            case 0 | 1 | 2:
                asks[n] = ref.ask(Echo(n))
            case 3 | 4:
                asks[n] = ref.ask(EchoLater(n))
            case 5 | 6:
                ref.tell(Fail())
            case 7:
                system.kill(ref)
            case _:
                await asyncio.sleep(chance.choice([0, 0.01, 0.05]))
    return asks


async def every_ask_has_its_end(asks: dict[int, asyncio.Future[int]]) -> None:
    for n, ask in asks.items():
        try:
            assert await ask == n
        except AskTimeoutError:
            raise
        except (ActorError, ValueError, ConnectionError):
            pass  # of the failure that it met


async def live() -> str:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SeededLoop)
    chance = loop.new_random()
    seen: dict[str, list[int]] = {name: [] for name in NAMES}
    async with ActorSystem() as system:
        probe = await Probe.spawn(system)
        try:
            top = await system.spawn(family(chance, seen))
        except ConnectionError:
            return "did not start"
        refs = [system.ref(f"{top.path}/{name}") for name in NAMES]
        asks = await disturb(system, refs, chance)
        await every_ask_has_its_end(asks)
        for ref in refs:
            probe.watch(ref)
            assert await ref.ask(Echo(LAST), 10.0) == LAST
        await system.stop(top)
        ends = [await probe.expect(Terminated) for _ in NAMES]
        await probe.expect_nothing(within_s=10)

    assert [end.path[-1] for end in ends] == list(reversed(NAMES))
    assert asyncio.all_tasks() == {asyncio.current_task()}
    for numbers in seen.values():
        assert numbers == sorted(set(numbers)), "once each, in order"
    return "lived"


@pytest.mark.parametrize("tens", range(6))
def test_asks_end_order_is_kept_and_nothing_is_left_behind(tens: int) -> None:
    ends = {
        run_seeded(seed, live, lag_s=0.02) for seed in range(tens * 10, tens * 10 + 10)
    }

    assert "lived" in ends
