"""What a command can be told wrongly."""

from ..events import DramaturgError


class UsageError(DramaturgError):
    """The command was called in a way that cannot work; exit status 2."""


class OutputLostError(DramaturgError):
    """What the command came to could not be written to standard output."""


class ReaderGoneError(OutputLostError):
    """Nobody reads standard output any more, as with `| head`."""

    def __init__(self) -> None:
        super().__init__("nobody reads standard output any more")
