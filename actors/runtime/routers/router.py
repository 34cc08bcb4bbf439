"""A reference that stands for several actors."""

from abc import abstractmethod
from asyncio import Future
from collections.abc import Sequence
from typing import TypeVar

from ..messages import Ask, Message
from ..origin import Origin
from ..refs import Ref

A = TypeVar("A")


class Router(Ref):
    """Passes messages on to its routees, in the sender's own turn.

    Routing happens in the reference: there is no actor in between that costs a hop
    or becomes a bottleneck, and the routees' mailboxes bound what waits. Spawn the
    routees under one supervisor; their references survive restarts, so a router
    never changes. A routee that is down for a while gets its messages all the same;
    one that has stopped for good gets none, unless all have.
    """

    __slots__ = ("_path", "routees")

    def __init__(self, path: str, routees: Sequence[Ref]) -> None:
        if not routees:
            message = f"router {path} has no routees: spawn at least one"
            raise ValueError(message)
        self._path = path
        self.routees = tuple(routees)

    @property
    def path(self) -> str:
        """What it is called; there is no actor of this name."""
        return self._path

    @property
    def stopped(self) -> bool:
        """Whether all routees have stopped for good."""
        return all(ref.stopped for ref in self.routees)


class OneOf(Router):
    """Chooses one routee for each message."""

    __slots__ = ()

    @abstractmethod
    def pick(self, message: Message) -> Ref:
        """Return the routee for `message`."""

    def tell(self, message: Message, origin: Origin | None = None) -> None:
        """Tell the routee of the moment; raises what that raises."""
        self.pick(message).tell(message, origin=origin)

    def ask(
        self,
        message: Ask[A],
        timeout_s: float = 5.0,
        origin: Origin | None = None,
    ) -> Future[A]:
        """Ask the routee of the moment."""
        return self.pick(message).ask(message, timeout_s, origin=origin)

    async def offer(self, message: Message, origin: Origin | None = None) -> None:
        """Wait until the routee of the moment has room, then tell."""
        await self.pick(message).offer(message, origin=origin)
