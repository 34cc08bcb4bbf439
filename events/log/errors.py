"""What can go wrong with a log, a class per situation."""

import msgspec

from ..errors import DramaturgError

MALFORMED = (msgspec.MsgspecError, UnicodeDecodeError)
"""What reading JSON raises for bytes of another shape: text is decoded as it is met."""


class LogError(DramaturgError):
    """The root of the log's errors."""


class AppendRejectedError(LogError):
    """Nothing of this append was written, and trying the same again will not help."""


class VersionConflictError(AppendRejectedError):
    """A stream has moved on since the writer last saw it."""

    def __init__(self, stream: str, expected: int, head: int) -> None:
        super().__init__(
            f"stream {stream!r} is at version {head}, the append expected {expected}: "
            "read the stream again and decide anew",
        )
        self.stream = stream
        self.expected = expected
        self.head = head


class KeyTakenError(AppendRejectedError):
    """An idempotency key is in use: the work was accepted before."""

    def __init__(self, scope: str, key: str, stream: str) -> None:
        super().__init__(
            f"key {key!r} of {scope!r} was used before, by stream {stream!r}: "
            "look that stream up instead of starting again",
        )
        self.scope = scope
        self.key = key
        self.stream = stream


class StaleWriterError(AppendRejectedError):
    """The append came from a failed incarnation of an actor."""

    def __init__(self) -> None:
        super().__init__(
            "an earlier append of this incarnation was refused, or it was revoked: "
            "read the streams again and start a new incarnation",
        )


class EncodingError(AppendRejectedError):
    """An event holds something that JSON cannot (NaN, infinity, 2^53 and more)."""


class LogUnavailableError(LogError):
    """The log cannot be written now; nothing of this append was written."""


class OutcomeUnknownError(LogUnavailableError):
    """The disk failed while this append was being written: it may be there or not."""


class LogLockedError(LogError):
    """Another process writes this log."""

    def __init__(self, path: str, pid: int | None) -> None:
        owner = f"process {pid}" if pid else "another process"
        super().__init__(
            f"{path} is being written by {owner}: stop it first, or read the log "
            "without writing",
        )
        self.pid = pid


class LogFormatError(LogError):
    """The file is no log, or one of a format this version cannot read."""


class LogDamagedError(LogError):
    """Stored bytes do not say what they said when they were written."""


class LogNotFoundError(LogError):
    """There is no log at this path."""


class LogUnreadableError(LogError):
    """The file is there and cannot be opened or read now, as by its permissions."""
