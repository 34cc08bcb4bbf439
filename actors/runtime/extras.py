"""What most actors never have: children, a journal, timers, watchers, failures.

A cell has one member for all of it. Beginning, keeping and collecting a member of its
own for each would be a third of what it costs to spawn an actor.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from .cell import Cell
    from .children import Children
    from .context import ActorContext
    from .journal import Journal
    from .mailbox import Item
    from .timers import Timers
    from .work import Running

Ended = Callable[[BaseException | None], None]
"""Is told what an actor died of; None: it stopped in an orderly way."""


class Extras:
    """Made when the first of it is needed: `Cell.own_extras`."""

    __slots__ = (
        "children",
        "context",
        "crash",
        "dropped",
        "error",
        "journal",
        "restarts",
        "stash",
        "timers",
        "watchers",
        "watching",
        "works",
    )

    def __init__(self) -> None:
        self.context: ActorContext | None = None
        """What the actor sees of the runtime."""
        self.children: Children | None = None
        self.journal: Journal | None = None
        self.error: BaseException | None = None
        """What it last failed of."""
        self.timers: Timers | None = None
        self.works: dict[Running, None] | None = None
        """What it does beside its mailbox."""
        self.stash: list[Item] | None = None
        """What the actor has put aside for later."""
        self.watching: dict[Any, Cell] | None = None
        """Whom the actor watches; the keys are those in their `watchers`."""
        self.watchers: dict[Any, Ended] | None = None
        self.dropped = 0
        self.restarts = 0
        self.crash: tuple[object, int] | None = None
        """The message that crashed the last instance, and how many it has crashed."""

    def own_watchers(self) -> dict[Any, Ended]:
        """Return who is told of the end, to be added to."""
        if self.watchers is None:
            self.watchers = {}
        return self.watchers


class _Nothing(Extras):
    """The extras of all who have none: may be read like any others."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        """Take the members' first values only: what came later would be everybody's."""
        if value:
            message = f"{name} is not the cell's own yet: set it on cell.own_extras()"
            raise AttributeError(message)
        super().__setattr__(name, value)


NO_EXTRAS: Final = _Nothing()
"""Shared by all cells that have none of it, so that a look needs no test first."""
