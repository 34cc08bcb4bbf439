"""How the events of one stream become a state: what actors and projections share."""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from .event import Erased, Event

S = TypeVar("S")


class Fold(msgspec.Struct, Generic[S], frozen=True):
    """The pure fold of one kind of stream.

    An actor lives by it, recovery replays it and time travel shows it, so the
    three cannot disagree. `version` goes up whenever the meaning of a stored
    state changes; snapshots of other versions are then ignored.
    """

    kind: str
    """The stream's name up to its first slash."""
    state: type[S]
    """The class of the state, by which snapshots are decoded."""
    initial: Callable[[str], S]
    """The state of a stream, given its name, before its first event."""
    evolve: Callable[[S, Event], S]
    version: int = 1
    erased: Callable[[S, Erased], S] | None = None
    """What an event comes to whose data was erased; None: the state stays as it is."""

    def step(self, state: S, event: Event | Erased) -> S:
        """Return the state after an event, also after one that was erased."""
        if not isinstance(event, Erased):
            return self.evolve(state, event)
        return state if self.erased is None else self.erased(state, event)
