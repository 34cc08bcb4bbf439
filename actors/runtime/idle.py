"""Noticing that an actor has had nothing to do for a while."""

from typing import TYPE_CHECKING, Final

from .messages import Message, Tick

if TYPE_CHECKING:
    from .cell import Cell
    from .clock import Alarm

LOOKS: Final = 4
"""Looks in the time that an actor has to be idle: so much later, by a quarter at the
most, is it noticed. Counting messages instead costs each message nothing."""


class Quiet:
    """Counts the looks at a cell since it last did something."""

    __slots__ = ("_cell", "_handled", "_looks")

    def __init__(self, cell: "Cell") -> None:
        self._cell = cell
        self._handled = cell.handled
        self._looks = 0

    def look(self) -> bool:
        """Tell whether the cell was idle at each of the last `LOOKS` looks."""
        cell = self._cell
        idle = cell.handled == self._handled and not cell.busy and not cell.depth
        self._handled = cell.handled
        self._looks = self._looks + 1 if idle else 0
        return self._looks >= LOOKS


class IdleTimer:
    """Sends an actor a message whenever it was idle for a time."""

    __slots__ = ("_alarm", "_cell", "_interval_s", "_message", "_quiet", "_stale")

    def __init__(self, cell: "Cell", after_s: float, message: "Message") -> None:
        self._cell = cell
        self._message = message
        self._interval_s = after_s / LOOKS
        self._quiet = Quiet(cell)
        self._stale = False
        self._alarm: Alarm = self._next()

    def _next(self) -> "Alarm":
        return self._cell.pump.clock.call_later(self._interval_s, self._look)

    def _look(self) -> None:
        if self._quiet.look():
            self._quiet = Quiet(self._cell)
            self._cell.deliver(Tick(self))
        self._alarm = self._next()

    def taken(self) -> Message | None:
        """Return the message now that the tick is worked off; None: it is stale."""
        return None if self._stale else self._message

    def cancel(self) -> None:
        """Send nothing any more, and drop what was sent and not yet read."""
        self._stale = True
        self._alarm.cancel()
