"""What a decision about an item may know besides the item."""

from collections.abc import Callable

import msgspec

from ...events.event import Event
from .item import Item, evolve
from .plan import Plan

Events = tuple[Event, ...]


class Moment(msgspec.Struct, frozen=True, gc=False):
    """The plan, the time and the room; handed in, so that decisions stay pure."""

    plan: Plan
    now_us: int
    free: Callable[[str], bool]
    """Tells whether one more attempt of a stage may start now."""


def after(item: Item, *events: Event) -> Item:
    """Return the item after events that have just been decided."""
    for event in events:
        item = evolve(item, event)
    return item
