"""What can go wrong between nodes that share a log."""

from ..errors import AppendRejectedError, LogUnavailableError


class NotOwnerError(AppendRejectedError):
    """The stream is another node's."""

    def __init__(self, stream: str, node: str) -> None:
        super().__init__(
            f"stream {stream!r} is owned by node {node!r}: ask it, or wait until its "
            "lease is over",
        )
        self.stream = stream
        self.node = node


class OwnershipLostError(LogUnavailableError):
    """The node did not renew its lease in time; others may own its streams now."""

    @classmethod
    def of(cls, node: str) -> "OwnershipLostError":
        """Return the error of a node."""
        return cls(
            f"node {node!r} was away for longer than its lease, so that another may "
            "have taken over: what it owned is read again before it goes on",
        )
