"""The window of the last seconds, in buckets."""

from array import array

from ...events.breaker import Bucket
from .config import BreakerConfig
from .state import Window as Kept
from .state import within
from .windows import FAR, Tally


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


class _Past:
    """The buckets of a time window before the current one.

    The calls of the latest are one number each; before them lies what was `kept`,
    whose buckets may begin anywhere, since another width or another boot's clock
    may have been in force.
    """

    __slots__ = ("calls", "kept", "total")

    def __init__(self, kept: tuple[Bucket, ...]) -> None:
        self.calls = array("I")
        self.kept = kept
        self.total = sum(bucket.calls for bucket in kept)

    def append(self, calls: int, steps: int, most: int) -> None:
        """Take the bucket that was current, and those without calls after it."""
        self.calls.append(calls)
        self.calls.extend([0] * min(steps - 1, most))
        self.total += calls
        over = max(0, len(self.calls) - most)
        self.total -= sum(self.calls[:over])
        del self.calls[:over]

    def drop(self, oldest: int, width_us: int) -> None:
        """Forget what was kept of the buckets up to this one."""
        while self.kept and self.kept[0].start_us // width_us <= oldest:
            self.total -= self.kept[0].calls
            self.kept = self.kept[1:]


class TimeWindow:
    """The last `window_s` in buckets; the current one began after call number `base`."""

    __slots__ = ("_bad", "_base", "_config", "_past", "_since", "_slot")

    def __init__(self, kept: Kept, config: BreakerConfig, clock_us: int) -> None:
        self._config = config
        width_us = config.bucket_us
        buckets = within(kept.buckets, clock_us, config)
        self._slot = clock_us // width_us
        if buckets:
            self._slot = max(self._slot, buckets[-1].start_us // width_us)
        self._since = self._slot
        self._bad: _Bad | None = None
        for bucket in buckets:
            if bucket.failures or bucket.slows:
                slot = bucket.start_us // width_us
                self._add(slot, bucket.failures, bucket.slows)
        self._base = kept.seq
        if buckets and buckets[-1].start_us == self._slot * width_us:
            self._base -= buckets[-1].calls
            buckets = buckets[:-1]
        self._past = _Past(buckets) if buckets else None

    def _add(self, slot: int, failures: int, slows: int) -> None:
        if self._bad is None:
            self._bad = _Bad()
        self._bad.add(slot, failures, slows)

    @property
    def turn_s(self) -> float:
        """Where the current bucket ends."""
        return (self._slot + 1) * self._config.bucket_us / 1e6

    def turn(self, clock_us: int, seq: int) -> int:
        """Close the current bucket and drop those that time has left behind."""
        slot = clock_us // self._config.bucket_us
        steps = slot - self._slot
        if steps <= 0:
            return 0
        calls = seq - self._base
        if self._since == self._slot and not calls:
            self._since = slot
        self._base, self._slot = seq, slot
        self._move_on(calls, steps)
        return calls if steps == 1 else 0

    def _move_on(self, calls: int, steps: int) -> None:
        span = self._config.buckets
        oldest = self._slot - span
        past = self._past
        if calls and past is None:
            past = _Past(())
        if past is not None:
            past.append(calls, steps, span - 1)
            past.drop(oldest, self._config.bucket_us)
            self._past = past if past.total else None
        if self._bad is not None:
            self._bad.drop(oldest)
            self._bad = self._bad if self._bad.by_slot else None

    def add(self, seq: int, *, failed: bool, slow: bool) -> None:
        """Count a bad call in the current bucket."""
        del seq
        self._add(self._slot, failed, slow)

    def tally(self, seq: int) -> Tally:
        """Return what ended within the window."""
        calls = seq - self._base
        if self._past is not None:
            calls += self._past.total
        bad = self._bad
        return Tally(calls, bad.failures, bad.slows) if bad else Tally(calls, 0, 0)

    def attend_at(self, seq: int, min_calls: int) -> int:
        """Return when a rate begins to count; what time moves is asked at the turn."""
        calls, failures, slows = self.tally(seq)
        if not (failures or slows) or calls >= min_calls:
            return seq + FAR
        return seq + min_calls - calls

    def touched(self, seq: int) -> tuple[Bucket, ...]:
        """Return the buckets counted in since the last roll-up, with all they hold."""
        width_us = self._config.bucket_us
        calls = [seq - self._base]
        if self._past is not None:
            past = self._past.calls
            calls = [*past[max(0, len(past) - (self._slot - self._since)) :], *calls]
        first = self._slot - len(calls) + 1
        bad = {} if self._bad is None else self._bad.by_slot
        return tuple(
            Bucket(slot * width_us, count, *bad.get(slot, (0, 0)))
            for slot, count in enumerate(calls, first)
            if count
        )

    def rolled_up(self) -> None:
        """The current bucket will be touched again, those before it will not."""
        self._since = self._slot
