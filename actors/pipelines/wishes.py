"""What is decided when somebody wants an item paused, resumed, cancelled, redriven."""

from ...events.pipelines import (
    CancelRequested,
    Paused,
    Resumed,
    StuckResolved,
)
from . import rollback
from .errors import ItemStateError
from .item import Item
from .messages import CancelItem, PauseItem, ResolveItem, ResumeItem
from .moment import Events, Moment, after

FULL = "the dead letter queue is full"
"""Why an item is paused that is not admitted as a dead letter."""
OPEN = frozenset({"waiting", "running", "waiting_to_retry", "paused"})


def pause(item: Item, wish: PauseItem, moment: Moment) -> Events:
    """Start no further attempt; a running one goes on to its end."""
    del moment
    if item.place not in OPEN:
        raise ItemStateError(item.id, item.place, "paused")
    return () if item.paused else (Paused(reason=wish.reason),)


def resume(item: Item, wish: ResumeItem, moment: Moment) -> Events:
    """Let the item go on; it starts as soon as there is room."""
    del moment
    if item.place not in OPEN:
        raise ItemStateError(item.id, item.place, "resumed")
    return (Resumed(reason=wish.reason),) if item.paused else ()


def cancel(item: Item, wish: CancelItem, moment: Moment) -> Events:
    """Turn the item around; a running attempt is stopped first."""
    if item.place not in OPEN:
        raise ItemStateError(item.id, item.place, "cancelled")
    if item.back == "cancelled":
        return ()
    asked = CancelRequested(reason=wish.reason)
    turned = after(item, asked)
    if turned.phase == "running" or turned.undoing:
        return (asked,)
    return (asked, *rollback.go_on(turned, moment))


def resolve(item: Item, wish: ResolveItem, moment: Moment) -> Events:
    """Let a stuck item go on as a person decided."""
    if item.place != "stuck":
        raise ItemStateError(item.id, item.place, "resolved")
    resolved = StuckResolved(choice=wish.choice, reason=wish.reason)
    return (resolved, *rollback.go_on(after(item, resolved), moment))


def refuse_room(item: Item, moment: Moment) -> Events:
    """Keep an item, that cannot become a dead letter yet, paused and visible."""
    if not rollback.owes_question(item, moment):
        return ()
    return (Paused(reason=FULL),)


def give_room(item: Item, moment: Moment) -> Events:
    """Give an item up for which the dead letter queue has room."""
    resumed: Events = ()
    if waits_for_room(item):
        resumed = (Resumed(reason="the dead letter queue has room again"),)
    item = after(item, *resumed)
    if not rollback.owes_question(item, moment):
        return ()
    return (*resumed, *rollback.end(item, moment))


def waits_for_room(item: Item) -> bool:
    """Tell whether it was not a person who paused the item but a full queue."""
    return item.paused and item.reason == FULL
