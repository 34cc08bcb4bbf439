"""Handlers that take too long: reported, cancelled, and abandoned if that is no use."""

from typing import TYPE_CHECKING, Final

import structlog

from .errors import HandlerTimeoutError

if TYPE_CHECKING:
    from .cell import Cell
    from .clock import Alarm, Clock

LOOK_S: Final = 1.0
"""How often suspended handlers are looked at; their limit is that coarse."""

_log = structlog.get_logger(__name__)


class Overdue:
    """The suspended handlers of a system, and when each has had its time."""

    __slots__ = ("_alarm", "_clock", "_due", "_late")

    def __init__(self, clock: "Clock") -> None:
        self._clock = clock
        self._due: dict[Cell, float] = {}
        self._late: dict[Cell, HandlerTimeoutError] = {}
        self._alarm: Alarm | None = None

    def add(self, cell: "Cell") -> None:
        """Note that the handler of `cell` has suspended."""
        self._due[cell] = self._clock.now_s() + cell.spec.handler_max_s
        if self._alarm is None:
            self._alarm = self._clock.call_later(LOOK_S, self._look)

    def take(self, cell: "Cell") -> HandlerTimeoutError | None:
        """Note that it has ended; return the error if it was cancelled for its time."""
        self._due.pop(cell, None)
        return self._late.pop(cell, None)

    def close(self) -> None:
        """Look no more."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _look(self) -> None:
        now_s = self._clock.now_s()
        for cell, due_s in tuple(self._due.items()):
            if due_s <= now_s:
                self._act(cell, now_s)
        waiting = bool(self._due)
        self._alarm = self._clock.call_later(LOOK_S, self._look) if waiting else None

    def _act(self, cell: "Cell", now_s: float) -> None:
        worker, error = cell.job, self._late.get(cell)
        assert worker is not None
        if error is not None:
            _log.error("actor.abandoned", **_line(cell))
            worker.abandon()
            cell.crashed(error)
            return
        _log.error("actor.handler_slow", **_line(cell))
        limit_s = cell.spec.handler_max_s
        self._late[cell] = HandlerTimeoutError(cell.path, cell.message, limit_s)
        self._due[cell] = now_s + cell.spec.shutdown_s
        worker.cancel()


def _line(cell: "Cell") -> dict[str, str | float]:
    return {
        "actor": cell.path,
        "message": type(cell.message).__name__,
        "limit_s": cell.spec.handler_max_s,
    }
