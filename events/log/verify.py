"""Goes through a whole log file and says whether it is what was written."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from ..fold import Fold
from ..registry import Registry
from .encryption import Keyring
from .errors import LogDamagedError
from .integrity import Damage, EventCheck
from .reading import open_file
from .scan import Scan
from .schema import format_of
from .seal import Sealed
from .seal_check import SealCheck
from .side_tables import SideTables
from .stored import StoredEvents
from .wal import wal_damage

DAMAGES_MAX = 100
"""How many damages are told apart; after the first few it is the same story."""

STRUCTURES_MAX = 20
"""Of those, how many SQLite may name in its own structures."""


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


def verify(  # noqa: PLR0913 - options by name, each with its default
    path: Path,
    registry: Registry | None = None,
    *,
    folds: Iterable[Fold[Any]] = (),
    anchors: Iterable[Sealed | str] = (),
    keyring: Keyring | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Check every byte of a log that means something, also while it is written.

    `registry` tells which events close their stream; by `folds` snapshots are compared
    with their events. `anchors` are seals that were kept elsewhere, or their roots
    alone: only they show that the end of a log was removed, or all of it rewritten, by
    somebody who could write the whole file. What is encrypted is verified as it is
    stored, without a key; with the `keyring`, snapshots are compared as well. `progress` is called with the position
    reached and the last one. Damage is reported and not raised.

    Raises `LogNotFoundError`, `LogFormatError` and `LogUnreadableError`.
    """
    verification = _Verification(path, progress, keyring)
    try:
        with closing(open_file(path)) as db:
            verification.run(db, registry, folds, anchors)
    except LogDamagedError as error:
        at = verification.events.position
        where = f"after position {at}: " if at else ""
        verification.note([Damage("file", at, "", f"{where}{error}")])
    return verification.report()


class _Verification:
    def __init__(
        self,
        path: Path,
        progress: Callable[[int, int], None] | None,
        keyring: Keyring | None,
    ) -> None:
        self._keyring = keyring
        self.events = EventCheck()
        self._path = path
        self._progress = progress
        self._damages: list[Damage] = []
        self._untold = 0
        self._counts = {"events": 0, "streams": 0, "seals": 0}
        self._damaged: set[str] = set()
        """Streams with events that are not as they were written."""

    def report(self) -> Report:
        self._damages.sort(key=lambda damage: damage.position or 2**63)
        damages = tuple(self._damages)
        return Report(
            str(self._path), **self._counts, damages=damages, untold=self._untold
        )

    def note(self, damages: Iterable[Damage]) -> None:
        """Take damages down; where nothing can be read any more, that is one."""
        try:
            for damage in damages:
                self._note(damage)
        except LogDamagedError as error:
            self._note(Damage("file", 0, "", str(error)))

    def _note(self, damage: Damage) -> None:
        self._damaged.add(damage.stream)
        if len(self._damages) < DAMAGES_MAX:
            self._damages.append(damage)
        else:
            self._untold += 1

    def run(
        self,
        db: sqlite3.Connection,
        registry: Registry | None,
        folds: Iterable[Fold[Any]],
        anchors: Iterable[Sealed | str],
    ) -> None:
        # Text that is no UTF-8 any more is to fail its digest, not the whole page.
        db.text_factory = _text
        stored = StoredEvents(self._path, db)
        seals = SealCheck(stored)
        by_kind = {fold.kind: fold for fold in folds}
        log_format = format_of(db)
        tables = SideTables(stored, registry, by_kind, log_format, self._keyring)
        self.note(self._file(stored))
        self._all_events(stored, seals)
        self.note(tables.heads())
        self._counts["streams"] = tables.streams
        self.note(tables.snapshots(frozenset(self._damaged)))
        self.note(tables.keys())
        self.note(tables.segments(self._path))
        self.note(tables.totals(self.events.committed))
        for anchor in anchors:
            self.note(seals.anchored(anchor, self.events.position))

    def _file(self, stored: StoredEvents) -> Iterator[Damage]:
        ((page_size,),) = stored.query("PRAGMA page_size")
        if self._path.stat().st_size % page_size:
            yield Damage("file", 0, "", "its last page is incomplete: it was cut")
        damage = wal_damage(self._path)
        if damage is not None:
            ((end,),) = stored.query("SELECT coalesce(max(position), 0) FROM events")
            yield Damage("wal", end + 1, "", f"{damage}: they began at this position")
        for (message,) in stored.query(f"PRAGMA integrity_check({STRUCTURES_MAX})"):
            if message != "ok":
                yield Damage("file", 0, "", message)

    def _all_events(self, stored: StoredEvents, seals: SealCheck) -> None:
        ((end,),) = stored.query("SELECT coalesce(max(position), 0) FROM events")
        scan = Scan(stored)
        for page in scan.pages(0, end):
            for row in page:
                self.note(self.events.check(row))
                if row.tag == Sealed.tag and isinstance(row.document, bytes):
                    self.note(seals.check(row))
            self._counts["events"] += len(page)
            self._counts["seals"] = seals.seals
            if self._progress is not None:
                self._progress(self.events.position, end)
        self.note(scan.damages)


def _text(text: bytes) -> str:
    return text.decode(errors="replace")
