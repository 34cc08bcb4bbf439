"""To the routee that the message's key belongs to."""

from collections.abc import Callable, Sequence

from ..messages import Message
from ..refs import Ref
from .ring import Ring
from .router import OneOf


class ConsistentHash(OneOf):
    """Keeps the order of messages with the same key: one routee gets them all.

    With a routee more or less only about one key in `len(routees)` moves, and so it
    is when a routee has stopped for good.
    """

    __slots__ = ("_by_path", "_key", "_ring")

    def __init__(
        self,
        path: str,
        routees: Sequence[Ref],
        key: Callable[[Message], str | bytes | int],
    ) -> None:
        super().__init__(path, routees)
        self._key = key
        self._by_path = {ref.path: ref for ref in self.routees}
        self._ring = Ring(self._by_path)

    def pick(self, message: Message) -> Ref:
        """Return the routee of the message's key."""
        key = self._key(message)
        first = self._by_path[self._ring.name_for(key)]
        if not first.stopped:
            return first
        routees = (self._by_path[name] for name in self._ring.names_for(key))
        return next((ref for ref in routees if not ref.stopped), first)
