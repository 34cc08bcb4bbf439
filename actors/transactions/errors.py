"""What can go wrong around a transaction, a class per situation."""

from ...events import DramaturgError
from ..runtime import CommandRejectedError


class TransactionError(DramaturgError):
    """The root of the coordinator's errors."""


class TransactionRefusedError(TransactionError, CommandRejectedError):
    """What was asked is against the plan, the limits or the transaction's state."""


class TransactionNotFoundError(TransactionError, CommandRejectedError):
    """The coordinator has no such open transaction."""

    def __init__(self, stream: str) -> None:
        super().__init__(
            f"there is no open transaction {stream!r}: look its stream up in the log "
            "to see what became of it"
        )
        self.stream = stream


class TransactionFailedError(TransactionError):
    """A transaction did not commit."""


class UnknownStepError(TransactionError):
    """No step is registered under this name."""


class FencedError(TransactionError):
    """A late effect of a step that has been, or is being, taken back."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"step {key} comes too late, its transaction has turned back: nothing "
            "was changed, begin a new transaction"
        )
        self.key = key


class ChangedMeanwhileError(TransactionError):
    """Somebody outside the transaction changed what it would have to restore."""
