"""An append on its way from the loop to whatever keeps it."""

from collections.abc import Sequence

import msgspec

from .api import Context, Done, IdempotencyKey, Incarnation, StreamAppend
from .encoding import EventEncoder, check_key
from .errors import EncodingError, KeyTakenError, LogError


class Pending(msgspec.Struct):
    """An append with its events encoded."""

    streams: Sequence[StreamAppend]
    context: Context
    done: Done
    keys: Sequence[IdempotencyKey]
    incarnation: Incarnation | None
    datas: list[list[bytes]]
    """The data of the events, a list per entry of `streams`."""
    size: int
    """How many events."""
    refused: EncodingError | None = None

    @property
    def revoked(self) -> bool:
        """Whether its writer was declared failed since."""
        return self.incarnation is not None and self.incarnation.revoked

    def revoke_after(self, error: LogError) -> None:
        """End its incarnation, unless only a key was taken."""
        if self.incarnation is not None and not isinstance(error, KeyTakenError):
            self.incarnation.revoked = True


def encoded(  # noqa: PLR0913, PLR0917 - the parameters of `EventLog.submit`
    encoder: EventEncoder,
    streams: Sequence[StreamAppend],
    context: Context,
    done: Done,
    keys: Sequence[IdempotencyKey],
    incarnation: Incarnation | None,
) -> Pending:
    """Encode an append's events; one that cannot be encoded is refused already.

    It takes its place in the queue all the same, so that outcomes keep their order.
    """
    datas: list[list[bytes]] = []
    size = 0
    try:
        for append in streams:
            data = [encoder.encode(event) for event in append.events]
            size += len(data)
            datas.append(data)
        for key in keys:
            check_key(key)
    except EncodingError as error:
        return Pending(streams, context, done, keys, incarnation, [], 0, error)
    return Pending(streams, context, done, keys, incarnation, datas, size)
