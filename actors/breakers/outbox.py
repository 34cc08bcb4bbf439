"""The events of a breaker on their way into the log.

The breaker lives on while they travel, and while the log cannot be written.
"""

from collections import deque
from collections.abc import Iterable

import msgspec

from ...events import Event
from ...events.breaker import CaughtUp
from .state import BreakerState

WAITING_MAX = 1000
"""Beyond this the state itself is logged in place of what led to it."""


class Outbox:
    """Keeps events until they are known to be durable.

    `version` is the stream's as of the last event known to be durable. After a
    failed append the recovered version tells which of the events handed over were
    written after all.
    """

    __slots__ = ("handed", "missing", "version", "waiting")

    def __init__(self) -> None:
        self.version = 0
        self.waiting: list[Event] = []
        self.handed: deque[Event] = deque()
        self.missing = 0
        """How many events were dropped since the log could last be written."""

    def add(self, event: Event) -> None:
        """Take an event to be logged."""
        self.waiting.append(event)
        if len(self.waiting) > WAITING_MAX:
            self._drop()

    def _drop(self) -> None:
        self.missing += len(self.waiting)
        self.waiting.clear()

    def take(self, state: BreakerState, at_us: int) -> tuple[Event, ...]:
        """Hand over what waits; `state` is the one that was lived to."""
        if self.missing:
            self._drop()
            plain = msgspec.to_builtins(state)
            self.waiting.append(CaughtUp(at_us, self.missing, plain))
            self.missing = 0
        events = tuple(self.waiting)
        self.handed.extend(events)
        self.waiting.clear()
        return events

    def confirm(self) -> Event:
        """Note that the oldest event handed over is durable, and return it."""
        self.version += 1
        return self.handed.popleft()

    def recover(self, version: int) -> tuple[Event, ...]:
        """Go on from the recovered version; return the events that were written.

        The others wait again, before those that came later.
        """
        count = version - self.version
        written = tuple(self.handed)[:count]
        self.waiting = [*tuple(self.handed)[count:], *self.waiting]
        self.handed.clear()
        self.version = version
        return written

    def restart(self, version: int) -> None:
        """Begin at this version, with nothing on its way."""
        self.version = version
        self.waiting.clear()
        self.handed.clear()

    def drop(self, events: Iterable[Event]) -> None:
        """Forget events that wait: those who asked for them were told that they failed."""
        dropped = {id(event) for event in events}
        self.waiting = [event for event in self.waiting if id(event) not in dropped]
