"""xoscar: actors in one asyncio process, its calls compiled by Cython."""

import asyncio
from typing import Any, ClassVar

from .side import AT_ONCE, PAIRS, SPREAD, Side, package


class XoscarSide(Side):
    """xoscar's stateless actors by local references, which are its fastest form."""

    name = "xoscar"
    works: ClassVar[frozenset[str]] = frozenset(
        {"tell", "tell_pairs", "tell_sparse", "ask", "ask_at_once", "spawn"}
    )
    share = 10

    def __init__(self) -> None:
        self.xoscar = package("xoscar")
        self.counter = _counter(self.xoscar)

    async def open(self) -> None:
        """Start a pool in this process, and the actors."""
        self.pool = await self.xoscar.create_actor_pool("127.0.0.1:0", n_process=0)
        self.address = self.pool.external_address
        self.one = await self.start("one")
        self.pairs = [
            (await self.start(f"from-{n}"), await self.start(f"to-{n}"))
            for n in range(PAIRS)
        ]
        for sender, receiver in self.pairs:
            await sender.meet(receiver)
        self.spread = [await self.start(f"spread-{n}") for n in range(SPREAD)]
        self.spawned: list[Any] = []

    async def start(self, name: str) -> Any:
        """Start an actor and return a local reference."""
        await self.xoscar.create_actor(self.counter, address=self.address, uid=name)
        return await self.xoscar.actor_ref(self.address, name)

    async def close(self) -> None:
        """End the pool."""
        await self.pool.stop()

    async def tell(self, count: int) -> None:
        """Tell, and wait until all is worked off."""
        for _ in range(count):
            await self.one.add.tell(1)
        await self.one.get()

    async def tell_pairs(self, count: int) -> None:
        """Have the pairs tell one another."""
        times = count // PAIRS
        await asyncio.gather(*[sender.send(times) for sender, _ in self.pairs])
        for _, receiver in self.pairs:
            await receiver.get()

    async def tell_sparse(self, count: int) -> None:
        """Tell each a message, as often as `count` allows."""
        for _ in range(max(1, count // SPREAD)):
            for ref in self.spread:
                await ref.add.tell(1)
            await self.spread[-1].get()

    async def ask(self, count: int) -> None:
        """Ask in turn."""
        for _ in range(count):
            await self.one.get()

    async def ask_at_once(self, count: int) -> None:
        """Ask many at a time."""
        for _ in range(count // AT_ONCE):
            await asyncio.gather(*[self.one.get() for _ in range(AT_ONCE)])

    async def spawn(self, count: int) -> None:
        """Start actors."""
        for number in range(count):
            name = f"spawned-{number}"
            ref = await self.xoscar.create_actor(
                self.counter, address=self.address, uid=name
            )
            self.spawned.append(ref)

    async def clear(self) -> None:
        """Stop them."""
        for ref in self.spawned:
            await self.xoscar.destroy_actor(ref)
        self.spawned.clear()


def _counter(xoscar: Any) -> Any:
    class Counter(xoscar.StatelessActor):  # type: ignore[misc]  # its package may be absent
        def __init__(self) -> None:
            self.count = 0
            self.other: Any = None

        def add(self, n: int) -> None:
            self.count += n

        def get(self) -> int:
            return self.count

        def meet(self, other: Any) -> None:
            self.other = other

        async def send(self, times: int) -> None:
            for _ in range(times):
                await self.other.add.tell(1)

    return Counter
