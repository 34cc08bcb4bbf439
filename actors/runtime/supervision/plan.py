"""What a supervisor has decided to do, as data."""

from typing import Literal

import msgspec

Outcome = Literal["carry_on", "resume", "escalate", "shut_down"]
"""Carry on with the children as planned, let the failed child go on as it is, fail
the supervisor itself, or end it normally. The last two come after the stops."""


class Plan(msgspec.Struct, frozen=True):
    """Stops first, one after the other, then the starts, after `delay_s`."""

    outcome: Outcome = "carry_on"
    stops: tuple[str, ...] = ()
    """Children to stop, in reverse start order; the one that failed is down already."""
    starts: tuple[str, ...] = ()
    """Children to start again, in start order, each ready before the next."""
    forgets: tuple[str, ...] = ()
    """Children that are never started again."""
    delay_s: float = 0.0
    """How long the children stay down between the stops and the starts."""
    attempt: int = 0
    """How often in a row the failed child has failed, for its next delay."""
    restarts: tuple[float, ...] = ()
    """When the restarts happened that still count, for the next decision."""
