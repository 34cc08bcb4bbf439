"""Messages put aside until the actor can deal with them."""

from typing import TYPE_CHECKING

from .errors import StashFullError
from .mailbox import Item
from .messages import Message

if TYPE_CHECKING:
    from .cell import Cell


def put_aside(cell: "Cell", message: Message) -> None:
    """Keep the message at work for later, with whoever waits for its answer.

    At most as many as the mailbox may hold. A restart puts them back into the
    mailbox, a stop makes them dead messages.
    """
    stash = cell.extras.stash
    if stash is None:
        stash = cell.own_extras().stash = []
    if len(stash) >= cell.spec.mailbox.capacity:
        raise StashFullError(cell.path, len(stash))
    reply, cell.reply = cell.reply, None
    origin = cell.pump.origin or cell.origin
    item: Item = message
    if reply is not None or origin is not None:
        item = (message, reply, origin)
    stash.append(item)


def put_back(cell: "Cell") -> None:
    """Put what was kept before all that waits, in the order in which it came."""
    stash = taken_back(cell)
    if stash:
        cell.put_first(stash)


def taken_back(cell: "Cell") -> list[Item]:
    """Empty the stash and return what was in it."""
    stash = cell.extras.stash
    if stash is None:
        return []
    cell.extras.stash = None
    return stash
