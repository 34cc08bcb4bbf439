"""The floor: tasks that work off an asyncio.Queue each."""

import asyncio
from typing import Any, ClassVar

from .ours import Add, Hop, Send
from .side import AT_ONCE, BURST, PAIRS, SPREAD, Side


class Worker:
    """A task and its queue."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Any] = asyncio.Queue(100_000)
        self.count = 0
        self.other: Worker | None = None
        self.task = asyncio.get_running_loop().create_task(self.run())

    async def run(self) -> None:
        """Work off the queue."""
        while True:
            message = await self.queue.get()
            if isinstance(message, Add):
                self.count += message.n
            elif isinstance(message, Hop):
                self.hop(message)
            elif isinstance(message, Send):
                self.send(message)
            else:
                message.set_result(self.count)

    def hop(self, message: Hop) -> None:
        """Pass it on."""
        if message.left and self.other is not None:
            self.other.queue.put_nowait(Hop(message.left - 1, message.done))
        else:
            message.done.set()

    def send(self, message: Send) -> None:
        """Tell the other one."""
        assert self.other is not None
        add = Add(1)
        for _ in range(message.times):
            self.other.queue.put_nowait(add)

    def ask(self) -> "asyncio.Future[int]":
        """Queue a future."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.queue.put_nowait(future)
        return future


def pair() -> tuple[Worker, Worker]:
    """Start two that know one another."""
    one, other = Worker(), Worker()
    one.other, other.other = other, one
    return one, other


class Plain(Side):
    """asyncio.Queue and a task."""

    name = "queue_and_task"
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
        """Start the tasks."""
        self.one, self.two = pair()
        self.pairs = [pair() for _ in range(PAIRS)]
        self.spread = [Worker() for _ in range(SPREAD)]
        self.spawned: list[Worker] = []

    async def close(self) -> None:
        """Cancel the tasks."""
        both = [each for two in (*self.pairs, (self.one, self.two)) for each in two]
        await ended([*both, *self.spread])

    async def tell(self, count: int) -> None:
        """Tell in bursts."""
        message, queue = Add(1), self.one.queue
        for _ in range(count // BURST):
            for _ in range(BURST):
                queue.put_nowait(message)
            await asyncio.sleep(0)
        await self.one.ask()

    async def tell_pairs(self, count: int) -> None:
        """Have the pairs tell one another."""
        message = Send(count // PAIRS)
        for sender, _ in self.pairs:
            sender.queue.put_nowait(message)
        for two in self.pairs:
            for each in two:
                await each.ask()

    async def tell_sparse(self, count: int) -> None:
        """Tell each a message."""
        message = Add(1)
        for _ in range(count // SPREAD):
            for each in self.spread:
                each.queue.put_nowait(message)
            await self.spread[-1].ask()

    async def ask(self, count: int) -> None:
        """Ask in turn."""
        ask = self.one.ask
        for _ in range(count):
            await ask()

    async def ask_at_once(self, count: int) -> None:
        """Ask many at a time."""
        ask = self.one.ask
        for _ in range(count // AT_ONCE):
            for answer in [ask() for _ in range(AT_ONCE)]:
                await answer

    async def hop(self, count: int) -> None:
        """Pass a message to and fro."""
        done = asyncio.Event()
        self.one.queue.put_nowait(Hop(count, done))
        await done.wait()

    async def spawn(self, count: int) -> None:
        """Start tasks, and have them get to where they wait."""
        for _ in range(count):
            self.spawned.append(Worker())
        await asyncio.sleep(0)

    async def clear(self) -> None:
        """Cancel them."""
        await ended(self.spawned)
        self.spawned.clear()


async def ended(workers: list[Worker]) -> None:
    """Cancel tasks and wait for their ends."""
    for each in workers:
        each.task.cancel()
    await asyncio.gather(*[each.task for each in workers], return_exceptions=True)
