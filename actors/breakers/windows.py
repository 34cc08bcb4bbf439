"""The windows of a living breaker: cheap to add to, exact to ask.

A call has a number. Good calls only move the number on; what is kept is the
numbers of the bad ones, or running totals of time buckets.
"""

from collections import deque
from math import inf
from typing import NamedTuple, Protocol

from ...events.breaker import Bucket
from .config import BreakerConfig
from .state import Window as Kept
from .state import within

FAR = 1 << 29
"""So many calls ahead is as good as never, and still a small int, which compares fast."""


class Tally(NamedTuple):
    """What a window holds."""

    calls: int
    failures: int
    slows: int


class LiveWindow(Protocol):
    """What a generation needs of its window."""

    turn_s: float
    """The instant from which `turn` must be called before anything is counted."""

    def turn(self, clock_us: int, seq: int) -> None:
        """Move on to the bucket of this instant; calls up to `seq` belong before it."""
        ...

    def add(self, seq: int, *, failed: bool, slow: bool) -> None:
        """Count the bad call number `seq`; good ones need not be told."""
        ...

    def tally(self, seq: int) -> Tally:
        """Return what the window holds when `seq` is the last call."""
        ...

    def attend_at(self, seq: int, min_calls: int) -> int:
        """Return the number of the good call that could reach a limit next."""
        ...

    def touched(self, seq: int) -> tuple[Bucket, ...]:
        """Return the time buckets counted in since `rolled_up`, up to call `seq`."""
        ...

    def rolled_up(self) -> None:
        """From now on only later buckets count as touched."""
        ...


class ConsecutiveWindow:
    """Failures in a row, which are failures whose numbers follow on each other."""

    __slots__ = ("last", "streak", "turn_s")

    def __init__(self, kept: Kept) -> None:
        self.turn_s = inf
        self.last = 0
        self.streak = 0
        for number in kept.failures:
            self.add(number, failed=True, slow=False)

    def turn(self, clock_us: int, seq: int) -> None:
        """Nothing: time does not matter here."""

    def add(self, seq: int, *, failed: bool, slow: bool) -> None:
        """Count a failure; a slow success ends the row as any success does."""
        del slow
        if failed:
            self.streak = self.streak + 1 if self.last == seq - 1 else 1
            self.last = seq

    def tally(self, seq: int) -> Tally:
        """Return the row that ends with the last call."""
        streak = self.streak if self.last == seq else 0
        return Tally(streak, streak, 0)

    def attend_at(self, seq: int, min_calls: int) -> int:
        """Never: a good call only ends the row."""
        del min_calls
        return seq + FAR

    def touched(self, seq: int) -> tuple[Bucket, ...]:
        """Return nothing: there are no buckets."""
        del seq
        return ()

    def rolled_up(self) -> None:
        """Nothing to remember."""


class CountWindow:
    """The last `size` calls: the numbers of the bad ones among them."""

    __slots__ = ("failures", "size", "slows", "turn_s")

    def __init__(self, kept: Kept, size: int) -> None:
        self.turn_s = inf
        self.size = size
        self.failures = deque(kept.failures)
        self.slows = deque(kept.slows)

    def turn(self, clock_us: int, seq: int) -> None:
        """Nothing: time does not matter here."""

    def add(self, seq: int, *, failed: bool, slow: bool) -> None:
        """Keep the number of a bad call."""
        if failed:
            self.failures.append(seq)
        if slow:
            self.slows.append(seq)
        self._drop(seq - self.size)

    def _drop(self, last: int) -> None:
        for numbers in (self.failures, self.slows):
            while numbers and numbers[0] <= last:
                numbers.popleft()

    def tally(self, seq: int) -> Tally:
        """Return what the last calls were."""
        self._drop(seq - self.size)
        return Tally(min(seq, self.size), len(self.failures), len(self.slows))

    def attend_at(self, seq: int, min_calls: int) -> int:
        """Return when a rate begins to count: later good calls can only lower it."""
        bad = self.failures or self.slows
        return min_calls if bad and seq < min_calls else seq + FAR

    def touched(self, seq: int) -> tuple[Bucket, ...]:
        """Return nothing: there are no buckets."""
        del seq
        return ()

    def rolled_up(self) -> None:
        """Nothing to remember."""


