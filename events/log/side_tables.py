"""Whether what stands beside the events fits them: heads, snapshots, keys, the end."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from ..errors import DramaturgError
from ..event import Erased, Event
from ..fold import Fold
from ..registry import Registry
from .api import Snapshot
from .digest import key_digest, snapshot_digest
from .encryption import Keyring
from .errors import MALFORMED, LogDamagedError
from .integrity import Damage, EventCheck
from .meta import Meta
from .rows import RowDecoder
from .store import Store
from .stored import LAST

PAGE = 1000
"""Rows read at a time, so that a writer's checkpoints are not held up."""

_HEADS = """
SELECT s.stream, s.kind, s.version, s.position, s.digest, s.open,
       e.stream, e.version, e.digest, e.tag
FROM streams s LEFT JOIN events e ON e.position = s.position
WHERE s.stream > ? ORDER BY s.stream LIMIT ?
"""

_SNAPSHOTS = """
SELECT stream, version, position, fold_version, state, digest FROM snapshots
WHERE (stream, version, fold_version) > (?, ?, ?)
ORDER BY stream, version, fold_version LIMIT ?
"""

_KEYS = """
SELECT scope, key, stream, expires, digest FROM keys
WHERE (scope, key) > (?, ?) ORDER BY scope, key LIMIT ?
"""

_ORPHANS = """
SELECT position, stream FROM events
WHERE position NOT IN (SELECT prev FROM events WHERE prev IS NOT NULL)
AND position NOT IN (SELECT position FROM streams) ORDER BY position LIMIT 10
"""


def paged(
    query: Callable[[str, Any], list[Any]],
    text: str,
    first: tuple[Any, ...],
    *,
    key: Sequence[int] = (0, 1),
) -> Iterator[list[Any]]:
    """Yield a table page by page, in the order of the columns `key` from `first` on.

    Raises `LogDamagedError` where the table is out of order: such a one has no end.
    """
    after = first
    while page := query(text, (*after, PAGE)):
        yield page
        before, after = after, tuple(page[-1][at] for at in key[: len(first)])
        if not _follows(before, after):
            raise LogDamagedError(
                f"the table of {after[0]!r} is out of order after {before[0]!r}: restore "
                "the log from a backup",
            )


def _follows(before: tuple[Any, ...], after: tuple[Any, ...]) -> bool:
    try:
        return after > before
    except TypeError:  # values of another type than the column's
        return False


