"""When the loop hands what it has gathered to the writer."""

from typing import Final

IDLE_TICKS: Final = 4
"""After so many ticks of the loop without an append nobody seems to be at one."""

PATIENCE_MAX_S: Final = 0.005
"""More is never waited for longer, however slow the disk is."""


class Gathering:
    """Tells when a group is complete enough to be written.

    A group costs an fsync and its hand-overs however small it is, and whoever comes
    a moment after it has begun waits for its end. Those whose appends were just
    answered are likely to append again, all of them within a few ticks of the loop:
    a group is handed over when as many have come as were answered, when the loop has
    nothing more for it, or after as much time as the last group took. Who appends
    alone is never kept waiting.
    """

    __slots__ = ("_began_s", "_idle", "_owed", "_seen", "_sent_s", "_took_s")

    def __init__(self) -> None:
        self._owed = 0
        """Answers that may bring an append yet."""
        self._seen = 0
        self._idle = 0
        self._began_s = 0.0
        self._sent_s = 0.0
        self._took_s = 0.0

    def is_complete(self, appends: int, now_s: float) -> bool:
        """Tell whether to hand so many appends over now: asked once a tick."""
        if appends >= self._owed:
            return True
        if not self._seen:
            self._began_s = now_s
        if appends == self._seen:
            self._idle += 1
        else:
            self._seen, self._idle = appends, 0
        patience_s = min(self._took_s, PATIENCE_MAX_S)
        if self._idle < IDLE_TICKS and now_s - self._began_s < patience_s:
            return False
        self._owed = 0  # who has not come by now may never come
        return True

    def sent(self, appends: int, now_s: float) -> None:
        """Note that so many appends were handed over."""
        self._owed = max(0, self._owed - appends)
        self._seen = self._idle = 0
        self._sent_s = now_s

    def answered(self, appends: int, now_s: float) -> None:
        """Note that so many appends are durable."""
        self._owed += appends
        self._took_s = now_s - self._sent_s