class TimeWindow:
    """The last `window_s` in buckets; those without calls are not kept."""

    __slots__ = (
        "base",
        "buckets",
        "config",
        "since_us",
        "slot",
        "totals",
        "turn_s",
    )

    def __init__(self, kept: Kept, config: BreakerConfig, clock_us: int) -> None:
        self.config = config
        buckets = within(kept.buckets, clock_us, config)
        self.buckets = [[*_numbers(bucket)] for bucket in buckets]
        self.totals = [sum(b[n] for b in self.buckets) for n in (1, 2, 3)]
        width_us = config.bucket_us
        self.slot = clock_us // width_us
        if not buckets or buckets[-1].start_us // width_us < self.slot:
            self.buckets.append([self.slot * width_us, 0, 0, 0])
        self.slot = max(self.slot, self.buckets[-1][0] // width_us)
        self.turn_s = (self.slot + 1) * width_us / 1e6
        self.base = kept.seq - self.buckets[-1][1]
        """Calls after this number ended in the current bucket."""
        self.totals[0] -= self.buckets[-1][1]
        self.since_us = self.buckets[-1][0]

    def turn(self, clock_us: int, seq: int) -> None:
        """Close the current bucket and drop those that time has left behind."""
        width_us = self.config.bucket_us
        slot = clock_us // width_us
        if slot <= self.slot:
            return
        current, totals = self.buckets[-1], self.totals
        current[1] = seq - self.base
        totals[0] += current[1]
        if current[1]:
            self.buckets.append([slot * width_us, 0, 0, 0])
        else:
            if self.since_us == current[0]:
                self.since_us = slot * width_us
            current[0] = slot * width_us
        oldest = slot - self.config.buckets
        while self.buckets[0][0] // width_us <= oldest:
            for n, count in enumerate(self.buckets.pop(0)[1:]):
                totals[n] -= count
        self.slot = slot
        self.turn_s = (slot + 1) * width_us / 1e6
        self.base = seq

    def add(self, seq: int, *, failed: bool, slow: bool) -> None:
        """Count a bad call in the current bucket."""
        del seq
        for n, bad in ((1, failed), (2, slow)):
            if bad:
                self.buckets[-1][n + 1] += 1
                self.totals[n] += 1

    def tally(self, seq: int) -> Tally:
        """Return what ended within the window."""
        calls, failures, slows = self.totals
        return Tally(calls + seq - self.base, failures, slows)

    def attend_at(self, seq: int, min_calls: int) -> int:
        """Return when a rate begins to count; what time moves is asked at the turn."""
        calls, failures, slows = self.tally(seq)
        if not (failures or slows) or calls >= min_calls:
            return seq + FAR
        return seq + min_calls - calls

    def touched(self, seq: int) -> tuple[Bucket, ...]:
        """Return the buckets counted in since the last roll-up, with all they hold."""
        self.buckets[-1][1] = seq - self.base
        found = [Bucket(*b) for b in self.buckets if b[0] >= self.since_us and b[1]]
        return tuple(found)

    def rolled_up(self) -> None:
        """The current bucket will be touched again, those before it will not."""
        self.since_us = self.buckets[-1][0]


def _numbers(bucket: Bucket) -> tuple[int, int, int, int]:
    return bucket.start_us, bucket.calls, bucket.failures, bucket.slows


def live_window(kept: Kept, config: BreakerConfig, clock_us: int) -> LiveWindow:
    """Return the window that goes on from what was kept."""
    match config.window:
        case "consecutive":
            return ConsecutiveWindow(kept)
        case "count":
            return CountWindow(kept, config.window_calls)
        case "time":
            return TimeWindow(kept, config, clock_us)
