"""What the owner of many streams decides, and what it may use for that."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from ...events import Event
from ...events.log import IdempotencyKey
from .context import ActorContext

if TYPE_CHECKING:
    from .cell import Cell
    from .stream_owner import StreamOwnerJournal
    from .system import ActorSystem


class Write(msgspec.Struct, frozen=True, gc=False):
    """Events for one stream."""

    stream: str
    events: tuple[Event, ...]
    expected: int | None = None
    """The version the stream stands at; None: it is this actor's own, so it is known
    (0 if new). Given for streams of others, and for closed ones."""


class OwnerDecision(msgspec.Struct, frozen=True):
    """What a command leads to: one append over all streams, or nothing."""

    writes: tuple[Write, ...] = ()
    reply: Any = None
    """Answers an ask, once all that was decided so far is durable."""
    keys: tuple[IdempotencyKey, ...] = ()
    """If one is in use the asker gets `KeyTakenError` and nothing happens."""
    owner: str | None = None
    """Whose data the events are in streams that are nobody's so far; None: as in the
    decision's other streams, or, if those have several owners, whose the message is."""


class OwnerContext(ActorContext):
    """What an actor that owns many streams may use besides."""

    __slots__ = ("_journal",)

    def __init__(self, cell: "Cell", system: "ActorSystem") -> None:
        super().__init__(cell, system)
        self._journal: StreamOwnerJournal[Any] | None = None

    def attach(self, journal: "StreamOwnerJournal[Any]") -> None:
        """Say whose streams these are: the runtime's call."""
        self._journal = journal

    def adopt(self, stream: str, events: Iterable[Event], owner: str = "") -> None:
        """Own `stream` from now on; `events` are all it has, from version 1.

        They are `owner`'s data, or whose the message is. Harmless if the stream is
        known to go that far already.
        """
        assert self._journal is not None
        self._journal.adopt(stream, tuple(events), owner or self.origin.owner)

    def release(self, stream: str) -> None:
        """Forget `stream`: another actor owns it from now on."""
        assert self._journal is not None
        self._journal.release(stream)
