"""What a call touches: the counters of one generation, and the permit to make it.

Every generation is a new object. A call keeps the one it was admitted by, so a
late result is counted on a retired generation and cannot move the breaker.
"""

from collections.abc import Sequence
from itertools import repeat
from math import inf
from operator import length_hint

import msgspec

from ...events.breaker import Bucket, Phase, WindowRolledUp
from .config import ROLL_UP_CALLS, BreakerConfig
from .state import BreakerState, Window
from .time_window import TimeWindow
from .times import Now, remaining_us
from .windows import ConsecutiveWindow, CountWindow, LiveWindow

UNROLLED_MAX = 10_000
"""So many numbers of bad calls wait for a roll-up while the log cannot be written."""
UNSEEN_MAX = 500
"""The machine is told at the latest of every so many good calls, and reads the clock."""
BUSY_CALLS = 32
"""A time bucket with so many calls is worth an alarm at its end."""
NONE_AHEAD = repeat(None, 0)
PAST_S = -inf
"""One for all; each `-inf` in the text would be another object."""
COUNTING: frozenset[Phase] = frozenset(("closed", "metrics_only"))
TRANSPARENT: frozenset[Phase] = frozenset(("closed", "disabled", "metrics_only"))
REFUSING: frozenset[Phase] = frozenset(("open", "forced_open"))


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """The call must not be made."""

    retry_after_s: float
    """The soonest that another try can pass."""
    reason: str


