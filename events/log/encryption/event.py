"""The events that say that a log is encrypted, and whose data was erased from it."""

from ...event import Event

STREAM = "log/erasures"
"""The stream of the events of erasures."""

MARK = "log/encryption"
"""The stream that a log has from the first event on that is encrypted."""


class EncryptionBegan(Event, tag="log.encrypted", version=1):
    """Owners' events are encrypted from here on; it is in one commit with the first."""

    key: str
    """The name of a key: the log's key file is the one that holds it, if destroyed."""


class ErasureBegan(Event, tag="log.erasing", version=1):
    """Somebody's data is about to be erased; after a crash it is to be repeated."""

    owner: str
    """As it stands in the headers of the owner's events, which stay."""
    keys: tuple[str, ...]
    """The names of the keys that are destroyed."""
    events: int
    reason: str


class OwnerErased(Event, tag="log.erased", version=1):
    """The keys of an owner's payloads were destroyed: nobody can read them any more."""

    owner: str
    keys: tuple[str, ...]
    """The names of the keys that were destroyed."""
    events: int
    """How many events the owner has whose payloads are ciphertext."""
    artifacts: int
    """How many files of large values were deleted."""
    reason: str


EVENTS: tuple[type[Event], ...] = (EncryptionBegan, ErasureBegan, OwnerErased)
