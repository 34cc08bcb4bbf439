"""The calls that a breaker's log tells of, in the order in which they ended.

A roll-up says which calls failed or were slow, by number, and how many fell into
which stretch of time. Within a stretch the calls are spread evenly: that is the
resolution, and it is stated. Refused calls are known by how many there were in a
stay only, and nobody knows how they would have ended.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from ...actors.breakers import FOLD, BreakerConfig
from ...events import Event
from ...events.breaker import (
    Bucket,
    Evidence,
    Opened,
    ProbeSettled,
    Reopened,
    WindowRolledUp,
)

Ended = Literal["good", "slow", "failed", "failed_slow"]
"""How a call ended."""


class RecordedCall(msgspec.Struct, frozen=True, gc=False):
    """One call that was made, or refused."""

    at_us: int
    """About when it ended, wall time."""
    ended: Ended
    """How; if it was refused, how the call ended that was made nearest to it in time."""
    refused: bool = False


class RecordedTrip(msgspec.Struct, frozen=True, gc=False):
    """One opening as it happened."""

    at_us: int
    evidence: Evidence
    draw: float = 0.0
    """The jitter that was drawn for its cooldown, as a share of what could be."""


class Recording(msgspec.Struct):
    """All that is known of a breaker's calls."""

    name: str
    calls: list[RecordedCall] = []
    """Those made and those refused, in order."""
    trips: list[RecordedTrip] = []
    """Openings by the breaker itself; those by hand are left out."""
    neutral: int = 0
    """Calls ignored or cancelled: they prove nothing and are not played again."""
    resolution_us: int = 0
    """The longest stretch within which the moments of calls are not known."""
    slow_call_s: tuple[float, ...] = ()
    """From when a call was slow, as it was set at one time or another."""
    until_us: int = 0
    """Up to when the log tells."""


def recorded_calls(name: str, events: Iterable[Event]) -> Recording:
    """Return the calls that the events of `breaker/<name>` tell of."""
    recording = Recording(name)
    state = FOLD.initial(f"breaker/{name}")
    reader = _Roll(recording)
    since_us = 0
    for event in events:
        before, state = state, FOLD.evolve(state, event)
        at_us: int = getattr(event, "at_us", since_us)
        match event:
            case WindowRolledUp():
                reader.read(event, since_us)
            case ProbeSettled(outcome="failure" | "success" as outcome, slow=slow):
                recording.calls.append(
                    RecordedCall(at_us, ended(failed=outcome == "failure", slow=slow))
                )
            case Opened() | Reopened() if event.evidence.rule != "manual":
                draw = _draw(event, before.config)
                recording.trips.append(RecordedTrip(at_us, event.evidence, draw))
            case _:
                pass
        if before.generation != state.generation or not since_us:
            since_us = at_us
        slow_call_s = state.config.slow_call_s
        if slow_call_s is not None and slow_call_s not in recording.slow_call_s:
            recording.slow_call_s += (slow_call_s,)
        recording.until_us = max(recording.until_us, at_us)
    recording.calls = [*_supposed(recording.calls, reader.refused_us)]
    return recording


def _supposed(
    made: list[RecordedCall], refused_us: list[int]
) -> Iterator[RecordedCall]:
    """Join the calls that were made with those that were not, in order."""
    made.sort(key=lambda call: call.at_us)
    refused_us.sort()
    begin = 0
    for at_us in refused_us:
        end = bisect_right(made, at_us, begin, key=lambda call: call.at_us)
        yield from made[begin:end]
        begin = end
        near = made[max(0, end - 1) : end + 1]
        nearest = min(near, key=lambda call: abs(call.at_us - at_us), default=None)
        how: Ended = "failed" if nearest is None else nearest.ended
        yield RecordedCall(at_us, how, refused=True)
    yield from made[begin:]


def _draw(event: Opened | Reopened, config: BreakerConfig) -> float:
    """Return the draw that shortened this cooldown: `cooldown_us` turned round."""
    full_us = config.cooldown_us(event.attempt, 0.0)
    if not config.cooldown_jitter:
        return 0.0
    left_out = 1 - event.until.span_us / full_us
    return min(max(left_out / config.cooldown_jitter, 0.0), 1.0)


def ended(*, failed: bool, slow: bool) -> Ended:
    """Return how a call ended that was made."""
    if failed:
        return "failed_slow" if slow else "failed"
    return "slow" if slow else "good"


class _Roll:
    """Takes calls out of roll-ups, whose buckets hold absolute numbers."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self.refused_us: list[int] = []
        """About when calls were refused."""
        self._generation = 0
        self._told: dict[int, int] = {}
        """How many calls of a bucket were in earlier roll-ups, by its start."""

    def read(self, event: WindowRolledUp, since_us: int) -> None:
        """Add the calls of one roll-up; refused ones lie anywhere since `since_us`."""
        recording = self._recording
        recording.neutral += event.neutral
        if event.rejected:
            span_us = max(0, event.at_us - since_us)
            self.refused_us.extend(
                since_us + span_us * (2 * number + 1) // (2 * event.rejected)
                for number in range(event.rejected)
            )
        if event.generation != self._generation:
            self._generation, self._told = event.generation, {}
        if not event.calls:
            return
        moments = self._moments(event)
        failures, slows = set(event.failures), set(event.slows)
        for number, at_us in enumerate(moments, event.seq - event.calls + 1):
            how = ended(failed=number in failures, slow=number in slows)
            recording.calls.append(RecordedCall(at_us, how))

    def _moments(self, event: WindowRolledUp) -> Iterator[int]:
        shift_us = event.at_us - event.clock_us
        for start_us, end_us, calls in self._stretches(event):
            length_us = end_us - start_us
            resolution_us = max(self._recording.resolution_us, length_us)
            self._recording.resolution_us = resolution_us
            yield from _spread(start_us + shift_us, end_us + shift_us, calls)

    def _stretches(self, event: WindowRolledUp) -> list[tuple[int, int, int]]:
        """Return from when to when how many calls ended, since the last roll-up."""
        buckets = event.buckets
        fresh = [
            bucket.calls - self._told.get(bucket.start_us, 0) for bucket in buckets
        ]
        self._told = {bucket.start_us: bucket.calls for bucket in buckets}
        if min(fresh, default=0) < 0 or sum(fresh) != event.calls:
            # The buckets are not those that were told of before: the whole will do.
            first_us = min((b.start_us for b in buckets), default=event.clock_us)
            return [(first_us, event.clock_us, event.calls)]
        ends_us = _ends(buckets, event.clock_us)
        return [
            (bucket.start_us, end_us, calls)
            for bucket, end_us, calls in zip(buckets, ends_us, fresh, strict=True)
            if calls
        ]


def _ends(buckets: tuple[Bucket, ...], clock_us: int) -> list[int]:
    """A bucket ends where the next one begins, the last one with the roll-up."""
    starts_us = [bucket.start_us for bucket in buckets[1:]]
    return [*starts_us, max(clock_us, buckets[-1].start_us)] if buckets else []


def _spread(start_us: int, end_us: int, calls: int) -> Iterator[int]:
    """Spread calls evenly over a stretch, the last one at its end.

    A roll-up is made at the call that opens a breaker, so that this one is exact.
    """
    length_us = max(0, end_us - start_us)
    for number in range(1, calls + 1):
        yield start_us + length_us * number // calls
