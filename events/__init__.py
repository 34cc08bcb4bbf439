"""What happened: the vocabulary of events, and the log that keeps them."""

from .errors import DramaturgError
from .event import Erased, Event, UnknownEvent, Withheld
from .fold import Fold
from .registry import DataError, Registry, TagTakenError
from .vocabulary import vocabulary

__all__ = [
    "DataError",
    "DramaturgError",
    "Erased",
    "Event",
    "Fold",
    "Registry",
    "TagTakenError",
    "UnknownEvent",
    "Withheld",
    "vocabulary",
]
