"""What a decision about an item may know besides the item."""

from collections.abc import Callable

import msgspec

from ...events.event import Event
from .item import Item, evolve
from .plan import Plan

Events = tuple[Event, ...]


class Moment(msgspec.Struct, frozen=True):
    """The plan, the time and the room; handed in, so that decisions stay pure."""

    plan: Plan
    now_us: int
    room: Callable[[str, str], bool]
    """Tells whether an attempt of a stage may start once one at another is over."""
    leaving: str = ""
    """The stage of which an attempt is over with this decision; empty: of none."""

    def free(self, stage: str) -> bool:
        """Tell whether one more attempt of a stage may start now."""
        return self.room(stage, self.leaving)


def after(item: Item, *events: Event) -> Item:
    """Return the item after events that have just been decided."""
    for event in events:
        item = evolve(item, event)
    return item
