"""What happens to failed work once it is parked: the life of a dead letter.

An entry is a stream `dead-letter/<queue>/<id>`. Its first event, `Parked`, is in the
same append as the giving-up event of the work it stands for; its last one says what
became of it. Times are wall time in microseconds.
"""

from typing import Literal

import msgspec

from .event import Event
from .pipelines import NOTHING

Strategy = Literal["exponential", "linear", "fixed", "fibonacci", "manual", "none"]
"""How an entry is retried in the background.

`manual` waits for a person and shows up for review; `none` is not retried at all.
"""


class Parked(Event, tag="dead_letter.parked"):
    """Work was given up and waits here; it is in no other place."""

    item: str
    """The stream of the work, such as `item/documents/0192`."""
    item_version: int
    """The version of its giving-up event, in the same append as this one."""
    pipeline: str
    stage: str
    error: str
    """The class of the error."""
    message: str
    fingerprint: str
    """Equal for failures of one cause: error class, stage, shape of the message."""
    attempts: int
    at_us: int
    category: str = "unknown"
    """The class of failures it was counted to, by which the strategy was chosen."""
    priority: int = 0
    """Higher ones are redriven first."""
    strategy: Strategy = "exponential"
    redrives: int = 0
    """How often this item was redriven out of earlier entries."""
    redrives_max: int = 5
    target: str = ""
    """The breaker of the dependency that failed; redrives wait while it is open."""
    key: str = ""
    """The order key of the item; empty: none."""
    payload: msgspec.Raw = NOTHING
    """The work itself, where the item's own stream does not hold it."""
    packed: bool = False
    """Whether the payload is a JSON string of deflated bytes in base 85."""
    artifact: str = ""
    """A large payload's address in the artifact store."""
    expires_us: int | None = None
    """When the entry expires; None: as its queue's time to live says."""


class RetryScheduled(Event, tag="dead_letter.retry_scheduled"):
    """The entry is redriven once `due_us` has come and its target lets it pass."""

    due_us: int
    at_us: int
    reason: str = ""
    batch: str = ""
    """The bulk redrive it belongs to; empty: the background retries."""
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """The edited payload; unset: as it was. (`Raw | None` cannot be read back.)"""


class RetryCancelled(Event, tag="dead_letter.retry_cancelled"):
    """The scheduled redrive was called off."""

    reason: str
    at_us: int


class RedriveRequested(Event, tag="dead_letter.redrive_requested"):
    """The work is being handed back; until the answer only its new owner may write."""

    at_us: int
    batch: str = ""
    """The bulk redrive it belongs to; empty: the background retries."""


class RedriveRefused(Event, tag="dead_letter.redrive_refused"):
    """Its owner did not take the work back; it stays parked."""

    reason: str
    at_us: int


class Returned(Event, tag="dead_letter.returned", closes=True):
    """Its owner has the work again, from the same append on."""

    at_us: int


class Evicted(Event, tag="dead_letter.evicted", closes=True):
    """The queue was full and this was its oldest entry."""

    entries_max: int
    at_us: int


class Expired(Event, tag="dead_letter.expired", closes=True):
    """Nobody wanted it before its time was over."""

    at_us: int


class Discarded(Event, tag="dead_letter.discarded", closes=True):
    """Somebody decided that the work need not be done."""

    reason: str
    by: str
    at_us: int


class Resolved(Event, tag="dead_letter.resolved", closes=True):
    """Somebody saw to it by other means."""

    reason: str
    by: str
    at_us: int


class Claimed(Event, tag="dead_letter.claimed"):
    """Somebody looks into it; background retries pause until it is released."""

    by: str
    reason: str
    at_us: int


class Released(Event, tag="dead_letter.released"):
    """Nobody looks into it any more."""

    by: str
    reason: str
    at_us: int


class Noted(Event, tag="dead_letter.noted"):
    """Somebody wrote a remark."""

    text: str
    by: str
    at_us: int


class Escalated(Event, tag="dead_letter.escalated"):
    """A person has to look at it: retrying will not help, or has not."""

    reason: str
    at_us: int


class Prioritised(Event, tag="dead_letter.prioritised"):
    """It was moved forward or back among the entries that are due."""

    priority: int
    reason: str
    at_us: int


EVENTS: tuple[type[Event], ...] = (
    Parked,
    RetryScheduled,
    RetryCancelled,
    RedriveRequested,
    RedriveRefused,
    Returned,
    Evicted,
    Expired,
    Discarded,
    Resolved,
    Claimed,
    Released,
    Noted,
    Escalated,
    Prioritised,
)
