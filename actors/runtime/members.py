"""A family as its supervisor's policy sees it."""

from collections.abc import Container, Iterator, Mapping
from typing import TYPE_CHECKING

from .supervision import Child

if TYPE_CHECKING:
    from .cell import Cell


class Members(Mapping[str, Child]):
    """The children as the policy sees them, made up only where it looks."""

    __slots__ = ("_attempts", "_cells", "_ended")

    def __init__(
        self,
        cells: "Mapping[str, Cell]",
        attempts: Mapping[str, int],
        ended: Container[str],
    ) -> None:
        self._cells = cells
        self._attempts = attempts
        self._ended = ended

    def __getitem__(self, name: str) -> Child:
        """Describe one child."""
        cell = self._cells[name]
        attempt = self._attempts.get(name, 0)
        return Child(cell.spec, cell.started_s, attempt, name in self._ended)

    def __iter__(self) -> Iterator[str]:
        """Name them in start order."""
        return iter(self._cells)

    def __len__(self) -> int:
        """Count them."""
        return len(self._cells)
