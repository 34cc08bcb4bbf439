"""The rows of a log, wherever it is kept, as tools go through them."""

from array import array
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from .archive import Segment
from .integrity import Damage
from .rows import Row

Place = tuple[Any, Any, Any]
"""Stream, version and digest of an event."""


class Store(Protocol):
    """A log's rows, as they are. Blocking.

    What it returns may be any value if the store was damaged; `page` and `stream` come
    in the order of positions. Raises `LogDamagedError` and `LogUnreadableError`.
    """

    @property
    def name(self) -> str:
        """What the log is called in messages."""
        ...

    @property
    def format(self) -> int:
        """Which format its rows have, as a file's would."""
        ...

    @property
    def position(self) -> int:
        """The last position as it is now."""
        ...

    def query(self, query: str, values: Any = ()) -> list[Any]:
        """Return all rows of a query that every engine understands; `?` is a value."""
        ...

    def page(self, after: int, until: int, limit: int) -> list[Row]:
        """Return a page of events with after < position <= until."""
        ...

    def row(self, position: int) -> Row | None:
        """Return the event at a position; None: there is none."""
        ...

    def digests(self, after: int, until: int, limit: int) -> list[tuple[int, Any]]:
        """Return positions and digests of a page of events."""
        ...

    def places(self, positions: list[int]) -> dict[int, Place]:
        """Return stream, version and digest of the events at these positions."""
        ...

    def stream(self, stream: str, after: int, until: int, at: int) -> list[Row]:
        """Return the events of a stream with after <= version <= until, as of `at`."""
        ...

    def unarchived(self, position: int) -> list[Row]:
        """Return what the table holds of a stream up to the event at `position`."""
        ...

    def segments(self) -> list[Segment]:
        """Return the segments of the log, by their first positions."""
        ...

    def totals(self) -> list[Any]:
        """Return how many events there are and how many streams say, and the end.

        A row for each row of `meta`: events (but those of version 0), versions of all
        streams, last position or None, next position, time of the last commit, epoch;
        all of one moment.
        """
        ...

    def meta(self) -> tuple[Any, int] | None:
        """Return the row of `meta`, as `Meta.of` takes it, and the digests of all keys.

        They are folded, and of the same moment. None: the format is older than that.
        """
        ...

    def ends(self) -> "tuple[int, array[int]]":
        """Return the last position and those of the events that closed their stream."""
        ...

    def damages(self) -> Iterator[Damage]:
        """Yield what is wrong with the store itself, besides its rows."""
        ...

    def segment_damages(self) -> Iterator[Damage]:
        """Yield what is wrong with the segments of archived events."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


Opening = Callable[[], Store]
"""Opens a store, for a tool that closes it; raises what opening a log raises."""
