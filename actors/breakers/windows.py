"""The windows of a living breaker: cheap to add to, exact to ask, small while all is well.

A call has a number. Good calls only move the number on; what is kept is the
numbers of the bad ones, or counts by time bucket.
"""

from array import array
from collections import deque
from collections.abc import Sequence
from math import inf
from typing import NamedTuple, Protocol

from ...events.breaker import Bucket
from .config import BreakerConfig
from .state import Window as Kept
from .state import within

FAR = 1 << 29
"""So many calls ahead is as good as never."""


class Tally(NamedTuple):
    """What a window holds."""

    calls: int
    failures: int
    slows: int


class LiveWindow(Protocol):
    """What a generation needs of its window."""

    @property
    def turn_s(self) -> float:
        """The instant from which `turn` must be called before anything is counted."""
        ...

    def turn(self, clock_us: int, seq: int) -> int:
        """Move on to the bucket of this instant; calls up to `seq` belong before it.

        Returns how many calls the bucket held that ended just before.
        """
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


class Timeless:
    """What windows have in common for which time does not matter."""

    __slots__ = ()

    turn_s = inf

    def turn(self, clock_us: int, seq: int) -> int:
        """Nothing moves on."""
        del clock_us, seq
        return 0

    def touched(self, seq: int) -> tuple[Bucket, ...]:
        """Return nothing: there are no buckets."""
        del seq
        return ()

    def rolled_up(self) -> None:
        """Nothing to remember."""


class ConsecutiveWindow(Timeless):
    """Failures in a row, which are failures whose numbers follow on each other."""

    __slots__ = ("last", "streak")

    def __init__(self, kept: Kept) -> None:
        self.last = 0
        self.streak = 0
        for number in kept.failures:
            self.add(number, failed=True, slow=False)

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


class CountWindow(Timeless):
    """The last `size` calls: the numbers of the bad ones among them."""

    __slots__ = ("failures", "size", "slows")

    def __init__(self, kept: Kept, size: int) -> None:
        self.size = size
        self.failures: Sequence[int] = deque(kept.failures) if kept.failures else ()
        self.slows: Sequence[int] = deque(kept.slows) if kept.slows else ()

    def add(self, seq: int, *, failed: bool, slow: bool) -> None:
        """Keep the number of a bad call."""
        if failed:
            self.failures = _one_more(self.failures, seq)
        if slow:
            self.slows = _one_more(self.slows, seq)
        self._drop(seq - self.size)

    def _drop(self, last: int) -> None:
        self.failures = _after(last, self.failures)
        self.slows = _after(last, self.slows)

    def tally(self, seq: int) -> Tally:
        """Return what the last calls were."""
        self._drop(seq - self.size)
        return Tally(min(seq, self.size), len(self.failures), len(self.slows))

    def attend_at(self, seq: int, min_calls: int) -> int:
        """Return when a rate begins to count: later good calls can only lower it."""
        bad = self.failures or self.slows
        return min_calls if bad and seq < min_calls else seq + FAR


def _one_more(numbers: Sequence[int], number: int) -> Sequence[int]:
    """Add a number; an empty deque takes 600 bytes, so there is none before."""
    kept = numbers if isinstance(numbers, deque) else deque[int]()
    kept.append(number)
    return kept


def _after(last: int, numbers: Sequence[int]) -> Sequence[int]:
    """Drop the numbers up to `last`."""
    if isinstance(numbers, deque):
        while numbers and numbers[0] <= last:
            numbers.popleft()
    return numbers or ()


class _Bad:
    """The bad calls of a time window, by bucket and in all."""

    __slots__ = ("by_slot", "failures", "slows")

    def __init__(self) -> None:
        self.by_slot: dict[int, list[int]] = {}
        self.failures = 0
        self.slows = 0

    def add(self, slot: int, failures: int, slows: int) -> None:
        counts = self.by_slot.setdefault(slot, [0, 0])
        counts[0] += failures
        counts[1] += slows
        self.failures += failures
        self.slows += slows

    def drop(self, oldest: int) -> None:
        """Forget the buckets up to this one."""
        for slot in [slot for slot in self.by_slot if slot <= oldest]:
            failures, slows = self.by_slot.pop(slot)
            self.failures -= failures
            self.slows -= slows


