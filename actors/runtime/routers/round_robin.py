"""To each routee in turn."""

from collections.abc import Sequence
from itertools import cycle

from ..messages import Message
from ..refs import Ref
from .router import OneOf


class RoundRobin(OneOf):
    """Hands messages out evenly, whatever they cost."""

    __slots__ = ("_next",)

    def __init__(self, path: str, routees: Sequence[Ref]) -> None:
        super().__init__(path, routees)
        self._next = cycle(self.routees).__next__

    def pick(self, message: Message) -> Ref:  # noqa: ARG002 - its turn is what counts
        """Return the next in turn that has not stopped."""
        for _ in self.routees:
            ref = self._next()
            if not ref.stopped:
                return ref
        return self._next()
