"""Actors of dramaturg, supervised and with bounded mailboxes."""

import asyncio
from typing import ClassVar

from dramaturg.actors.runtime import (
    Actor,
    ActorSystem,
    Ask,
    ChildSpec,
    Mailbox,
    Message,
    Ref,
    handles,
)

from .side import AT_ONCE, BURST, PAIRS, SPREAD, Side


class Add(Message):
    """Add a number."""

    n: int


class Get(Ask[int]):
    """Tell the sum."""


class Send(Message):
    """Tell the other one so often."""

    times: int


class Hop(Message):
    """Go to the other one until none are left."""

    left: int
    done: asyncio.Event


class Counter(Actor):
    """The simplest useful actor."""

    def __init__(self) -> None:
        self.count = 0
        self.other: Ref | None = None

    @handles
    def add(self, message: Add) -> None:
        """Add."""
        self.count += message.n

    @handles
    def get(self, message: Get) -> int:  # noqa: ARG002 - a handler takes its message
        """Tell."""
        return self.count

    @handles
    def send(self, message: Send) -> None:
        """Tell the other one."""
        assert self.other is not None
        add = Add(1)
        for _ in range(message.times):
            self.other.tell(add)

    @handles
    def hop(self, message: Hop) -> None:
        """Pass it on."""
        if message.left and self.other is not None:
            self.other.tell(Hop(message.left - 1, message.done))
        else:
            message.done.set()


class Ours(Side):
    """What is measured."""

    name = "dramaturg"
    works: ClassVar[frozenset[str]] = frozenset(
        {
            "tell",
            "tell_pairs",
            "tell_sparse",
            "ask",
            "ask_at_once",
            "hop",
            "spawn",
        }
    )

    async def open(self) -> None:
        """Enter a system and start the actors."""
        self.system = await ActorSystem().__aenter__()
        self.one, self.two = await self.pair("one", "two")
        self.pairs = [await self.pair(f"from-{n}", f"to-{n}") for n in range(PAIRS)]
        self.spread = [await self.start(f"spread-{n}") for n in range(SPREAD)]
        self.round = 0

    async def start(self, name: str, under: Ref | None = None) -> Ref:
        """Start an actor."""
        spec = ChildSpec(id=name, factory=Counter, mailbox=Mailbox(capacity=100_000))
        return await self.system.spawn(spec, under)

    async def pair(self, one: str, other: str) -> tuple[Ref, Ref]:
        """Start two actors that know one another."""
        refs = await self.start(one), await self.start(other)
        for ref, peer in (refs, refs[::-1]):
            actor = self.system.cell(ref.path).actor
            assert isinstance(actor, Counter)
            actor.other = peer
        return refs

    async def close(self) -> None:
        """Leave the system."""
        await self.system.__aexit__(None, None, None)

    async def tell(self, count: int) -> None:
        """Tell in bursts."""
        message, ref = Add(1), self.one
        for _ in range(count // BURST):
            for _ in range(BURST):
                ref.tell(message)
            await asyncio.sleep(0)
        await ref.ask(Get())

    async def tell_pairs(self, count: int) -> None:
        """Have the pairs tell one another."""
        message = Send(count // PAIRS)
        for sender, _ in self.pairs:
            sender.tell(message)
        for pair in self.pairs:
            for ref in pair:
                await ref.ask(Get())

    async def tell_sparse(self, count: int) -> None:
        """Tell each a message."""
        message = Add(1)
        for _ in range(count // SPREAD):
            for ref in self.spread:
                ref.tell(message)
            await self.spread[-1].ask(Get())

    async def ask(self, count: int) -> None:
        """Ask in turn."""
        message, ref = Get(), self.one
        for _ in range(count):
            await ref.ask(message)

    async def ask_at_once(self, count: int) -> None:
        """Ask many at a time."""
        message, ref = Get(), self.one
        for _ in range(count // AT_ONCE):
            for answer in [ref.ask(message) for _ in range(AT_ONCE)]:
                await answer

    async def hop(self, count: int) -> None:
        """Pass a message to and fro."""
        done = asyncio.Event()
        self.one.tell(Hop(count, done))
        await done.wait()

    async def spawn(self, count: int) -> None:
        """Start actors, each with a spec of its own, under one that will be stopped."""
        self.round += 1
        spec = ChildSpec(id=f"spawned-{self.round}", factory=Actor)
        self.under = await self.system.spawn(spec)
        spawn, under = self.system.spawn, self.under
        for number in range(count):
            await spawn(ChildSpec(id=f"{number}", factory=Counter), under)

    async def clear(self) -> None:
        """Stop them."""
        await self.system.stop(self.under)
