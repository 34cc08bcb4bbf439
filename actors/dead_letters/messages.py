"""What is said to the actor of a dead letter queue, and what it says to others."""

from typing import Literal

import msgspec

from ...events import Event
from ..runtime import Ask, Message
from .entry import Entry

Limit = Literal["evict_oldest", "reject_new"]
"""What a full queue does: let go of its oldest entry, or refuse the new one."""


# Between the queue and those who park.


class HasRoom(Ask[bool]):
    """Ask, before giving up, whether the queue would take `item`.

    A `True` reserves the place until the entry is adopted or the reservation runs
    out; asked again for the same item it renews it. With `evict_oldest` it is
    always true.
    """

    item: str
    """The stream of the work."""


class Adopt(Message):
    """A new entry was opened: from now on the queue's actor owns its stream.

    Told by whoever appended `Parked`, once that is durable. Telling twice is
    harmless, and so is never: the sweep finds entries that nobody announced.
    """

    stream: str
    """The stream of the entry."""
    events: tuple[Event, ...]
    """All of its events, from version 1."""
    owner: str = ""
    """Whose data they are; empty: whose this message is."""


class TakeBack(Ask[bool]):
    """The queue hands work back to its owner, who decides in one append.

    The owner appends its own event that the work goes on and `Returned`, at
    `version + 1`, to the entry's stream, and answers `True` once both are durable.
    `False`: the work is not taken, and the owner writes nothing to the entry. It may
    be asked again about an entry that it has taken back already, after a crash or
    when an answer was lost; it then appends nothing and answers `True`.
    """

    entry: str
    version: int
    """The version of the entry's last event; the next one is the owner's."""
    item: str
    item_version: int
    """The version of the giving-up event in the item's stream."""
    payload: msgspec.Raw | None = None
    """The edited payload; None: unchanged."""


# What the queue tells itself.


class Start(Message):
    """Catch up with what happened while nobody was there."""


class Sweep(Message):
    """Let go of what is too old, and look for entries nobody announced."""


class Round(Message):
    """Redrive what is due; unless it is for bulk redrives only, all of it."""

    planned_only: bool = False


class FoundInLog(Message):
    """Open entries in the log that the queue did not know of."""

    adoptions: tuple[Adopt, ...]


class Answered(Message):
    """The owner of the work has answered a `TakeBack`, or has not."""

    stream: str
    taken: bool | None
    """None: no answer came, it is to be asked again."""
    error: str = ""


class LookedUp(Message):
    """Where the stream of an entry ends, whose owner did not take the work."""

    stream: str
    version: int
    """0: that could not be read."""


# What users ask.


class Selection(msgspec.Struct, frozen=True, gc=False):
    """Which entries are meant; empty fields select everything."""

    entries: tuple[str, ...] = ()
    """Streams of entries."""
    pipeline: str = ""
    stage: str = ""
    error: str = ""
    category: str = ""
    fingerprint: str = ""
    target: str = ""
    batch: str = ""
    """Those that wait for this bulk redrive."""
    entries_max: int = 1000
    """At most so many, the most urgent ones."""


class Redriving(msgspec.Struct, frozen=True, gc=False):
    """What a redrive comes to."""

    entries: tuple[str, ...]
    """Those that are, or with a dry run would be, redriven."""
    batch: str = ""
    last_due_us: int = 0
    """When the last of them is due."""
    left: int = 0
    """How many more were meant than the selection's limit allows."""


class Redrive(Ask[Redriving]):
    """Redrive one, many or all entries, the most urgent first.

    They go out `per_s` a second, as far as the breakers of their targets let them.
    Entries that somebody claimed are left out unless they are named.
    """

    selection: Selection = Selection()
    reason: str = ""
    dry_run: bool = False
    per_s: float = 0.0
    """0: as fast as the queue's own pace allows."""
    payload: msgspec.Raw | None = None
    """An edited payload, for a single entry."""


class CancelRedrive(Ask[int]):
    """Call off what is still waiting of a redrive; answers how many that were."""

    batch: str
    reason: str


class Discard(Ask[int]):
    """Decide that work need not be done; answers how many entries were closed."""

    selection: Selection
    reason: str


class Resolve(Ask[int]):
    """Say that work was seen to by other means; answers how many were closed."""

    selection: Selection
    reason: str


class Claim(Ask[bool]):
    """Look into an entry; its background retries pause. Answers True."""

    entry: str
    reason: str = ""


class Release(Ask[bool]):
    """Look no further into an entry. Answers whether it was claimed."""

    entry: str
    reason: str = ""


class Note(Ask[bool]):
    """Write a remark on an entry."""

    entry: str
    text: str


class Escalate(Ask[bool]):
    """Say that a person has to look at an entry."""

    entry: str
    reason: str


class Prioritise(Ask[bool]):
    """Move an entry forward or back; higher numbers are redriven first."""

    entry: str
    priority: int
    reason: str = ""


class ListEntries(Ask[tuple[Entry, ...]]):
    """List entries, the most urgent first, without secrets in their messages."""

    selection: Selection = Selection()


class Statistics(msgspec.Struct, frozen=True, gc=False):
    """A queue in numbers; the counters go back to the start of its actor."""

    size: int
    entries_max: int
    reserved: int
    oldest_age_s: float
    due: int
    redriving: int
    claimed: int
    escalated: int
    by_category: dict[str, int]
    by_fingerprint: dict[str, int]
    parked: int
    returned: int
    evicted: int
    expired: int
    discarded: int
    resolved: int


class GetStatistics(Ask[Statistics]):
    """Ask for the numbers of the queue."""
