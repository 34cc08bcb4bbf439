"""Messages that an actor sends itself later."""

from collections.abc import Hashable
from typing import TYPE_CHECKING

from .idle import IdleTimer
from .messages import Message, Tick
from .origin import Origin

if TYPE_CHECKING:
    from .cell import Cell
    from .clock import Alarm


class Timer:
    """One timer; it is stale once it was replaced or cancelled."""

    __slots__ = (
        "_alarm",
        "_cell",
        "_interval_s",
        "_key",
        "_timers",
        "_waits",
        "message",
        "origin",
        "stale",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - all that a timer is
        self,
        timers: "dict[Hashable, Timer | IdleTimer]",
        cell: "Cell",
        key: Hashable,
        message: Message,
        after_s: float,
        interval_s: float | None,
    ) -> None:
        self._timers = timers
        self._cell = cell
        self._key = key
        self._interval_s = interval_s
        self._waits = False
        self.message = message
        self.origin: Origin | None = cell.pump.origin
        self.stale = False
        self._alarm: Alarm = cell.pump.clock.call_later(after_s, self._fire)

    def _fire(self) -> None:
        """Put the tick in the mailbox, unless the last one still lies there."""
        if self._interval_s is not None:
            clock = self._cell.pump.clock
            self._alarm = clock.call_later(self._interval_s, self._fire)
        if not self._waits:
            self._waits = True
            self._cell.deliver((Tick(self), None, self.origin))

    def taken(self) -> Message | None:
        """Return the message now that the tick is worked off; None: it is stale."""
        self._waits = False
        if self.stale:
            return None
        if self._interval_s is None:
            del self._timers[self._key]
        return self.message

    def cancel(self) -> None:
        """Send nothing any more, and drop what was sent and not yet read."""
        self.stale = True
        self._alarm.cancel()


class Timers:
    """The timers of one actor, by key; they end with its life.

    A tick is never dropped for want of room, since there is at most one of each
    timer in the mailbox: a slow actor misses ticks of an interval instead of
    collecting them. Timers that must outlive the process are events.
    """

    __slots__ = ("_cell", "_timers")

    def __init__(self, cell: "Cell") -> None:
        self._cell = cell
        self._timers: dict[Hashable, Timer | IdleTimer] = {}

    def __len__(self) -> int:
        """Count those that are armed."""
        return len(self._timers)

    def once(self, key: Hashable, after_s: float, message: Message) -> None:
        """Send `message` to the actor itself after `after_s`; replaces `key`."""
        self._arm(key, message, after_s, None)

    def every(self, key: Hashable, interval_s: float, message: Message) -> None:
        """Send `message` to the actor itself every `interval_s`; replaces `key`."""
        self._arm(key, message, interval_s, interval_s)

    def when_idle(self, key: Hashable, after_s: float, message: Message) -> None:
        """Send `message` whenever the actor was idle for `after_s`; replaces `key`.

        It comes up to a quarter of that time late.
        """
        self.cancel(key)
        self._timers[key] = IdleTimer(self._cell, after_s, message)

    def cancel(self, key: Hashable) -> None:
        """Stop a timer; harmless if there is none."""
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    def cancel_all(self) -> None:
        """Stop all timers."""
        for key in tuple(self._timers):
            self.cancel(key)

    def _arm(
        self,
        key: Hashable,
        message: Message,
        after_s: float,
        interval_s: float | None,
    ) -> None:
        self.cancel(key)
        cell = self._cell
        timer = Timer(self._timers, cell, key, message, after_s, interval_s)
        self._timers[key] = timer
