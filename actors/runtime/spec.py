"""How a child is started, restarted and stopped."""

from collections.abc import Callable, Sequence
from math import inf
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec

from .mailbox import Mailbox
from .supervision import AutoShutdown, Backoff, Directives, Intensity, Restart, Strategy
from .supervisor import Supervisor

if TYPE_CHECKING:
    from .actor import Actor


NO_DIRECTIVES: Final[Directives] = MappingProxyType({})
"""Shared by all specs that have none; of a dictionary each would get a copy."""


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What a parent has to know of any child, in OTP's words."""

    id: str
    """Its name under its parent; the last part of its path."""
    restart: Restart = "permanent"
    significant: bool = False
    """Whether its end may end its supervisor, see `SupervisorSpec.auto_shutdown`."""
    start_max_s: float = 60.0
    """How long `starting` may take before it is cancelled and the start has failed. A
    supervisor takes as long as its children may; reading a stream back is not counted."""
    shutdown_s: float = 5.0
    """How long a handler may take to end once a stop was asked for, and again as
    long once it was cancelled; then it is abandoned and reported. 0: it is cancelled
    at once. A supervisor takes as long as its children may."""
    handler_max_s: float = 60.0
    """A handler suspended for longer is cancelled, and its actor fails."""
    mailbox: Mailbox = Mailbox()
    backoff: Backoff | None = None
    """How long it stays down after a failure; None: restarted at once."""
    directives: Directives = NO_DIRECTIVES
    """What to do instead of a restart, by class of exception."""
    crashes_max: int = 1
    """How often a told message may crash the actor before it becomes a dead message;
    with 2 or more it is delivered again, first, to the new instance."""

    def __post_init__(self) -> None:
        """Refuse what would not work at run time, in one test if there is nothing."""
        if (
            not self.id
            or "/" in self.id
            or self.shutdown_s < 0.0  # floats are compared faster with floats
            or self.start_max_s <= 0.0
            or self.handler_max_s <= 0.0
            or self.crashes_max < 1
            or self.significant
        ):
            self._check()

    def _check(self) -> None:
        """Say what is wrong, if it is."""
        if not self.id or "/" in self.id:
            message = f"id={self.id!r}: take a name without a slash"
            raise ValueError(message)
        if self.shutdown_s < 0:
            message = f"shutdown_s={self.shutdown_s}: take 0 or more seconds"
            raise ValueError(message)
        if min(self.start_max_s, self.handler_max_s) <= 0:
            limits = f"{self.start_max_s}, handler_max_s={self.handler_max_s}"
            message = f"start_max_s={limits}: take more than 0 seconds"
            raise ValueError(message)
        if self.crashes_max < 1:
            message = f"crashes_max={self.crashes_max}: take 1 or more"
            raise ValueError(message)
        if self.significant and self.restart == "permanent":
            message = f"{self.id} is permanent, so it never ends: significant is idle"
            raise ValueError(message)


class ChildSpec(Spec, frozen=True, kw_only=True):
    """An actor to be started."""

    factory: "Callable[[], Actor]"
    """Makes a new instance at every start and restart."""


class SupervisorSpec(Spec, frozen=True, kw_only=True):
    """A supervisor to be started, with its first children.

    It is an actor like any other, and so a child that its own parent supervises:
    when it gives up, it is its parent's turn to decide.
    """

    start_max_s: float = inf
    children: "Sequence[AnySpec]" = ()
    """Started in order, each ready before the next; stopped in reverse."""
    strategy: Strategy = "one_for_one"
    restarts_max: int = 3
    within_s: float = 5.0
    auto_shutdown: AutoShutdown = "never"

    @property
    def intensity(self) -> Intensity:
        """How often it restarts children before it gives up."""
        return Intensity(self.restarts_max, self.within_s)

    @property
    def factory(self) -> "Callable[[], Actor]":
        """Makes the supervisor's instance."""
        return lambda: Supervisor(self.children)


AnySpec = ChildSpec | SupervisorSpec
"""What can be spawned."""
