"""What a log's writing thread and its reading threads need of the store behind it."""

from collections.abc import Sequence
from typing import Protocol

from .api import Reader, Snapshot
from .archive.removal import Removals
from .lull import Lull
from .outcomes import Outcome
from .pending import Pending

SNAPSHOTS_KEPT = 4
"""So many are kept of each stream, the newest; older ones go."""


class Committer(Protocol):
    """Commits groups of appends, from one opening of the store to its first failure."""

    epoch: int
    """Counts the openings of this log for writing."""

    @property
    def digests(self) -> Sequence[bytes]:
        """Those of the events of the last group, which end at `position`."""
        ...

    @property
    def position(self) -> int:
        """The last durable position."""
        ...

    def commit(
        self, appends: Sequence[Pending], snapshots: Sequence[Snapshot]
    ) -> list[Outcome]:
        """Write a group durably and say what became of each append.

        Raises `LogUnavailableError` when nothing of it was written, and
        `OutcomeUnknownError` when that is not known.
        """
        ...

    def last_document(self, stream: str) -> bytes | None:
        """Return the document of a stream's last event; None: it never began.

        Only for streams of the log's own, which are not archived. Raises the store's
        own errors.
        """
        ...

    def rest(self, *, idle: bool) -> None:
        """Look after the store after a group; `idle`: no other one waits."""
        ...


class Engine(Protocol):
    """A store, as its writing thread uses it: `lock`, `open`, `close`, `unlock`."""

    name: str
    """What the store is called in messages."""
    lull: Lull
    """Begins whenever its committers are about to wait for what they have written."""
    removals: Removals
    """Of archived events; the loop adds them before it submits their appends."""

    def lock(self) -> None:
        """Make sure that nobody else writes. Raises `LogLockedError`."""
        ...

    def open(self, acknowledged: int | None) -> Committer:
        """Open the store and begin an epoch.

        `acknowledged` is the last position that was promised to be durable, when the
        store is opened again after a failure; None: it is the first time, and a new
        store is made a log. Raises `LogError`s and the store's own errors.
        """
        ...

    def close(self) -> None:
        """Close what is open; harmless if nothing is."""
        ...

    def unlock(self) -> None:
        """Let others write; called once, at the end."""
        ...

    def opening_error(self, error: Exception) -> Exception:
        """Return what to tell about a store that could not be opened."""
        ...


class EngineReader(Reader, Protocol):
    """A connection of a reading thread."""

    def digests(self, after: int, until: int, *, limit: int) -> list[tuple[int, bytes]]:
        """Read positions and digests of events with after < position <= until."""
        ...

    def key_stream(self, scope: str, key: str, now_us: int) -> str | None:
        """Return the stream that used an idempotency key, None if it is free."""
        ...

    def snapshot(
        self,
        stream: str,
        fold_version: int,
        *,
        at: int | None = None,
        at_version: int | None = None,
    ) -> Snapshot | None:
        """Return the newest snapshot that was true at `at` and `at_version`."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...
