"""An append on its way from the loop to whatever keeps it."""

from collections.abc import Sequence

import msgspec

from .api import Context, IdempotencyKey, Incarnation, StreamAppend
from .encoding import EventEncoder, check_key
from .errors import AppendRejectedError, EncodingError, KeyTakenError, LogError
from .outcomes import Waiter


class Pending(msgspec.Struct):
    """An append with its events encoded.

    The collector sees it: whoever is told of the outcome may refer to the log.
    """

    streams: Sequence[StreamAppend]
    context: Context
    done: Waiter
    keys: Sequence[IdempotencyKey]
    incarnation: Incarnation | None
    datas: Sequence[bytes]
    """The data of all its events."""
    refused: AppendRejectedError | None = None
    """Why it is refused whatever the log holds."""

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
        refused = error.with_traceback(None)
        return Pending(streams, context, done, keys, incarnation, (), refused)
    return Pending(streams, context, done, keys, incarnation, datas)
