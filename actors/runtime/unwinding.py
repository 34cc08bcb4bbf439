"""Taking back what was decided, when a key turns out to be taken or the log is gone."""

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...events.log import Appended, KeyTakenError, StreamAppend
from .mailbox import Item, refuse
from .outbox import Entry

if TYPE_CHECKING:
    from .cell import Cell


def unwound(
    outbox: deque[Entry],
    put_back: Callable[[str, Any, int], None],
    apply: Callable[[StreamAppend], None],
    actor: str,
) -> tuple[list[Item], int]:
    """Take back a decision whose key was taken, and what stands on it.

    All outcomes must be known. Of the later decisions those that are durable stay in
    the outbox, the others are to be decided anew: their commands are returned, and how
    many events they had.
    """
    entries = list(outbox)
    outbox.clear()
    for entry in reversed(entries):
        for *_, before in reversed(entry.made):
            for known in reversed(before):
                put_back(*known)
    again: list[Item] = []
    events = 0
    for entry in entries:
        outcome = entry.outcome
        if outcome.__class__ is Appended and entry.events:
            for append in entry.appends:
                apply(append)
            outbox.append(entry)
            continue
        events += entry.events
        if isinstance(outcome, KeyTakenError):
            entry.say_taken(outcome, actor)
        else:
            again += entry.items
    return again, events


def refuse_asks(cell: "Cell", error: Callable[[], Exception]) -> None:
    """Answer the asks that wait in a mailbox; what was told waits on."""
    told: list[Item] = []
    for item in cell.take_all():
        if isinstance(item, tuple) and item[1] is not None:
            refuse(item[1], error())
        else:
            told.append(item)
    cell.put_first(told)