class SideTables:
    """Checks the tables of a log besides the one of its events.

    `registry` tells which events close their stream, `folds`, by kind, what snapshots
    should be; what is encrypted is folded only with a `keyring`.
    """

    def __init__(
        self,
        stored: Store,
        registry: Registry | None,
        folds: Mapping[str, Fold[Any]],
        keyring: Keyring | None = None,
    ) -> None:
        self._keyring = keyring
        self._stored = stored
        self._registry = registry
        self._folds = folds
        self._format = stored.format
        self.streams = 0
        """How many heads were checked."""

    def heads(self) -> Iterator[Damage]:
        """Yield what is wrong with the ends of streams."""
        for page in paged(self._stored.query, _HEADS, ("",)):
            archived = [row[3] for row in page if row[6] is None]
            places = self._places(archived)
            for row in page:
                place = row[6:9] if row[6] is not None else places.get(row[3])
                yield from self._head(row[:6], place, row[9])
            self.streams += len(page)

    def _places(self, positions: list[Any]) -> dict[int, Any]:
        """Return what stands there; of a segment that is gone, told elsewhere, nothing."""
        found: dict[int, Any] = {}
        positions = [each for each in positions if isinstance(each, int)]
        try:
            return dict(self._stored.places(positions)) if positions else found
        except LogDamagedError:
            for position in positions:
                with suppress(LogDamagedError):
                    found.update(self._stored.places([position]))
        return found

    def _head(self, head: Any, place: Any, tag: str | None) -> Iterator[Damage]:
        stream, kind, version, position, digest, is_open = head
        position = position if isinstance(position, int) else 0
        if place is None or (stream, version, digest) != tuple(place):
            message = f"version {version} of the stream should stand here, and does not"
            yield Damage("head", position, stream, message)
        if kind != str(stream).partition("/")[0]:
            yield Damage("head", position, stream, f"its kind is said to be {kind!r}")
        cls = self._registry.classes.get(tag or "") if self._registry else None
        archived = place is not None and tag is None  # as only ended streams are
        if is_open not in {0, 1} or (cls is not None and is_open == cls.closes):
            message = f"open is {is_open} after an event {tag!r}"
            yield Damage("open", position, stream, message)
        elif archived and is_open:
            message = "it is said to be open, but its last event is archived"
            yield Damage("open", position, stream, message)

    def snapshots(self, damaged: Collection[str]) -> Iterator[Damage]:
        """Yield what is wrong with snapshots, but of `damaged` streams not by folding."""
        decode = RowDecoder(self._registry or Registry([]), self._keyring)
        refold = _Refold(self._stored, decode, self._folds)
        query = _SNAPSHOTS if self._format > 1 else _SNAPSHOTS.replace("digest", "NULL")
        for page in paged(self._stored.query, query, ("", 0, 0), key=(0, 1, 3)):
            places = self._places([row[2] for row in page])
            for *row, digest in page:
                stream, version, position, fold_version, state = row
                if places.get(position, ())[:2] != (stream, version):
                    message = f"a snapshot is said to be of version {version} here"
                    yield Damage("snapshot", position, stream, message)
                elif not isinstance(state, bytes) or digest not in {
                    None,
                    snapshot_digest(*row),
                }:
                    message = f"the snapshot of version {version} was changed"
                    yield Damage("snapshot", position, stream, message)
                elif stream not in damaged and refold.differs(
                    stream, version, fold_version, state
                ):
                    message = (
                        f"the snapshot of version {version} is not what the events up "
                        "to it come to"
                    )
                    yield Damage("snapshot", position, stream, message)

    def keys(self) -> Iterator[Damage]:
        """Yield the idempotency keys that were changed."""
        if self._format == 1:
            return
        for page in paged(self._stored.query, _KEYS, ("", "")):
            for *row, digest in page:
                if digest != key_digest(*row):
                    scope, key, stream, _ = row
                    message = f"the row of key {key!r} of {scope!r} was changed"
                    yield Damage("key", 0, str(stream), message)

    def meta(self) -> Iterator[Damage]:
        """Yield what is wrong with what the log says of itself, and of its keys."""
        found = self._stored.meta()
        if found is None:
            return
        row, keys = found
        try:
            meta = Meta.of(row)
        except LogDamagedError as error:
            yield Damage("meta", 0, "", str(error))
        else:
            if meta.keys != keys:
                message = "idempotency keys were removed or added"
                yield Damage("key", 0, "", message)

    def totals(self, seen: EventCheck) -> Iterator[Damage]:
        """Yield what is wrong with how far the log is said to go, given its events."""
        totals = self._stored.totals()
        if len(totals) != 1:
            yield Damage("end", 0, "", "the log does not say where it ends")
            return
        events, versions, last, following, committed, epoch = totals[0]
        last = last or 0
        if following != last + 1:
            first = following if isinstance(following, int) else last + 1
            message = f"the last event stands at {last}, the next is due at {following}"
            yield Damage("end", min(last + 1, first), "", message)
        if not isinstance(committed, int) or committed < seen.committed:
            message = f"the last commit is said to be at {committed}, before an event's"
            yield Damage("end", last, "", message)
        if not isinstance(epoch, int) or epoch < seen.epoch:
            message = f"it is said to be in epoch {epoch}, an event is of {seen.epoch}"
            yield Damage("end", last, "", message)
        if events != versions:
            orphans = self._stored.query(_ORPHANS)
            for position, stream in orphans:
                message = "no stream leads to this event"
                yield Damage("orphan", position, stream, message)
            if not orphans:
                message = f"{events} events are kept, the streams have {versions}"
                yield Damage("orphan", 0, "", message)


class _Refold:
    """Folds streams again, from one snapshot to the next."""

    def __init__(
        self, stored: Store, decode: RowDecoder, folds: Mapping[str, Fold[Any]]
    ) -> None:
        self._stored = stored
        self._decode = decode
        self._folds = folds
        self._at: tuple[str, int, Any] = ("", 0, None)

    def differs(self, stream: str, version: int, fold_version: int, state: Any) -> bool:
        """Tell whether a snapshot is another state than its events come to."""
        fold = self._folds.get(stream.partition("/")[0])
        if fold is None or fold.version != fold_version:
            return False
        known, after, folded = self._at
        if known != stream:
            after, folded = 0, fold.initial(stream)
        with suppress(DramaturgError):
            for row in self._stored.stream(stream, after, version, LAST):
                event = self._decode(row[:5]).event
                if not isinstance(event, Event | Erased):
                    return False
                if row.version > after:
                    folded = fold.step(folded, event)
            self._at = stream, version, folded
            kept = Snapshot(stream, version, 0, fold_version, state)
            snapshot = self._decode.snapshot(kept)
            if snapshot is None:
                return False  # its key is not there
            try:
                found: object = msgspec.json.decode(snapshot.state, type=fold.state)
            except MALFORMED:
                return True
            return msgspec.json.encode(found) != msgspec.json.encode(folded)
        return False
