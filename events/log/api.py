"""The words in which one speaks to a log: appends, contexts, recorded events."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import msgspec

from ..event import Event, UnknownEvent
from .errors import LogError

if TYPE_CHECKING:
    from .pending import Pending


class IdempotencyKey(msgspec.Struct, frozen=True, gc=False):
    """A key that can be used once per scope until it expires, kept with the append."""

    scope: str
    key: str
    stream: str
    expires_us: int | None = None
    """Wall time in microseconds; None: never."""


class Context(msgspec.Struct, frozen=True, gc=False):
    """Who decided an append, when and why; it stands on each of its events."""

    at_us: int
    """When it was decided, wall time in microseconds."""
    by: str = ""
    """The principal."""
    owner: str = ""
    """Whose data it is."""
    corr: str = ""
    """The correlation id."""
    cause: tuple[str, int] | None = None
    """Stream and version of the event that led to this."""


class StreamAppend(msgspec.Struct, frozen=True, gc=False):
    """Events for one stream, which must stand at version `expected` (0: new)."""

    stream: str
    expected: int
    events: tuple[Event, ...]
    context: Context | None = None
    """Who decided them, when and why; None: the context of the whole append."""


class Appended(msgspec.Struct, frozen=True, gc=False):
    """A durable append: where its first event stands and when it was committed."""

    position: int
    committed_us: int


class Header(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What is known of a recorded event besides its data. Times in microseconds.

    In the file, members that are empty here are left out.
    """

    v: int
    at: int
    committed: int
    by: str = ""
    owner: str = ""
    corr: str = ""
    cause: tuple[str, int] | None = None
    node: str = ""
    epoch: int = 0


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event as it stands in the log."""

    position: int
    stream: str
    version: int
    event: Event | UnknownEvent
    header: Header


class StreamHead(msgspec.Struct, frozen=True, gc=False):
    """Where a stream ends: its kind is its name up to the first slash."""

    stream: str
    kind: str
    version: int
    position: int
    open: bool


class Snapshot(msgspec.Struct, frozen=True, gc=False):
    """The state of a stream after `version`, folded by `fold_version` of the code."""

    stream: str
    version: int
    position: int
    fold_version: int
    state: bytes


Done = Callable[[Appended | LogError], None]
"""Called once on the loop when an append is durable or has failed."""


class Incarnation:
    """One life of a writing actor; once revoked, its queued appends are refused.

    The log revokes it itself when it rejects one of its appends, because what was
    decided afterwards stood on events that never were. A taken idempotency key is
    no such case: an answer to the asker, it leaves the incarnation as it was.
    """

    __slots__ = ("revoked",)

    def __init__(self) -> None:
        self.revoked = False


class EventLog(Protocol):
    """The asynchronous face of a log. All methods are for the loop's thread.

    Reads return pages that never hold a transaction open between them.
    """

    epoch: int
    """Counts the openings of this log for writing."""
    node: str
    position: int
    """The last durable position; 0: empty."""
    available: bool
    """False while the log cannot be written."""
    congested: bool
    """True while too many events wait to be written: take on no new work.

    It turns True at the log's limit and False again at half of it. `append`
    waits meanwhile; `submit` still accepts, so that a turn can end.
    """

    def submit(
        self,
        streams: Sequence[StreamAppend],
        context: Context,
        done: Done,
        *,
        keys: Sequence[IdempotencyKey] = (),
        incarnation: Incarnation | None = None,
    ) -> "Pending | None":
        """Queue an append, wholly or not at all; never blocks, never raises.

        `done` is called on the loop later, never from within this call, in the
        order of submission among appends that were queued. By what it returns the
        append may take further decisions in for a moment; None: it may not.
        """
        ...

    def append(
        self,
        streams: Sequence[StreamAppend],
        context: Context | None = None,
        *,
        keys: Sequence[IdempotencyKey] = (),
    ) -> Awaitable[Appended]:
        """Append at once; await what is returned until it is durable, or a `LogError`."""
        ...

    async def claim(self, name: str) -> None:
        """Wait until this node alone may write a stream.

        A name that ends in a slash stands for all streams whose names begin with it.
        An actor claims what it owns before it reads it. A claim lasts as long as
        the epoch it was made in. A log that one process writes has nothing to wait
        for. Raises `LogUnavailableError`.
        """
        ...

    def disclaim(self, name: str) -> None:
        """Give up what was claimed; never blocks, never raises.

        Whoever owned it has ended, and has nothing more to write.
        """
        ...

    async def read(
        self,
        after: int = 0,
        until: int | None = None,
        *,
        limit: int = 1000,
    ) -> list[Recorded]:
        """Read at most `limit` events of all streams with after < position <= until."""
        ...

    async def read_stream(
        self,
        stream: str,
        *,
        after: int = 0,
        until: int | None = None,
    ) -> list[Recorded]:
        """Read the events of one stream with after < version <= until."""
        ...

    async def head(self, stream: str) -> StreamHead | None:
        """Return where a stream ends, None if it never began."""
        ...

    async def open_streams(self, prefix: str = "") -> list[StreamHead]:
        """List the streams whose last event did not close them, by name."""
        ...

    async def key_stream(self, scope: str, key: str) -> str | None:
        """Return the stream that used an idempotency key, None if it is free."""
        ...

    async def snapshot(
        self,
        stream: str,
        fold_version: int,
        *,
        at_version: int | None = None,
    ) -> Snapshot | None:
        """Return the newest snapshot at or before `at_version`."""
        ...

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Queue a snapshot; it is written with a later group and may be lost."""
        ...

    def on_availability(
        self,
        listener: Callable[[bool], None],
    ) -> Callable[[], None]:
        """Call `listener` on the loop when the log fails (False) and recovers (True).

        It is called before the appends that the failure refused are told. The
        function returned takes the listener off again; so it does below.
        """
        ...

    def on_congestion(self, listener: Callable[[bool], None]) -> Callable[[], None]:
        """Call `listener` on the loop when `congested` changes."""
        ...

    def on_commit(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Call `listener` on the loop with the last durable position, once per group.

        It is called after the `done` of the group's appends.
        """
        ...


class Reader(Protocol):
    """The synchronous face of a log that is only read, by tools and time travel.

    What it returns is what was durable when it was asked. Blocking: not for a loop.
    """

    @property
    def position(self) -> int:
        """The last position as it is now; 0: empty."""
        ...

    def read(
        self,
        after: int = 0,
        until: int | None = None,
        *,
        limit: int = 1000,
    ) -> list[Recorded]:
        """Read at most `limit` events of all streams with after < position <= until."""
        ...

    def read_stream(
        self,
        stream: str,
        *,
        after: int = 0,
        until: int | None = None,
        at: int | None = None,
    ) -> list[Recorded]:
        """Read the events of one stream with after < version <= until, as of `at`.

        `at` is a position: events that were recorded later are left out.
        """
        ...

    def head(self, stream: str) -> StreamHead | None:
        """Return where a stream ends, None if it never began."""
        ...

    def streams(self, prefix: str = "") -> list[StreamHead]:
        """List all streams whose names start with `prefix`, by name."""
        ...

    def open_streams(self, prefix: str = "") -> list[StreamHead]:
        """List those of them whose last event did not close them."""
        ...

    def snapshot(
        self,
        stream: str,
        fold_version: int,
        *,
        at: int | None = None,
    ) -> Snapshot | None:
        """Return the newest snapshot that was true at position `at`."""
        ...

    def position_at(self, time_us: int) -> int:
        """Return the last position committed at or before a wall time; 0: none."""
        ...
