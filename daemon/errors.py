"""What a command can be told wrongly."""

from ..events import DramaturgError


class UsageError(DramaturgError):
    """The command was called in a way that cannot work; exit status 2."""
