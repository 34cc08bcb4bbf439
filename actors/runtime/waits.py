"""Who waits for whose answer: a circle would wait for ever."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .cell import Cell


def waits_for(one: "Cell", other: "Cell") -> bool:
    """Tell whether a handler at work in `one` waits, however indirectly, for `other`."""
    seen: set[Cell] = set()
    todo = [one]
    while todo:
        cell = todo.pop()
        if cell is other:
            return True
        if cell not in seen and cell.asking:
            seen.add(cell)
            todo += [target for target, reply in cell.asking if not reply.done()]
    return False
