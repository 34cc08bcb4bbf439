"""What turns the window of a busy breaker, so that its calls need not read the clock.

A good call only has to be counted in the right bucket. While a bucket after the
other is full of calls, one alarm at the end of each says when the next begins,
and costs less than a look at the clock by every call.
"""

from .machine import Machine
from .times import Clocks


class TurnAlarm:
    """The alarm for the end of the current bucket.

    Nobody but the loop's timer holds it. A loop that is closed drops its timers,
    and then calls look at the clock again.
    """

    __slots__ = ("_at_s", "_clocks", "_machine", "_over")

    def __init__(self, machine: Machine, clocks: Clocks) -> None:
        self._machine = machine
        self._clocks = clocks
        self._at_s = machine.generation.turn_s
        self._over = True

    def set(self, now_s: float) -> None:
        """Have it go off, if there is a loop to do so."""
        later = self._clocks.later
        if later is None:
            return
        try:
            later(max(0.0, self._at_s - now_s), self)
        except RuntimeError:
            return  # no loop of asyncio runs here
        self._over = False
        self._machine.alarm_set(self._at_s)

    def __call__(self) -> None:
        """Turn the window, and see to the end of the next bucket while there is much to do."""
        self._over = True
        now_s = self._clocks.clock()
        self._machine.alarm_rang(self._at_s, round(now_s * 1e6))
        set_alarm(self._machine, self._clocks, now_s)

    def __del__(self) -> None:
        """Have calls look at the clock themselves if it never went off."""
        if not self._over:
            self._machine.alarm_rang(self._at_s, round(self._clocks.clock() * 1e6))


def set_alarm(machine: Machine, clocks: Clocks, now_s: float) -> None:
    """Set an alarm for the end of the current bucket if the one before was busy."""
    generation = machine.generation
    if not generation.busy or generation.timed or generation.gated:
        return
    if machine.free is not generation or generation.alarm_s <= now_s:
        TurnAlarm(machine, clocks).set(now_s)
