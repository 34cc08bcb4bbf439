"""What can go wrong with a write of a log, and who says when.

A write is a group of appends on its way to the disk. Faults are given by a function
from the number of a write, counted from 1, and the number of appends in it: `planned`
makes one from a table, `Dice` one from a seed.
"""

import random
from collections.abc import Callable, Mapping

import msgspec


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to one write."""

    after_s: float = 0.0
    """How long the write takes before this happens."""


class Slow(Fault, frozen=True):
    """Nothing but the time it takes."""


class Rejected(Fault, frozen=True):
    """The first append of the group is refused for good; the others are written."""


class ConnectionLost(Fault, frozen=True):
    """Nothing is written, and nothing can be read or written for a while."""

    for_s: float = 1.0


class DiskFull(Fault, frozen=True):
    """Nothing is written before somebody makes room, see `FaultyLog.free`."""


class Torn(Fault, frozen=True):
    """The disk fails in the middle: the first appends are there, the others are not.

    An append is wholly there or not at all. Nobody is told which; all who wait get
    `OutcomeUnknownError`. The log is back after `for_s`.
    """

    written: int = 0
    for_s: float = 1.0


class AnswerLost(Fault, frozen=True):
    """All or nothing is written, and nobody is told which; back after `for_s`."""

    written: bool
    for_s: float = 1.0


class Crash(Fault, frozen=True):
    """The process dies.

    Of what was handed to the disk and not fsynced yet, the first `written` appends
    survive. What was acknowledged before always does.
    """

    written: int = 0


Faults = Callable[[int, int], Fault | None]
"""Tells what happens to a write, by its number and size; None: it succeeds at once."""


def never(_number: int, _appends: int) -> None:
    """Let every write succeed at once."""


def planned(faults: Mapping[int, Fault]) -> Faults:
    """Have the n-th write go wrong as `faults[n]` says, and the others succeed."""

    def fault(number: int, _appends: int) -> Fault | None:
        return faults.get(number)

    return fault


class Odds(msgspec.Struct, frozen=True, kw_only=True):
    """How likely each fault is for one write, from 0 to 1; together at most 1."""

    rejected: float = 0.0
    connection_lost: float = 0.0
    disk_full: float = 0.0
    torn: float = 0.0
    answer_lost: float = 0.0
    crash: float = 0.0
    slow: float = 0.0
    """How likely it is that a write takes time at all, whatever else becomes of it."""
    slow_s_max: float = 0.1
    away_s_max: float = 3.0

    def __post_init__(self) -> None:
        """Refuse what is no probability."""
        every = (*(getattr(self, kind) for kind in KINDS), self.slow)
        if min(every) < 0 or sum(every) - self.slow > 1 or self.slow > 1:
            message = f"{self}: odds are from 0 to 1, and at most 1 together"
            raise ValueError(message)


KINDS = (
    "rejected",
    "connection_lost",
    "disk_full",
    "torn",
    "answer_lost",
    "crash",
)
"""The fields of `Odds` that are faults, in the order in which they are drawn."""


class Dice:
    """Draws a fault for each write: the same ones again for the same seed."""

    def __init__(self, chance: random.Random, odds: Odds) -> None:
        self.chance = chance
        self.odds = odds
        """May be replaced at any time; `Odds()` is an end of all faults."""

    def __call__(self, _number: int, appends: int) -> Fault | None:
        """Return what happens to a write of so many appends."""
        chance, odds = self.chance, self.odds
        draw = chance.random()
        after_s = 0.0
        if odds.slow and chance.random() < odds.slow:
            after_s = chance.random() * odds.slow_s_max
        for kind in KINDS:
            draw -= getattr(odds, kind)
            if draw < 0:
                return self._drawn(kind, appends, after_s)
        return Slow(after_s=after_s) if after_s else None

    def _drawn(self, kind: str, appends: int, after_s: float) -> Fault:
        chance = self.chance
        written = chance.randint(0, appends)
        for_s = chance.random() * self.odds.away_s_max
        if kind == "rejected":
            return Rejected(after_s=after_s)
        if kind == "connection_lost":
            return ConnectionLost(for_s, after_s=after_s)
        if kind == "disk_full":
            return DiskFull(after_s=after_s)
        if kind == "torn":
            return Torn(written, for_s, after_s=after_s)
        if kind == "answer_lost":
            return AnswerLost(chance.random() < 0.5, for_s, after_s=after_s)
        return Crash(written, after_s=after_s)
