"""The children of an actor, in the order in which they were started."""

from typing import TYPE_CHECKING

from . import lifecycle
from .cell import Cell
from .context import ActorContext
from .errors import ChildExistsError, SystemClosedError
from .supervisor import RestartAtOnce, Supervision

if TYPE_CHECKING:
    from .spec import ChildSpec


class Children:
    """The cells under a cell, by id."""

    __slots__ = ("_parent", "cells", "closed", "supervision")

    def __init__(self, parent: Cell, supervision: Supervision | None = None) -> None:
        self._parent = parent
        self.cells: dict[str, Cell] = {}
        self.closed = False
        """No more children are taken: the parent is going down."""
        self.supervision = supervision or RestartAtOnce()

    async def spawn(self, spec: "ChildSpec") -> Cell:
        """Start a child and return once it is up. Raises what its start raised."""
        cell = self.add(spec)
        try:
            await lifecycle.start(cell)
        except BaseException as error:
            self.remove(cell)
            cell.bury(error)
            raise
        return cell

    def add(self, spec: "ChildSpec") -> Cell:
        """Make the cell of a child without starting it."""
        parent = self._parent
        path = f"{parent.path.rstrip('/')}/{spec.id}"
        if self.closed:
            raise SystemClosedError(f"{parent.path} is stopping: {path} came too late")
        if spec.id in self.cells:
            raise ChildExistsError(path)
        cell = self.cells[spec.id] = Cell(parent.pump, spec, parent, path)
        assert parent.context is not None
        cell.context = ActorContext(cell, parent.context.system)
        return cell

    def remove(self, cell: Cell) -> None:
        """Forget a child that has stopped."""
        if self.cells.get(cell.spec.id) is cell:
            del self.cells[cell.spec.id]

    async def stop_all(self) -> None:
        """Stop the children, the last started first."""
        self.closed = True
        while self.cells:
            cell = next(reversed(self.cells.values()))
            await lifecycle.stop(cell, None)
            self.remove(cell)
        self.closed = False
