"""Who decides about failed children: the hook of supervision, and the plainest answer."""

from typing import TYPE_CHECKING, Protocol

from . import lifecycle
from .errors import UnrecoverableError

if TYPE_CHECKING:
    from .cell import Cell


class Supervision(Protocol):
    """Hears of each child that failed or ended by itself, in a turn of its own."""

    def failed(self, child: "Cell", error: BaseException) -> None:
        """Decide about a child in state `failed`; its mailbox is kept meanwhile."""
        ...

    def exited(self, child: "Cell") -> None:
        """Decide about a child that asked to be stopped."""
        ...


class RestartAtOnce:
    """Restarts whatever fails, without counting."""

    def failed(self, child: "Cell", error: BaseException) -> None:
        """Restart `child`, or stop it where restarting would not help."""
        if isinstance(error, UnrecoverableError):
            lifecycle.go(child, lifecycle.stop(child, error))
        else:
            lifecycle.go(child, lifecycle.restart(child, error))

    def exited(self, child: "Cell") -> None:
        """Stop `child`."""
        lifecycle.go(child, lifecycle.stop(child, None))
