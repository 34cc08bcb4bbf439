"""Pykka: an actor is a thread. Its CPU time is that of all threads together."""

import threading
from typing import Any, ClassVar

from .side import AT_ONCE, PAIRS, SPREAD, Side, package


class PykkaSide(Side):
    """Pykka's `ThreadingActor` with `on_receive`, which is its fastest form."""

    name = "pykka"
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
    share = 10

    def __init__(self) -> None:
        self.pykka = package("pykka")
        self.counter = _counter(self.pykka)

    async def open(self) -> None:
        """Start the actors."""
        self.one, self.two = self.pair()
        self.pairs = [self.pair() for _ in range(PAIRS)]
        self.spread = [self.counter.start() for _ in range(SPREAD)]
        self.spawned: list[Any] = []

    def pair(self) -> tuple[Any, Any]:
        """Start two that know one another."""
        one, other = self.counter.start(), self.counter.start()
        one.tell(("meet", other))
        other.tell(("meet", one))
        return one, other

    async def close(self) -> None:
        """Stop all actors."""
        self.pykka.ActorRegistry.stop_all()

    async def tell(self, count: int) -> None:
        """Tell, and wait until all is worked off."""
        for _ in range(count):
            self.one.tell(1)
        self.one.ask("get")

    async def tell_pairs(self, count: int) -> None:
        """Have the pairs tell one another."""
        for sender, _ in self.pairs:
            sender.tell(("send", count // PAIRS))
        for pair in self.pairs:
            for ref in pair:
                ref.ask("get")

    async def tell_sparse(self, count: int) -> None:
        """Tell each a message, as often as `count` allows."""
        for _ in range(max(1, count // SPREAD)):
            done = threading.Semaphore(0)
            for ref in self.spread:
                ref.tell(("done", done))
            for _ in self.spread:
                done.acquire()

    async def ask(self, count: int) -> None:
        """Ask in turn."""
        for _ in range(count):
            self.one.ask("get")

    async def ask_at_once(self, count: int) -> None:
        """Ask many at a time."""
        for _ in range(count // AT_ONCE):
            for answer in [self.one.ask("get", block=False) for _ in range(AT_ONCE)]:
                answer.get()

    async def hop(self, count: int) -> None:
        """Pass a message to and fro."""
        done = threading.Event()
        self.one.tell(("hop", count, done))
        done.wait()

    async def spawn(self, count: int) -> None:
        """Start actors."""
        for _ in range(count):
            self.spawned.append(self.counter.start())

    async def clear(self) -> None:
        """Stop them."""
        for ref in self.spawned:
            ref.stop(block=False)
        for ref in self.spawned:
            ref.actor_stopped.wait()
        self.spawned.clear()


def _counter(pykka: Any) -> Any:  # noqa: C901 - a class made once its base is there
    class Counter(pykka.ThreadingActor):  # type: ignore[misc]  # its package may be absent
        use_daemon_thread = True

        def __init__(self) -> None:
            super().__init__()  # pyright: ignore[reportUnknownMemberType]  # likewise
            self.count = 0
            self.other: Any = None

        def on_receive(self, message: Any) -> Any:
            if message == 1:
                self.count += 1
            elif message == "get":
                return self.count
            else:
                kind, *rest = message
                getattr(self, kind)(*rest)
            return None

        def done(self, done: threading.Semaphore) -> None:
            done.release()

        def send(self, times: int) -> None:
            for _ in range(times):
                self.other.tell(1)

        def meet(self, other: Any) -> None:
            self.other = other

        def hop(self, left: int, done: threading.Event) -> None:
            if left:
                self.other.tell(("hop", left - 1, done))
            else:
                done.set()

    return Counter
