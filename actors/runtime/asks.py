"""Deadlines of asks: one coarse sweep instead of a timer each."""

from collections import deque
from typing import TYPE_CHECKING, Final

from .errors import ActorStoppedError, AskTimeoutError
from .mailbox import Reply, refuse

if TYPE_CHECKING:
    from .cell import Cell
    from .clock import Alarm, Clock
    from .messages import Message
    from .origin import Origin
    from .pump import Pump

SWEEP_S: Final = 0.25
"""How often asks are looked at; an ask may take that much longer than its timeout."""

_AT_ONCE_MAX: Final = 2000
"""Asks looked at in one turn of the loop."""


class Asks:
    """The asks that wait for an answer."""

    __slots__ = ("_alarm", "_clock", "_open", "_pump")

    def __init__(self, pump: "Pump", clock: "Clock") -> None:
        self._pump = pump
        self._clock = clock
        self._open: deque[tuple[float, Reply, Cell, Message, float]] = deque()
        self._alarm: Alarm | None = None

    def add(
        self,
        reply: Reply,
        target: "Cell",
        message: "Message",
        timeout_s: float,
        origin: "Origin | None",
    ) -> None:
        """Fail `reply` with `AskTimeoutError` unless it is answered in time."""
        due_s = self._clock.now_s() + timeout_s
        if origin is not None and origin.deadline_s is not None:
            due_s = min(due_s, origin.deadline_s)
        self._open.append((due_s, reply, target, message, timeout_s))
        if self._alarm is None:
            self._alarm = self._clock.call_later(SWEEP_S, self._sweep)

    def _sweep(self, left: int | None = None) -> None:
        """Drop the answered, fail the overdue, keep the others."""
        now_s = self._clock.now_s()
        waiting = self._open
        left = len(waiting) if left is None else left
        for _ in range(min(left, _AT_ONCE_MAX)):
            ask = waiting.popleft()
            due_s, reply, target, message, timeout_s = ask
            if reply.done():
                continue
            if due_s <= now_s:
                refuse(reply, AskTimeoutError(target.path, message, timeout_s))
            else:
                waiting.append(ask)
        if left > _AT_ONCE_MAX:
            self._pump.loop.call_soon(self._sweep, left - _AT_ONCE_MAX)
        elif waiting:
            self._alarm = self._clock.call_later(SWEEP_S, self._sweep)
        else:
            self._alarm = None

    def close(self) -> None:
        """Look no more: the system is over, and nobody answers now."""
        if self._alarm is not None:
            self._alarm.cancel()
        for _, reply, target, _, _ in self._open:
            refuse(reply, ActorStoppedError(target.path))
        self._open.clear()
