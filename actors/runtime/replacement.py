"""A restart that takes no time: a new instance in the turn in which the old one failed."""

from . import lifecycle
from .cell import Cell
from .errand import go
from .inbox import BUSY


def replaced(cell: Cell) -> bool:
    """Do what `lifecycle.restart` does at once, if nothing that goes down takes time.

    Most actors that fail have no children, no journal and no `restarting`; a change
    and its coroutines would be most of what their restart costs. `cell` is held.
    Returns false, and nothing is done, for all others.
    """
    actor, extras = cell.actor, cell.own_extras()
    if (
        actor is None
        or cell.change is not None
        or extras.journal is not None
        or extras.children is not None
        or cell.gate & BUSY
        or "restarting" in actor.hooks
    ):
        return False
    lifecycle.clear_extras(cell, for_good=False)
    cell.actor = None
    cell.state = "down"
    extras.restarts += 1
    try:
        up = lifecycle.make(cell)
    except Exception as failure:  # noqa: BLE001 - the supervisor's business
        lifecycle.not_started(cell, failure)
        return True
    if up:
        lifecycle.restarted(cell)
    else:
        go(cell, lifecycle.start_again(cell, made=True))
    return True
