"""Goes through a whole log file and says whether it is what was written."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from ..registry import Registry
from .document import split
from .errors import LogDamagedError
from .integrity import EVENTS, Damage, EventCheck, EventRow
from .reading import open_file, translated
from .seal import Sealed, merkle_root

PAGE = 1000
"""Rows read at a time, so that a writer's checkpoints are not held up."""

DAMAGES_MAX = 100
"""How many damages are told apart; after the first few it is the same story."""

_HEADS = """
SELECT s.stream, s.kind, s.version, s.position, s.digest, s.open,
       e.stream, e.version, e.digest, e.tag
FROM streams s LEFT JOIN events e ON e.position = s.position
"""

_SNAPSHOTS = """
SELECT s.stream, s.version, s.position
FROM snapshots s LEFT JOIN events e ON e.position = s.position
WHERE e.stream IS NOT s.stream OR e.version IS NOT s.version
"""

_DIGESTS = """
SELECT position, CAST(coalesce(digest, '') AS BLOB) FROM events
WHERE position > ? AND position <= ? ORDER BY position LIMIT ?
"""

# All in one statement, so that they are counted at one moment.
_TOTALS = """
SELECT (SELECT count(*) FROM events), (SELECT total(version) FROM streams),
       (SELECT max(position) FROM events), next_position, committed FROM meta
"""

_ORPHANS = """
SELECT position, stream FROM events
WHERE position NOT IN (SELECT prev FROM events WHERE prev IS NOT NULL)
AND position NOT IN (SELECT position FROM streams) ORDER BY position LIMIT 10
"""


class Report(msgspec.Struct, frozen=True):
    """What a verification found."""

    path: str
    events: int
    """How many events were checked."""
    streams: int
    seals: int
    damages: tuple[Damage, ...]
    """What is wrong, by position; at most `DAMAGES_MAX` of them."""
    untold: int = 0
    """How many more there are."""

    @property
    def ok(self) -> bool:
        """Whether the file is what was written."""
        return not self.damages

    @property
    def first(self) -> Damage | None:
        """The damage at the lowest position."""
        return self.damages[0] if self.damages else None


