"""What a projection is: a typed fold over the whole log."""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from ..events.log import Recorded

S = TypeVar("S")


class Projection(msgspec.Struct, Generic[S], frozen=True):
    """A question asked of the log: a state, and how each recorded event changes it.

    `apply` is pure but for one freedom that keeps large states quick: it owns the
    state it is given and may change it in place, as long as it returns it. It must
    not fail, and it passes over events that it does not know.

    The state is kept as JSON between runs, so `state` is a type that msgspec can
    encode and decode, such as a struct. `version` goes up whenever `apply` or the
    meaning of the state changes; what older code kept is then built anew.
    """

    name: str
    """What its checkpoint is kept under."""
    state: type[S]
    initial: Callable[[], S]
    """A new state, as it is before the first event."""
    apply: Callable[[S, Recorded], S]
    version: int = 1
