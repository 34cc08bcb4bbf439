"""A look at the actors of a running system."""

from collections import deque
from typing import TYPE_CHECKING

from ...events.actors import ActorCount

if TYPE_CHECKING:
    from ..runtime import ActorSystem
    from ..runtime.cell import Cell


def counted(
    system: "ActorSystem",
    actors_max: int,
) -> tuple[dict[str, ActorCount], int]:
    """Return the actors by path, those nearest the root first, and how many more.

    Of what lies below actors that are left out nobody is counted.
    """
    found: dict[str, ActorCount] = {}
    todo: deque[Cell] = deque([system.root])
    while todo and len(found) < actors_max:
        cell = todo.popleft()
        found[cell.path] = _count(cell)
        if cell.children is not None:
            todo += cell.children.cells.values()
    return found, len(todo)


def _count(cell: "Cell") -> ActorCount:
    return ActorCount(
        path=cell.path,
        kind="" if cell.actor is None else type(cell.actor).__name__,
        state=cell.state,
        depth=cell.depth,
        capacity=cell.spec.mailbox.capacity,
        dropped=cell.dropped,
        handled=cell.handled,
        restarts=cell.restarts,
    )
