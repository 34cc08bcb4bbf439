"""The children of an actor, in the order in which they were started."""

from typing import TYPE_CHECKING, Final

from . import lifecycle
from .cell import Cell, new_cell
from .errand import together
from .errors import ChildExistsError, SystemClosedError, TreeTooDeepError
from .keeper import Supervision
from .spec import SupervisorSpec

if TYPE_CHECKING:
    from .spec import AnySpec

_TAKES_CHILDREN: Final = frozenset({"starting", "running", "failed", "suspended"})
"""In these states a cell will stop its children before it goes down."""


DEPTH_MAX: Final = 100
"""Levels of a tree. A stop, and a start of supervisors with their children, goes down
through all of them at once, four frames of Python's stack for each."""


class Children:
    """The cells under a cell, by id."""

    __slots__ = ("cells", "depth", "parent", "prefix", "supervision")

    def __init__(self, parent: Cell) -> None:
        above = None if parent.parent is None else parent.parent.children
        self.depth: int = 1 if above is None else above.depth + 1
        """How many levels of actors there are down to these."""
        if self.depth > DEPTH_MAX:
            raise TreeTooDeepError(parent.path, DEPTH_MAX)
        self.parent = parent
        self.prefix = f"{parent.path.rstrip('/')}/"
        """What the paths of the children begin with."""
        self.cells: dict[str, Cell] = {}
        self.supervision = Supervision(self)

    def add(self, spec: "AnySpec") -> Cell:
        """Make the cell of a child without starting it."""
        name = spec.id
        parent = self.parent
        cells = self.cells
        if parent.state != "running" and parent.state not in _TAKES_CHILDREN:
            path = self.prefix + name
            raise SystemClosedError(f"{parent.path} is {parent.state}: no {path} now")
        if name in cells and not cells[name].stopped:
            raise ChildExistsError(self.prefix + name)
        cell = new_cell(parent.pump, spec, parent)
        if type(spec) is SupervisorSpec:
            cell.own_extras().children = Children(cell)
        cells[name] = cell
        return cell

    def renew(self, cell: Cell) -> Cell:
        """Make a new cell in the place of one that has stopped."""
        return self.add(cell.spec)

    def remove(self, cell: Cell) -> None:
        """Forget a child that has stopped, unless it keeps its place in its group."""
        name = cell.spec.id
        if self.cells.get(name) is cell and not self.supervision.keeps(name):
            del self.cells[name]
            self.supervision.forget(name)

    async def stop_all(self) -> None:
        """Stop the children, the last started first.

        Those of a dynamic supervisor are told at once and awaited together, as in
        OTP: they may be many, and none stands on another.
        """
        self.supervision.close()
        if self.supervision.unordered:
            living = reversed(self.cells.values())
            await together(self.parent, [self._stop(cell) for cell in living])
        while self.cells:  # looking for the last anew each time would take n**2
            for cell in reversed(tuple(self.cells.values())):
                await self._stop(cell)

    async def _stop(self, cell: Cell) -> None:
        await lifecycle.stop(cell, cell.error if cell.state == "failed" else None)
        self.remove(cell)
