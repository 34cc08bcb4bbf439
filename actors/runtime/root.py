"""Who hears of the failure of the actor above all others."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .cell import Cell
    from .system import ActorSystem


class Root:
    """Stands above the root of a system and ends the system with it."""

    def __init__(self, system: "ActorSystem") -> None:
        self._system = system

    def failed(self, root: "Cell", error: BaseException) -> None:  # noqa: ARG002 - there is one root
        """End the system's block with the error."""
        self._system.stop_with(error)

    def exited(self, root: "Cell") -> None:  # noqa: ARG002 - there is one root
        """End the system's block in an orderly way."""
        self._system.stop_with(None)
