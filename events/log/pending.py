"""An append on its way from the loop to whatever keeps it."""

from collections.abc import Sequence

import msgspec

from .api import Context, IdempotencyKey, Incarnation, StreamAppend
from .encoding import EventEncoder, check_key
from .errors import AppendRejectedError, EncodingError, KeyTakenError, LogError
from .outcomes import Waiter


class Pending(msgspec.Struct, gc=False):
    """An append with its events encoded.

    It is no part of any cycle, so the garbage collector need not look at it.
    """

    streams: Sequence[StreamAppend]
    context: Context
    done: Waiter
    keys: Sequence[IdempotencyKey]
    incarnation: Incarnation | None
    datas: list[bytes]
    """The data of all its events."""
    refused: AppendRejectedError | None = None
    """Why it is refused whatever the log holds."""

    def revoke_after(self, error: LogError) -> None:
        """End its incarnation, unless only a key was taken."""
        if self.incarnation is not None and not isinstance(error, KeyTakenError):
            self.incarnation.revoked = True


def encoded(  # noqa: PLR0913, PLR0917 - the parameters of `EventLog.submit`
    encoder: EventEncoder,
    streams: Sequence[StreamAppend],
    context: Context,
    done: Waiter,
    keys: Sequence[IdempotencyKey],
    incarnation: Incarnation | None,
) -> Pending:
    """Encode an append's events; one that cannot be encoded is refused already.

    It takes its place in the queue all the same, so that outcomes keep their order.
    """
    try:
        datas = encoder.encode(streams)
        for key in keys:
            check_key(key)
    except EncodingError as error:
        return Pending(streams, context, done, keys, incarnation, [], error)
    return Pending(streams, context, done, keys, incarnation, datas)
