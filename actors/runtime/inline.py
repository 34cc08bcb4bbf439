"""Asks that are answered in the asker's turn.

The mailbox of an idle actor is empty, so that order is kept and no turn of the loop is
needed. The same is true where what waits there is what the pump would work off next.
"""

from time import monotonic
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

from .failure import concerns_supervisor
from .inbox import BUSY

if TYPE_CHECKING:
    from .cell import Cell
    from .mailbox import Item, Reply
    from .origin import Origin
    from .pump import Pump

_NESTED: Final = 4
"""An ask from within a handler counts as so many, so that no stack grows too deep."""


def run_inline(
    pump: "Pump",
    cell: "Cell",
    message: Any,
    reply: "Reply",
    origin: "Origin | None",
) -> None:
    """Work off an ask of an idle actor in the asker's turn."""
    outer, outer_origin = pump.current, pump.origin
    left = pump.inline
    nested = outer is not None or pump.within
    pump.inline = left = (left & -_NESTED) - _NESTED if nested else left - 1
    if not left & 7 and monotonic() > pump.until_s:
        pump.inline = 0  # the loop's turn comes first
    box: list[Item] = []
    cell.box = box
    cell.reply = reply
    pump.current = cell
    pump.origin = cell.origin = origin
    concerned = False
    try:
        result = cell.handlers[message.__class__](cell.actor, message)
        if result.__class__ is CoroutineType:
            pump.step(cell, result, message)
        elif cell.reply is reply:
            cell.reply = None
            reply.set_result(result)
    except Exception as error:  # noqa: BLE001 - the supervisor's business
        if nested:
            cell.fail(error, message)
        else:
            concerned = concerns_supervisor(cell, error, message)
    finally:
        pump.current, pump.origin = outer, outer_origin
    cell.handled += 1
    if cell.gate or cell.box is not box or box or cell.batch is not None:
        if not cell.gate & BUSY:
            cell.origin = None
        pump.leave(cell)
        if concerned:
            pump.judge(cell)
    else:  # the common case, in short
        cell.origin = cell.box = None


def hastened(pump: "Pump", cell: "Cell") -> bool:
    """Give `cell` its turn at once if it is the next; tell whether it is idle then.

    The order of turns stays as it is, and a full mailbox full; only the loop has no turn
    in between. Whoever asks from within a handler has to wait: it could be that of the
    same actor.
    """
    ready = pump.ready
    box: Any = cell.box
    if (
        not ready
        or ready[0] is not cell
        or pump.current is not None
        or pump.within
        or cell.gate
        or cell.batch is not None
        or box.__class__ is not list
        or len(box) > pump.budget
        or len(box) >= cell.room
    ):
        return False
    ready.popleft()
    origin, pump.origin = pump.origin, None
    try:
        if len(box) == 1:
            pump.one(cell, box)
            pump.inline -= 1
        elif box:
            pump.inline -= pump.several(cell, box)
    finally:
        pump.origin = origin
    return cell.box is None and pump.inline > 0
