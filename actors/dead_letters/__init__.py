"""Dead letters: failed work waits in one place until it is redriven or let go."""

from .actor import DeadLetterActor
from .entry import Entry
from .errors import (
    DeadLetterError,
    DeadLetterRefusedError,
    EntryBusyError,
    EntryNotFoundError,
)
from .fingerprint import fingerprint
from .messages import (
    Adopt,
    CancelRedrive,
    Claim,
    Discard,
    Escalate,
    GetStatistics,
    HasRoom,
    ListEntries,
    Note,
    Prioritise,
    Redrive,
    Redriving,
    Release,
    Resolve,
    Selection,
    Statistics,
    TakeBack,
)
from .parking import park
from .policy import QueuePolicy
from .ramp import Gate, GateKeeper

__all__ = [
    "Adopt",
    "CancelRedrive",
    "Claim",
    "DeadLetterActor",
    "DeadLetterError",
    "DeadLetterRefusedError",
    "Discard",
    "Entry",
    "EntryBusyError",
    "EntryNotFoundError",
    "Escalate",
    "Gate",
    "GateKeeper",
    "GetStatistics",
    "HasRoom",
    "ListEntries",
    "Note",
    "Prioritise",
    "QueuePolicy",
    "Redrive",
    "Redriving",
    "Release",
    "Resolve",
    "Selection",
    "Statistics",
    "TakeBack",
    "fingerprint",
    "park",
]