class TimeWindow:
    """The last `window_s` in buckets.

    The current bucket is what was counted since call number `base`; before it lie
    the calls of the `past` buckets, one number each, and before those what was
    `kept`, whose buckets may begin anywhere: another width or another boot's clock
    may have been in force.
    """

    __slots__ = ("bad", "base", "config", "kept", "past", "since", "slot", "total")

    def __init__(self, kept: Kept, config: BreakerConfig, clock_us: int) -> None:
        self.config = config
        width_us = config.bucket_us
        buckets = within(kept.buckets, clock_us, config)
        self.slot = clock_us // width_us
        if buckets:
            self.slot = max(self.slot, buckets[-1].start_us // width_us)
        self.since = self.slot
        self.past: array[int] | None = None
        self.bad: _Bad | None = None
        self.base = kept.seq
        for bucket in buckets:
            if bucket.failures or bucket.slows:
                slot = bucket.start_us // width_us
                self._bad().add(slot, bucket.failures, bucket.slows)
        if buckets and buckets[-1].start_us == self.slot * width_us:
            self.base -= buckets[-1].calls
            buckets = buckets[:-1]
        self.kept = buckets
        self.total = sum(bucket.calls for bucket in buckets)
        """Calls before the current bucket."""

    def _bad(self) -> _Bad:
        if self.bad is None:
            self.bad = _Bad()
        return self.bad

    @property
    def turn_s(self) -> float:
        """Where the current bucket ends."""
        return (self.slot + 1) * self.config.bucket_us / 1e6

    def turn(self, clock_us: int, seq: int) -> int:
        """Close the current bucket and drop those that time has left behind."""
        slot = clock_us // self.config.bucket_us
        steps = slot - self.slot
        if steps <= 0:
            return 0
        calls = seq - self.base
        self._append(calls, steps)
        if self.since == self.slot and not calls:
            self.since = slot
        self.base, self.slot = seq, slot
        self._expire()
        return calls if steps == 1 else 0

    def _append(self, calls: int, steps: int) -> None:
        """Let the current bucket be past, and those without calls after it."""
        span = self.config.buckets
        past = self.past
        if past is None and (not calls or steps >= span):
            return
        past = array("I") if past is None else past
        past.append(calls)
        past.extend([0] * (min(steps, span) - 1))
        self.total += calls
        over = max(0, len(past) - (span - 1))
        self.total -= sum(past[:over])
        del past[:over]
        self.past = past if any(past) else None

    def _expire(self) -> None:
        width_us, oldest = self.config.bucket_us, self.slot - self.config.buckets
        while self.kept and self.kept[0].start_us // width_us <= oldest:
            self.total -= self.kept[0].calls
            self.kept = self.kept[1:]
        if self.bad is not None:
            self.bad.drop(oldest)
            self.bad = self.bad if self.bad.by_slot else None

    def add(self, seq: int, *, failed: bool, slow: bool) -> None:
        """Count a bad call in the current bucket."""
        del seq
        self._bad().add(self.slot, failed, slow)

    def tally(self, seq: int) -> Tally:
        """Return what ended within the window."""
        calls, bad = self.total + seq - self.base, self.bad
        return Tally(calls, bad.failures, bad.slows) if bad else Tally(calls, 0, 0)

    def attend_at(self, seq: int, min_calls: int) -> int:
        """Return when a rate begins to count; what time moves is asked at the turn."""
        calls = self.total + seq - self.base
        if self.bad is None or calls >= min_calls:
            return seq + FAR
        return seq + min_calls - calls

    def touched(self, seq: int) -> tuple[Bucket, ...]:
        """Return the buckets counted in since the last roll-up, with all they hold."""
        width_us = self.config.bucket_us
        calls = [*(self.past or ()), seq - self.base]
        first = self.slot - len(calls) + 1
        bad = {} if self.bad is None else self.bad.by_slot
        return tuple(
            Bucket(slot * width_us, count, *bad.get(slot, (0, 0)))
            for slot, count in enumerate(calls, first)
            if count and slot >= self.since
        )

    def rolled_up(self) -> None:
        """The current bucket will be touched again, those before it will not."""
        self.since = self.slot


def live_window(kept: Kept, config: BreakerConfig, clock_us: int) -> LiveWindow:
    """Return the window that goes on from what was kept."""
    match config.window:
        case "consecutive":
            return ConsecutiveWindow(kept)
        case "count":
            return CountWindow(kept, config.window_calls)
        case "time":
            return TimeWindow(kept, config, clock_us)
