"""The windows of a living breaker: cheap to add to, exact to ask, small while all is well.

A call has a number. Good calls only move the number on; what is kept is the
numbers of the bad ones, or, in a time window, counts by bucket.
"""

from collections import deque
from collections.abc import Sequence
from math import inf
from typing import NamedTuple, Protocol

from ...events.breaker import Bucket
from .state import Window as Kept

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
