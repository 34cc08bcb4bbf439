"""What stands in the tree of actors, and how it fares."""

import msgspec

from .cell import Cell


class ActorInfo(msgspec.Struct, frozen=True):
    """One actor at one moment, with its children in start order."""

    path: str
    kind: str
    """The name of its class; empty while it is down."""
    state: str
    depth: int
    """Messages that wait."""
    capacity: int
    """How many may."""
    dropped: int
    """Messages that found the mailbox full: dropped, or refused to the sender."""
    busy: bool
    """Whether a handler is suspended."""
    handled: int
    """Messages worked off so far, over all restarts; the difference of two looks is
    the rate."""
    restarts: int
    failure: str
    """What it last failed of; empty: it never did."""
    started_s: float
    """When it was last started, on the system's monotonic clock."""
    watchers: int
    children: "tuple[ActorInfo, ...]" = ()


def describe(cell: Cell) -> ActorInfo:
    """Describe `cell` and all below it."""
    cells = () if cell.children is None else cell.children.cells.values()
    return ActorInfo(
        path=cell.path,
        kind="" if cell.actor is None else type(cell.actor).__name__,
        state=cell.state,
        depth=cell.depth,
        capacity=cell.spec.mailbox.capacity,
        dropped=cell.dropped,
        busy=cell.busy,
        handled=cell.handled,
        restarts=cell.restarts,
        failure="" if cell.error is None else repr(cell.error),
        started_s=cell.started_s,
        watchers=len(cell.extras.watchers or ()),
        children=tuple(describe(each) for each in cells),
    )
