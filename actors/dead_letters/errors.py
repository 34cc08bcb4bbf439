"""What can go wrong around dead letters, a class per situation."""

from ...events import DramaturgError
from ..runtime import CommandRejectedError


class DeadLetterError(DramaturgError):
    """The root of the queue's errors."""


class EntryNotFoundError(DeadLetterError, CommandRejectedError):
    """The queue has no such entry; it may have come to its end."""

    def __init__(self, entry: str) -> None:
        super().__init__(
            f"there is no open dead letter {entry!r}: look its stream up in the log "
            "to see what became of it"
        )
        self.entry = entry


class EntryBusyError(DeadLetterError, CommandRejectedError):
    """The entry is being handed back, so only its new owner may write it."""

    def __init__(self, entry: str) -> None:
        super().__init__(
            f"dead letter {entry!r} is being redriven: wait for the answer of its owner"
        )
        self.entry = entry


class DeadLetterRefusedError(DeadLetterError, CommandRejectedError):
    """What was asked makes no sense for the entry or the selection."""
