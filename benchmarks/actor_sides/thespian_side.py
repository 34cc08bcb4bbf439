"""Thespian: in one process its actors run one after the other in the asker's thread."""

from typing import Any, ClassVar

from .side import SPREAD, Side, package

WAIT_S = 10


class ThespianSide(Side):
    """Thespian's `simpleSystemBase`: no process per actor, hence its fastest form."""

    name = "thespian"
    works: ClassVar[frozenset[str]] = frozenset(
        {"tell", "tell_sparse", "ask", "hop", "spawn"}
    )
    share = 10

    def __init__(self) -> None:
        package("thespian.actors")
        self.counter = _counter(package("thespian.actors"))

    async def open(self) -> None:
        """Start the actors."""
        self.system = package("thespian.actors").ActorSystem("simpleSystemBase")
        self.one = self.system.createActor(self.counter)
        self.two = self.system.createActor(self.counter)
        self.system.tell(self.one, ("other", self.two))
        self.system.tell(self.two, ("other", self.one))
        self.spread = [self.system.createActor(self.counter) for _ in range(SPREAD)]
        self.spawned: list[Any] = []

    async def close(self) -> None:
        """End the system."""
        self.system.shutdown()

    async def tell(self, count: int) -> None:
        """Tell; each message is worked off at once."""
        for _ in range(count):
            self.system.tell(self.one, 1)
        self.system.ask(self.one, "get", WAIT_S)

    async def tell_sparse(self, count: int) -> None:
        """Tell each a message, as often as `count` allows."""
        for _ in range(max(1, count // SPREAD)):
            for ref in self.spread:
                self.system.tell(ref, 1)

    async def ask(self, count: int) -> None:
        """Ask in turn."""
        for _ in range(count):
            self.system.ask(self.one, "get", WAIT_S)

    async def hop(self, count: int) -> None:
        """Pass a message to and fro."""
        self.system.tell(self.one, ("hop", count))

    async def spawn(self, count: int) -> None:
        """Start actors, and have each answer: they are made when first needed."""
        for _ in range(count):
            ref = self.system.createActor(self.counter)
            self.spawned.append(ref)

    async def clear(self) -> None:
        """Stop them."""
        for ref in self.spawned:
            self.system.tell(ref, package("thespian.actors").ActorExitRequest())
        self.spawned.clear()


def _counter(thespian: Any) -> Any:
    class Counter(thespian.Actor):  # type: ignore[misc]  # its package may be absent
        def __init__(self) -> None:
            self.count = 0
            self.other: Any = None

        def receiveMessage(self, message: Any, sender: Any) -> None:  # noqa: N802 - its name
            if message == 1:
                self.count += 1
            elif message == "get":
                self.send(sender, self.count)
            elif message.__class__ is tuple:
                self.pair(*message)

        def pair(self, kind: str, value: Any) -> None:
            if kind == "other":
                self.other = value
            elif value:
                self.send(self.other, ("hop", value - 1))

    return Counter