def verify(
    path: Path,
    registry: Registry | None = None,
    *,
    anchors: Iterable[Sealed | str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check every byte of a log that means something, also while it is written.

    `registry` tells which events close their stream. `anchors` are seals that were
    kept elsewhere, or their roots alone: only they show that the end of a log was
    removed, or all of it rewritten, by somebody who could write the whole file. `progress` is called with the position reached and
    the last one. Damage is reported and not raised.

    Raises `LogNotFoundError`, `LogFormatError` and `LogUnreadableError`.
    """
    verification = _Verification(path, registry, progress)
    try:
        with closing(open_file(path)) as db:
            verification.run(db, anchors)
    except LogDamagedError as error:
        at = verification.events.position
        where = f"after position {at}: " if at else ""
        verification.note([Damage("file", at, "", f"{where}{error}")])
    return verification.report()


class _Verification:
    def __init__(
        self,
        path: Path,
        registry: Registry | None,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.events = EventCheck()
        self._path = path
        self._registry = registry
        self._progress = progress
        self._damages: list[Damage] = []
        self._untold = 0
        self._counts = {"events": 0, "streams": 0, "seals": 0}
        self._sealed = 0
        self._seal_at = 0
        self._roots: set[str] = set()
        """Those of all seals."""

    def report(self) -> Report:
        self._damages.sort(key=lambda damage: damage.position or 2**63)
        damages = tuple(self._damages)
        return Report(
            str(self._path), **self._counts, damages=damages, untold=self._untold
        )

    def note(self, damages: Iterable[Damage]) -> None:
        for damage in damages:
            if len(self._damages) < DAMAGES_MAX:
                self._damages.append(damage)
            else:
                self._untold += 1

    def run(self, db: sqlite3.Connection, anchors: Iterable[Sealed | str]) -> None:
        # Text that is no UTF-8 any more is to fail its digest, not the whole page.
        db.text_factory = _text
        self._db = db
        self.note(self._file())
        self._all_events()
        self._all_streams()
        self.note(self._snapshots())
        self.note(self._totals())
        for anchor in anchors:
            self.note(self._anchored(anchor))

    def _rows(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        with translated(self._path), closing(self._db.execute(query, values)) as rows:
            return rows.fetchall()

    def _file(self) -> Iterator[Damage]:
        ((page_size,),) = self._rows("PRAGMA page_size")
        if self._path.stat().st_size % page_size:
            yield Damage("file", 0, "", "its last page is incomplete: it was cut")
        for (message,) in self._rows(f"PRAGMA integrity_check({DAMAGES_MAX})"):
            if message != "ok":
                yield Damage("file", 0, "", message)

    def _all_events(self) -> None:
        ((end,),) = self._rows("SELECT coalesce(max(position), 0) FROM events")
        while self.events.position < end:
            rows = self._rows(EVENTS, (self.events.position, end, PAGE))
            _require_progress(self.events.position, rows)
            for row in (EventRow(*columns) for columns in rows):
                self.note(self.events.check(row))
                if row.tag == Sealed.tag and isinstance(row.document, bytes):
                    self.note(self._sealing(row))
            self._counts["events"] += len(rows)
            if self._progress is not None:
                self._progress(self.events.position, end)

    def _all_streams(self) -> None:
        with translated(self._path), closing(self._db.execute(_HEADS)) as rows:
            while page := rows.fetchmany(PAGE):
                for row in page:
                    self.note(self._head(*row))
                self._counts["streams"] += len(page)

    def _head(  # noqa: PLR0913, PLR0917 - a row
        self,
        stream: str,
        kind: str,
        version: int,
        position: int,
        digest: bytes,
        is_open: int,
        event_stream: str | None,
        event_version: int | None,
        event_digest: bytes | None,
        tag: str | None,
    ) -> Iterator[Damage]:
        if (stream, version, digest) != (event_stream, event_version, event_digest):
            message = f"version {version} of the stream should stand here, and does not"
            yield Damage("head", position, stream, message)
        if kind != str(stream).partition("/")[0]:
            yield Damage("head", position, stream, f"its kind is said to be {kind!r}")
        cls = self._registry.classes.get(tag or "") if self._registry else None
        if is_open not in {0, 1} or (cls is not None and is_open == cls.closes):
            message = f"open is {is_open} after an event {tag!r}"
            yield Damage("open", position, stream, message)

    def _snapshots(self) -> Iterator[Damage]:
        for stream, version, position in self._rows(_SNAPSHOTS):
            message = f"a snapshot is said to be of version {version} here"
            yield Damage("snapshot", position, stream, message)

    def _totals(self) -> Iterator[Damage]:
        totals = self._rows(_TOTALS)
        if len(totals) != 1:
            yield Damage("end", 0, "", "the log does not say where it ends")
            return
        events, versions, last, following, committed = totals[0]
        last = last or 0
        if following != last + 1:
            first = last + 1 if not isinstance(following, int) else following
            message = f"the last event stands at {last}, the next is due at {following}"
            yield Damage("end", min(last + 1, first), "", message)
        if not isinstance(committed, int) or committed < self.events.committed:
            message = f"the last commit is said to be at {committed}, before an event's"
            yield Damage("end", last, "", message)
        if events != versions:
            for position, stream in self._rows(_ORPHANS):
                message = "no stream leads to this event"
                yield Damage("orphan", position, stream, message)

    def _sealing(self, row: EventRow) -> Iterator[Damage]:
        self._counts["seals"] += 1
        try:
            seal = msgspec.json.decode(split(row.document)[1], type=Sealed)
        except (LogDamagedError, msgspec.MsgspecError) as error:
            yield Damage("seal", row.position, row.stream, f"no seal: {error}")
            return
        if (
            seal.first != self._sealed + 1
            or not self._sealed < seal.last < row.position
            or seal.last < self._seal_at
        ):
            message = (
                f"it covers {seal.first} to {seal.last}; the seal before it ended at "
                f"{self._sealed} and stands at {self._seal_at}"
            )
            yield Damage("seal", row.position, row.stream, message)
        self._sealed, self._seal_at = seal.last, row.position
        self._roots.add(seal.root)
        yield from self._seal(seal, row.position)

    def _anchored(self, anchor: Sealed | str) -> Iterator[Damage]:
        end = self.events.position
        if isinstance(anchor, Sealed):
            yield from self._seal(anchor, min(anchor.last, end) + 1)
        elif anchor not in self._roots:
            message = f"no seal in the log has the root {anchor}"
            yield Damage("seal", end + 1, "", message)

    def _seal(self, seal: Sealed, position: int) -> Iterator[Damage]:
        digests = self._digests(seal.first - 1, seal.last)
        if merkle_root(digests).hex() != seal.root:
            message = (
                f"events {seal.first} to {seal.last} are not those that were sealed"
            )
            yield Damage("seal", position, "", message)

    def _digests(self, after: int, last: int) -> Iterator[bytes]:
        while rows := self._rows(_DIGESTS, (after, last, PAGE)):
            _require_progress(after, rows)
            yield from (digest for _, digest in rows)
            after = rows[-1][0]


def _text(text: bytes) -> str:
    return text.decode(errors="replace")


def _require_progress(after: int, rows: list[Any]) -> None:
    """Never run in circles through pages that lead nowhere."""
    if not rows or rows[-1][0] <= after:
        raise LogDamagedError(f"the table of events is broken after position {after}")
