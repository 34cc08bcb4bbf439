"""How many redrives a target gets: none while its breaker is open, then ever more."""

from collections.abc import Callable
from typing import Literal

import msgspec


class Gate(msgspec.Struct, frozen=True, gc=False):
    """What a breaker says to redrives."""

    state: Literal["closed", "half_open", "open"] = "closed"
    permitted: int = 1
    """Probes it lets in flight while half open."""


GateKeeper = Callable[[str], Gate]
"""Tells the gate of a target by its name."""


def always_open_gate(_target: str) -> Gate:
    """Let everything pass: for queues whose targets have no breakers."""
    return Gate()


class Ramp:
    """Doubles, from the half-open budget on, what a recovered target is given.

    It lives in memory only: after a restart an open or half-open breaker sets it
    anew, and a closed one has the whole pace.
    """

    def __init__(self, pace_max: int) -> None:
        self._pace_max = pace_max
        self._last: dict[str, int] = {}

    def allow(self, target: str, gate: Gate, in_flight: int) -> int:
        """Return how many more redrives may go to `target` in this round."""
        if gate.state == "open":
            self._last[target] = 0
            return 0
        if gate.state == "half_open":
            pace = min(gate.permitted, self._pace_max)
            self._last[target] = pace
        elif target in self._last:
            pace = min(max(1, 2 * self._last[target]), self._pace_max)
            self._last[target] = pace
            if pace == self._pace_max:
                del self._last[target]
        else:
            pace = self._pace_max
        return max(0, pace - in_flight)
