"""An append on its way from the loop to whatever keeps it."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from .api import Context, IdempotencyKey, Incarnation, StreamAppend
from .encoding import EventEncoder, check_key
from .errors import AppendRejectedError, EncodingError, KeyTakenError, LogError
from .outcomes import Waiter

SHARED_MAX: Final = 32
"""Decisions that share an append at most: so many fail if one of them does."""


class Backlog:
    """What a log has accepted and not written; calls `full` from so many events on."""

    __slots__ = ("decisions", "encode", "events", "events_max", "full")

    def __init__(
        self, encoder: EventEncoder, events_max: int, full: Callable[[], None]
    ) -> None:
        self.encode = encoder.encode
        self.events_max = events_max
        self.full = full
        self.events = 0
        self.decisions = 0
        """Those that were not handed over yet."""

    def add(self, events: int) -> None:
        """Count a decision in."""
        self.decisions += 1
        self.events += events
        if self.events >= self.events_max:
            self.full()


class Pending(msgspec.Struct):
    """An append with its events encoded.

    The collector sees it: whoever is told of the outcome may refer to the log.
    """

    streams: Sequence[StreamAppend]
    otherwise: Context
    """The context of those of its streams that name none."""
    done: Waiter
    keys: Sequence[IdempotencyKey]
    incarnation: Incarnation | None
    datas: Sequence[bytes]
    """The data of all its events."""
    refused: AppendRejectedError | None = None
    """Why it is refused whatever the log holds."""
    backlog: Backlog | None = None
    """Where it waits; None: it is on its way, and takes no further decision in."""
    decisions: int = 1
    """How many decisions share it."""

    @property
    def contexts(self) -> list[Context]:
        """The context of each of its streams."""
        otherwise = self.otherwise
        return [append.context or otherwise for append in self.streams]

    def extend(self, streams: Sequence[StreamAppend]) -> bool:
        """Let another decision share this append; each stream names its context.

        False: it is on its way already, or has enough, or a decision cannot share it
        because it may fail by itself: for a key, or an event that cannot be encoded.
        Then it is to be submitted by itself. Only the append that its owner submitted
        last may be extended, lest events of a stream change places.
        """
        backlog = self.backlog
        if backlog is None or self.decisions >= SHARED_MAX:
            return False
        try:
            datas = backlog.encode(streams)
        except EncodingError:
            return False
        self.streams = [*self.streams, *streams]
        self.datas = [*self.datas, *datas]
        self.decisions += 1
        backlog.decisions += 1
        backlog.events = events = backlog.events + len(datas)
        if events >= backlog.events_max:
            backlog.full()
        return True

    def revoke_after(self, error: LogError) -> None:
        """End its incarnation, unless only a key was taken."""
        if self.incarnation is not None and not isinstance(error, KeyTakenError):
            self.incarnation.revoked = True

    def refusal(self, error: AppendRejectedError) -> AppendRejectedError:
        """Return `error` as the outcome, and end the incarnation.

        Without its traceback, whose frames hold the whole group and who waits for it
        for as long as anybody keeps the error.
        """
        self.revoke_after(error)
        return error.with_traceback(None)


def encoded(  # noqa: PLR0913, PLR0917 - the parameters of `EventLog.submit`
    backlog: Backlog,
    streams: Sequence[StreamAppend],
    context: Context,
    done: Waiter,
    keys: Sequence[IdempotencyKey],
    incarnation: Incarnation | None,
) -> Pending:
    """Encode an append's events and count it in.

    One that cannot be encoded is refused already. It takes its place in the queue all
    the same, so that outcomes keep their order.
    """
    datas: Sequence[bytes] = ()
    refused: EncodingError | None = None
    try:
        for key in keys:
            check_key(key)
        datas = backlog.encode(streams)
    except EncodingError as error:
        refused = error.with_traceback(None)
    backlog.add(len(datas))
    joinable = None if keys or refused is not None else backlog
    return Pending(streams, context, done, keys, incarnation, datas, refused, joinable)
