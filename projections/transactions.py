"""Which transactions are under way or stuck, and how the others ended."""

import msgspec

from ..actors.transactions.transaction import FOLD, Transaction
from ..events import Event
from ..events.transactions import Began


class CoordinatorView(msgspec.Struct):
    """The transactions of one coordinator."""

    began: int = 0
    stuck: int = 0
    """How many are stuck now."""
    ends: dict[str, int] = {}
    """How many were `committed` and `rolled_back`."""

    @property
    def open(self) -> int:
        """How many have not ended, the stuck ones included."""
        return self.began - sum(self.ends.values())


class TransactionsView(msgspec.Struct):
    """All coordinators, and their open transactions by stream."""

    coordinators: dict[str, CoordinatorView] = {}
    open: dict[str, Transaction] = {}

    def apply_transaction(self, stream: str, event: Event) -> None:
        """Count what happened to a transaction."""
        view = self.coordinators.setdefault(stream.split("/")[1], CoordinatorView())
        before = self.open.get(stream) or FOLD.initial(stream)
        after = FOLD.evolve(before, event)
        view.stuck += (after.phase == "stuck") - (before.phase == "stuck")
        if isinstance(event, Began):
            view.began += 1
        if event.closes:
            view.ends[after.phase] = view.ends.get(after.phase, 0) + 1
            self.open.pop(stream, None)
        else:
            self.open[stream] = after
