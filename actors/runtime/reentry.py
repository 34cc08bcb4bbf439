"""Messages that an actor takes while a handler of its own is suspended.

Only classes whose handler is marked `@handles(reentrant=True)` are taken so, one after
the other, in the order in which they came; they overtake what else waits. Their handlers
are synchronous: two suspended handlers of one actor would be threads by another name.

While such an actor is busy its `room` is below 0, so that senders come by `overflow`
and every other actor pays nothing for this.
"""

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from .handlers import is_reentrant
from .inbox import HELD
from .mailbox import Item, opened

if TYPE_CHECKING:
    from .cell import Cell

LATCHED = -(1 << 60)
"""The `room` of a mailbox whose every message is looked at: none is ever so short of
it, however much of the runtime's own is put before what waits."""


def latch(cell: "Cell") -> None:
    """Look at what waits and at what comes: a handler of `cell` has suspended."""
    cell.room = LATCHED
    if cell.depth:
        waiting = list(chain(cell.batch or (), cell.box or ()))  # type: ignore[arg-type]  # it is busy, so it has not stopped
        rest = [item for item in waiting if not taken(cell, item)]
        if len(rest) < len(waiting):
            cell.take_all()
            cell.batch = iter(rest)


def unlatch(cell: "Cell") -> None:
    """Take messages as usual: the handler has ended."""
    cell.room = cell.spec.mailbox.capacity - cell.depth + len(cell.box or ())


def taken(cell: "Cell", item: Item) -> bool:
    """Have `item` worked off beside the suspended handler, if its class is reentrant."""
    message = item[0] if isinstance(item, tuple) else item
    if not is_reentrant(cell.handlers[type(message)]):
        return False
    if len(cell.signals or ()) >= cell.spec.mailbox.capacity:
        return False  # it waits like any other, and the bound is looked at
    cell.signal(partial(_work_off, cell, item))
    return True


def _work_off(cell: "Cell", item: Item) -> None:
    """Run the handler of `item`, and leave the suspended one as it was."""
    if cell.gate & HELD:  # it failed or stops: the message shares the mailbox's fate
        cell.put_first([item])
        return
    message, reply, origin = opened(item)
    pump = cell.pump
    outer = cell.reply, cell.origin, cell.asking
    cell.reply, cell.origin, cell.asking = reply, origin, None
    pump.current, pump.origin = cell, origin
    try:
        cell.answer(cell.handlers[type(message)](cell.actor, message), message)
    except Exception as error:  # noqa: BLE001 - the supervisor's business
        cell.fail(error, message)
    finally:
        pump.current = pump.origin = None
        cell.reply, cell.origin, cell.asking = outer
        cell.handled += 1
