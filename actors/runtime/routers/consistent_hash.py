"""To the routee that the message's key belongs to."""

from collections.abc import Callable, Sequence

from ..messages import Message
from ..refs import Ref
from .ring import Ring
from .router import OneOf


class ConsistentHash(OneOf):
    """Keeps the order of messages with the same key: one routee gets them all.

    With a routee more or less only about one key in `len(routees)` moves.
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
        return self._by_path[self._ring.name_for(self._key(message))]