class Generation:
    """One stay in one phase.

    A good call in a closed breaker takes one step of `ahead`, which is all the
    guard does about it; when that has run out, the machine has to be told. So
    `seq` is where `ahead` will end, less what is left of it.
    """

    __slots__ = (
        "_end",
        "ahead",
        "alarm_s",
        "busy",
        "counting",
        "dirty_us",
        "failures",
        "gated",
        "number",
        "phase",
        "retired",
        "rolled_seq",
        "slow_s",
        "slows",
        "turn_s",
        "until_s",
        "window",
    )

    def __init__(self, state: BreakerState, now: Now, *, ready: bool) -> None:
        self.number = state.generation
        self.phase = state.phase
        self.retired = False
        self._end = state.window.seq
        self.ahead = NONE_AHEAD
        """As many steps as good calls may end before the machine is told of one."""
        self.rolled_seq = self._end
        self.failures: Sequence[int] = ()
        """Numbers that no roll-up holds yet; without any, no list is kept."""
        self.slows: Sequence[int] = ()
        self.dirty_us: int | None = None
        """When the first call after the last roll-up ended."""
        self.alarm_s = PAST_S
        """When the alarm goes off that turns the window in place of the calls."""
        self.window: LiveWindow
        self.fit(state, now, ready=ready)

    def fit(self, state: BreakerState, now: Now, *, ready: bool) -> None:
        """Go by the settings and the window of this state."""
        config, until = state.config, state.until
        self.counting = ready and state.phase in COUNTING and config.enabled
        self.gated = not self.counting or until is not None
        """Calls have to ask the machine."""
        self.until_s = PAST_S
        """Every call is refused before this instant, on the clock."""
        if ready and config.enabled and state.phase in REFUSING:
            left_s = inf if until is None else remaining_us(until, now) / 1e6
            self.until_s = now.clock_us / 1e6 + left_s
        self.window = _live(state.window, config, now.clock_us)
        self.turn_s = self.window.turn_s if self.counting else inf
        """From this instant on the window has to be turned before a call is counted."""
        self.busy = False
        """Whether the time bucket that ended last held many calls."""
        self.slow_s = config.slow_call_s if config.slow_call_s is not None else inf
        self._allow(0)

    @property
    def seq(self) -> int:
        """The number of the last call that was counted."""
        return self._end - length_hint(self.ahead)

    def _allow(self, count: int) -> None:
        """Let so many good calls end before the machine is told of one."""
        self._end = self.seq + count
        self.ahead = repeat(None, count) if count else NONE_AHEAD

    @property
    def timed(self) -> bool:
        """Whether calls are to be timed."""
        return self.slow_s < inf

    @property
    def clocked(self) -> bool:
        """Whether calls have to look at the clock unless an alarm does it for them."""
        return self.timed or self.turn_s < inf

    def retire(self) -> None:
        """Let every later result be noticed as late, and do nothing else."""
        self._allow(0)
        self.retired = True
        self.turn_s = PAST_S

    def turn(self, clock_us: int) -> None:
        """Move the window on in time."""
        if clock_us / 1e6 < self.turn_s or not self.counting or self.retired:
            return
        self.busy = self.window.turn(clock_us, self.seq) >= BUSY_CALLS
        self.turn_s = self.window.turn_s

    def count(self, *, failed: bool, slow: bool) -> None:
        """Count one call."""
        self._end += 1
        if not (failed or slow):
            return
        seq = self.seq
        self.window.add(seq, failed=failed, slow=slow)
        if failed:
            self.failures = _and_one(self.failures, seq)
        if slow:
            self.slows = _and_one(self.slows, seq)

    def watch(self, config: BreakerConfig, *, rolls_up: bool) -> None:
        """Set the number of the next good call that matters."""
        seq = self.seq
        next_at = self.window.attend_at(seq, config.min_calls)
        next_at = min(next_at, seq + UNSEEN_MAX)
        if rolls_up and seq == self.rolled_seq:
            next_at = seq + 1
        elif rolls_up:
            # Once it was asked for, it is not asked for again at every call.
            behind = (seq - self.rolled_seq) // ROLL_UP_CALLS + 1
            next_at = min(next_at, self.rolled_seq + behind * ROLL_UP_CALLS)
        self._allow(next_at - seq - 1)

    def needs_roll_up(self, config: BreakerConfig) -> bool:
        """Whether so much was counted that losing it would matter."""
        return (
            self.seq - self.rolled_seq >= ROLL_UP_CALLS
            or len(self.failures) >= config.roll_up_failures
        )

    def roll_up(
        self, now: Now, neutral: int, rejected: int, errors: tuple[str, ...]
    ) -> WindowRolledUp:
        """Return what was counted since the last roll-up, and count anew."""
        calls = self.seq - self.rolled_seq
        buckets = self.window.touched(self.seq)
        if not buckets and calls:
            start_us = now.clock_us if self.dirty_us is None else self.dirty_us
            counts = (calls, len(self.failures), len(self.slows))
            buckets = (Bucket(start_us, *counts),)
        event = WindowRolledUp(
            now.wall_us,
            self.number,
            now.boot,
            now.clock_us,
            self.seq,
            calls,
            tuple(self.failures),
            tuple(self.slows),
            buckets,
            neutral,
            rejected,
            errors,
        )
        self.window.rolled_up()
        self.rolled_seq = self.seq
        self.failures, self.slows, self.dirty_us = (), (), None
        self._allow(0)
        return event


def _live(kept: Window, config: BreakerConfig, clock_us: int) -> LiveWindow:
    """Return the window that goes on from what was kept."""
    match config.window:
        case "consecutive":
            return ConsecutiveWindow(kept)
        case "count":
            return CountWindow(kept, config.window_calls)
        case "time":
            return TimeWindow(kept, config, clock_us)


def _and_one(numbers: Sequence[int], number: int) -> list[int]:
    """Add a number to those kept, up to the limit."""
    kept = numbers if isinstance(numbers, list) else [*numbers]
    kept.append(number)
    if len(kept) > UNROLLED_MAX:
        del kept[0]
    return kept


class Permit:
    """The right to make one call, to be settled or cancelled once."""

    __slots__ = ("generation", "probe", "started_s", "used")

    def __init__(
        self, generation: Generation, started_s: float, probe: int = 0
    ) -> None:
        self.generation = generation
        self.started_s = started_s
        self.probe = probe
        """The number of the probe; 0: an ordinary call."""
        self.used = False
