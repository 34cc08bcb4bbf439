"""What the actors of one pipeline know of each other, across their restarts."""

from collections.abc import Mapping

from ..runtime import Ref
from .desk import Desk
from .item import Item


class Crew:
    """Who works at which stage, what is paused, and the callers who wait.

    It is shared by the actors of one pipeline in one loop. All of it is either
    found out anew at each start of an actor or only a hint to look again, so
    nothing depends on it after a crash.
    """

    pipeline: Ref
    """The actor that owns the items; it starts before the others."""
    control: Ref
    """The actor of the pipeline as a whole."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.open: Mapping[str, Item] = {}
        """The items that are open as far as is known, durably or not."""
        self.workers: dict[str, Ref] = {}
        self.generations: dict[str, int] = {}
        """Counts the starts of each stage's worker."""
        self.paused = False
        self.held: tuple[str, ...] = ()
        """Stages that are paused."""

    def hire(self, stage: str, worker: Ref) -> int:
        """Note that a stage has a new worker; return which generation it is."""
        self.workers[stage] = worker
        self.generations[stage] = self.generations.get(stage, 0) + 1
        return self.generations[stage]
