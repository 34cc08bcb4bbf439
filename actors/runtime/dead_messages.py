"""Messages that reached nobody: counted, kept for a while, and told about."""

from collections import Counter, deque
from typing import Literal

import msgspec
import structlog

from .event_stream import EventStream
from .messages import Tick
from .work import Finished

Reason = Literal[
    "stopped",  # its target had stopped, or stopped before it was read
    "no_such_actor",
    "mailbox_full",
    "unhandled",  # its target has no handler for its class
    "crashed",  # its target crashed on it as often as it may
    "late_reply",  # nobody waits any more for the answer to it, or for this answer
    "stash_full",
    "stream_released",  # the actor no longer owns what the message is about
]

_log = structlog.get_logger(__name__)


class DeadMessage(msgspec.Struct, frozen=True):
    """A message that nobody worked off; failed *work* is a dead letter."""

    reason: Reason
    message: object
    target: str
    """The path of the actor it was meant for."""
    sender: str | None
    """The path of the actor that sent it, if one did."""
    at_us: int


def plain(message: object) -> object:
    """Return what may be kept of a message.

    What timers and work beside the mailbox put there leads back to the actor, with
    all its state; a dead message keeps none of that.
    """
    match message:
        case Tick():
            return message.timer.message
        case Finished():
            return Finished(None)
        case _:
            return message


class DeadMessages:
    """Keeps the latest dead messages, counts all of them, and publishes each.

    The log gets a line for each of the first `lines_max` in any `lines_within_s`
    and then one for all the others: a stopped actor with a full mailbox must not
    fill a disk.
    """

    def __init__(
        self,
        stream: EventStream,
        *,
        capacity: int = 1000,
        lines_max: int = 10,
        lines_within_s: float = 60.0,
    ) -> None:
        self._stream = stream
        self._latest: deque[DeadMessage] = deque(maxlen=capacity)
        self._lines_max = lines_max
        self._within_us = round(lines_within_s * 1_000_000)
        self._since_us = 0
        self._lines = 0
        self.counts: Counter[str] = Counter()
        """How many there were, by reason."""

    @property
    def count(self) -> int:
        """How many there were in all."""
        return self.counts.total()

    @property
    def latest(self) -> tuple[DeadMessage, ...]:
        """The last of them, oldest first."""
        return tuple(self._latest)

    def add(self, dead: DeadMessage) -> None:
        """Count `dead`, keep it, publish it, and say so in the log."""
        self.counts[dead.reason] += 1
        if getattr(dead.message, "expendable", False):
            return
        self._latest.append(dead)
        self._write_line(dead)
        self._stream.publish(dead)

    def _write_line(self, dead: DeadMessage) -> None:
        """Log `dead`, unless too many were logged of late."""
        if dead.at_us - self._since_us >= self._within_us:
            muted = self._lines - self._lines_max
            if muted > 0:
                _log.warning("message.dead_muted", messages=muted)
            self._since_us, self._lines = dead.at_us, 0
        self._lines += 1
        if self._lines > self._lines_max:
            return
        _log.warning(
            "message.dead",
            reason=dead.reason,
            message=type(dead.message).__name__,
            target=dead.target,
            sender=dead.sender,
        )
