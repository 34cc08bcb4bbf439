"""What a breaker went through: its stays in one phase after the other, and why."""

from collections.abc import Iterable

import msgspec

from ..actors.breakers.state import FOLD, BreakerState
from ..events import Event
from ..events.breaker import Evidence, Phase, ProbeSettled, WindowRolledUp
from ..events.log import Recorded


class Stay(msgspec.Struct):
    """One stay of a breaker in one phase, which is one of its generations.

    Counts are of the roll-ups in the log: those of the running stay lag behind by
    up to a second or 500 calls.
    """

    generation: int
    phase: Phase
    since_us: int
    until_us: int | None = None
    """When the next stay began; None: it lasts."""
    position: int = 0
    """Where the event stands that began it; 0: the breaker began with it."""
    attempt: int = 0
    """Openings in a row without closing."""
    evidence: Evidence | None = None
    """Why it opened; only for an open stay."""
    reason: str = ""
    """What the person said who brought it about; empty when it was the breaker."""
    by: str = ""
    calls: int = 0
    failures: int = 0
    slows: int = 0
    neutral: int = 0
    rejected: int = 0
    probes_good: int = 0
    probes_bad: int = 0


class BreakerHistory:
    """The stays of one breaker, the first one first, and what it is now."""

    def __init__(self, stream: str) -> None:
        self.state: BreakerState = FOLD.initial(stream)
        self.stays: list[Stay] = []
        self._by_generation: dict[int, Stay] = {}

    @classmethod
    def of(cls, stream: str, events: Iterable[Recorded]) -> "BreakerHistory":
        """Return the history that these events of the stream tell."""
        history = cls(stream)
        for recorded in events:
            if isinstance(recorded.event, Event):
                history.apply(recorded.event, recorded.position)
        return history

    def apply(self, event: Event, position: int) -> None:
        """Go on by one event."""
        state = self.state = FOLD.evolve(self.state, event)
        if not self.stays:
            self._begin(state, position, getattr(event, "at_us", 0))
        elif state.generation != self.stays[-1].generation:
            self.stays[-1].until_us = state.since_us
            self._begin(state, position, state.since_us)
        if isinstance(event, WindowRolledUp):
            self._count(event)
        elif isinstance(event, ProbeSettled):
            self._count_probe(event)

    def _begin(self, state: BreakerState, position: int, since_us: int) -> None:
        stay = Stay(
            state.generation,
            state.phase,
            since_us,
            position=position,
            attempt=state.attempt,
            evidence=state.evidence if state.phase == "open" else None,
            reason=state.reason,
            by=state.by,
        )
        self.stays.append(stay)
        self._by_generation[state.generation] = stay

    def _count(self, event: WindowRolledUp) -> None:
        stay = self._by_generation.get(event.generation)
        if stay is None:  # of a generation that the log could not be told of
            return
        stay.calls += event.calls
        stay.failures += len(event.failures)
        stay.slows += len(event.slows)
        stay.neutral += event.neutral
        stay.rejected += event.rejected

    def _count_probe(self, event: ProbeSettled) -> None:
        stay = self.stays[-1]
        if event.outcome == "failure":
            stay.probes_bad += 1
        elif event.outcome == "success":
            stay.probes_good += 1
