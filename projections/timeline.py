"""What the actors knew at any position of the log, by their own folds."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from ..events import Erased, Event, Fold, Withheld
from ..events.log import Reader, Recorded, StreamHead
from .errors import BeyondEndError, StreamNotBegunError, UnknownStreamError
from .folds import Folds, kind_of
from .paging import pages


class StreamState(msgspec.Struct, frozen=True):
    """The state of a stream as of a position."""

    stream: str
    version: int
    """The version of the stream's last event up to then."""
    position: int
    """Where that event stands."""
    open: bool
    state: Any
    unknown: int = 0
    """How many events nobody registered were passed over."""
    erased: int = 0
    """How many events had their data erased on purpose."""
    withheld: int = 0
    """How many could not be read for want of their keys: the actor knew more."""


class Timeline:
    """Goes back and forth through a log and says what was the case.

    States come from the very folds by which the actors live, so what it shows is
    what they knew. Positions may be given wherever `at` stands; None means the end
    of the log as it is now. Nothing is kept between two questions.
    """

    def __init__(self, reader: Reader, folds: Iterable[Fold[Any]]) -> None:
        self._reader = reader
        self._folds = Folds(folds)

    @property
    def end(self) -> int:
        """The last position as it is now."""
        return self._reader.position

    def state(self, stream: str, *, at: int | None = None) -> StreamState:
        """Return what a stream had become at position `at`.

        Raises `UnknownStreamError`, `StreamNotBegunError`, `NoFoldError` and
        `BeyondEndError`.
        """
        self._check(at)
        head = self._reader.head(stream)
        if head is None:
            known = (found.stream for found in self._reader.streams())
            raise UnknownStreamError(stream, known)
        fold = self._folds.for_stream(stream)
        folding = _Folding(stream, fold)
        snapshot = self._reader.snapshot(stream, fold.version, at=at)
        if snapshot is not None:
            folding.start(
                snapshot.version,
                snapshot.position,
                msgspec.json.decode(snapshot.state, type=fold.state),
            )
        for recorded in self._reader.read_stream(stream, after=folding.version, at=at):
            folding.apply(recorded)
        if not folding.version:
            first = self._reader.read_stream(stream, until=1)[0]
            raise StreamNotBegunError(stream, at or 0, first.position)
        if folding.version == head.version:
            folding.open = head.open  # after a snapshot without a tail nobody said
        elif not folding.seen:
            last = self._reader.read_stream(stream, after=folding.version - 1, at=at)
            folding.open = _leaves_open(last[0])
        return folding.result()

    def states(
        self,
        *,
        at: int | None = None,
        prefix: str = "",
        closed: bool = False,
    ) -> dict[str, StreamState]:
        """Return the state of every stream that was open at `at`, by name.

        With `closed` also of those that had ended. Streams of kinds without a fold
        are left out. Without `at` and `closed` only open streams are read, else
        the log is read from its beginning.
        """
        self._check(at)
        if at is None and not closed:
            heads = self._reader.open_streams(prefix)
            return {h.stream: self.state(h.stream) for h in heads if self._folded(h)}
        end = self.end if at is None else at
        foldings = self._replay(end, prefix, keep_closed=closed)
        return {name: foldings[name].result() for name in sorted(foldings)}

    def position_at(self, time: datetime | int) -> int:
        """Return the last position committed at or before a time; 0: none was.

        A `datetime` must know its time zone; a number is wall time in microseconds.
        """
        if isinstance(time, datetime):
            if time.tzinfo is None:
                raise ValueError(f"{time} has no time zone: add one, such as UTC")
            time = round(time.timestamp() * 1_000_000)
        return self._reader.position_at(time)

    def _check(self, at: int | None) -> None:
        if at is not None and not 0 <= at <= self.end:
            raise BeyondEndError(at, self.end)

    def _folded(self, head: StreamHead) -> bool:
        return head.kind in self._folds

    def _replay(
        self,
        end: int,
        prefix: str,
        *,
        keep_closed: bool,
    ) -> "dict[str, _Folding]":
        """Fold all streams side by side.

        Closed ones that may open again have to be kept until the end.
        """
        foldings: dict[str, _Folding] = {}
        for page in pages(self._reader, 0, end):
            for recorded in page:
                stream = recorded.stream
                fold = self._folds.get(kind_of(stream))
                if fold is None or not stream.startswith(prefix):
                    continue
                if stream not in foldings:
                    foldings[stream] = _Folding(stream, fold)
                foldings[stream].apply(recorded)
        return {
            stream: folding
            for stream, folding in foldings.items()
            if folding.open or keep_closed
        }


class _Folding:
    """A stream on its way to a state."""

    __slots__ = (
        "_fold",
        "erased",
        "open",
        "position",
        "seen",
        "state",
        "stream",
        "unknown",
        "version",
        "withheld",
    )

    def __init__(self, stream: str, fold: Fold[Any]) -> None:
        self.stream = stream
        self.version = 0
        self.position = 0
        self.open = True
        self.state = fold.initial(stream)
        self.unknown = 0
        self.seen = 0
        self.erased = 0
        self.withheld = 0
        self._fold = fold

    def start(self, version: int, position: int, state: object) -> None:
        self.version = version
        self.position = position
        self.state = state

    def apply(self, recorded: Recorded) -> None:
        event = recorded.event
        if isinstance(event, Event):
            self.state = self._fold.evolve(self.state, event)
        elif isinstance(event, Erased):
            self.state = self._fold.step(self.state, event)
            self.erased += 1
        elif isinstance(event, Withheld):
            self.withheld += 1
        else:
            self.unknown += 1
        self.seen += 1
        self.open = _leaves_open(recorded)
        self.version = recorded.version
        self.position = recorded.position

    def result(self) -> StreamState:
        return StreamState(
            stream=self.stream,
            version=self.version,
            position=self.position,
            open=self.open,
            state=self.state,
            unknown=self.unknown,
            erased=self.erased,
            withheld=self.withheld,
        )


def _leaves_open(recorded: Recorded) -> bool:
    event = recorded.event
    return not (isinstance(event, Event) and event.closes)
