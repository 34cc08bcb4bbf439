"""The state of every breaker, by the fold that it lives by."""

import msgspec

from ..actors.breakers.state import FOLD, BreakerState
from ..events import Event


class BreakersView(msgspec.Struct):
    """All breakers by name; a state knows its phase, its trips and their evidence."""

    breakers: dict[str, BreakerState] = {}

    def apply_breaker(self, stream: str, event: Event) -> None:
        """Fold what happened to a breaker."""
        name = stream.partition("/")[2]
        state = self.breakers.get(name) or FOLD.initial(stream)
        self.breakers[name] = FOLD.evolve(state, event)

    @property
    def trips(self) -> int:
        """How often breakers opened, all of them together."""
        return sum(state.totals.trips for state in self.breakers.values())
