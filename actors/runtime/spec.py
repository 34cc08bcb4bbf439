"""How a child is started, restarted and stopped."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from .mailbox import Mailbox
from .supervision import Backoff, Directives, Restart

if TYPE_CHECKING:
    from .actor import Actor

_NO_DIRECTIVES: Directives = {}


class ChildSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a parent has to know of a child, in OTP's words."""

    id: str
    """Its name under its parent; the last part of its path."""
    factory: "Callable[[], Actor]"
    """Makes a new instance at every start and restart."""
    restart: Restart = "permanent"
    significant: bool = False
    shutdown_s: float = 5.0
    """How long a handler may take to end once a stop was asked for, and again as
    long once it was cancelled; then it is abandoned and reported."""
    handler_max_s: float = 60.0
    """A handler suspended for longer is cancelled, and its actor fails."""
    mailbox: Mailbox = Mailbox()
    backoff: Backoff | None = None
    """None: restarted at once."""
    directives: "Mapping[type[Exception], object]" = msgspec.field(
        default_factory=dict,
    )

    def __post_init__(self) -> None:
        """Refuse names that would not make a path."""
        if not self.id or "/" in self.id:
            message = f"id={self.id!r}: take a name without a slash"
            raise ValueError(message)
