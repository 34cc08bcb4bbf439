"""Goes through a whole log and says whether it is what was written."""

from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from ..fold import Fold
from ..registry import Registry
from .encryption import Keyring
from .errors import LogDamagedError
from .file_store import FileStore
from .integrity import Damage, EventCheck
from .scan import Scan
from .seal import Sealed
from .seal_check import SealCheck
from .side_tables import SideTables
from .store import Opening, Store

DAMAGES_MAX = 100
"""How many damages are told apart; after the first few it is the same story."""


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
    log: Path | Opening,
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
    stored, without a key; with the `keyring`, snapshots are compared as well. `log` is
    a file, or what opens another store. `progress` is called with the position reached
    and the last one. Damage is reported and not raised.

    Raises `LogNotFoundError`, `LogFormatError` and `LogUnreadableError`.
    """
    opening = log if callable(log) else partial(FileStore, log)
    verification = _Verification(progress, keyring, "" if callable(log) else str(log))
    try:
        with closing(opening()) as store:
            verification.run(store, registry, folds, anchors)
    except LogDamagedError as error:
        at = verification.events.position
        where = f"after position {at}: " if at else ""
        verification.note([Damage("file", at, "", f"{where}{error}")])
    return verification.report()


class _Verification:
    def __init__(
        self,
        progress: Callable[[int, int], None] | None,
        keyring: Keyring | None,
        name: str,
    ) -> None:
        self._keyring = keyring
        self.events = EventCheck()
        self._name = name
        self._progress = progress
        self._damages: list[Damage] = []
        self._untold = 0
        self._counts = {"events": 0, "streams": 0, "seals": 0}
        self._damaged: set[str] = set()
        """Streams with events that are not as they were written."""

    def report(self) -> Report:
        self._damages.sort(key=lambda damage: damage.position or 2**63)
        damages = tuple(self._damages)
        return Report(self._name, **self._counts, damages=damages, untold=self._untold)

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
        stored: Store,
        registry: Registry | None,
        folds: Iterable[Fold[Any]],
        anchors: Iterable[Sealed | str],
    ) -> None:
        self._name = stored.name
        seals = SealCheck(stored)
        by_kind = {fold.kind: fold for fold in folds}
        tables = SideTables(stored, registry, by_kind, self._keyring)
        self.note(stored.damages())
        self._all_events(stored, seals)
        self.note(tables.heads())
        self._counts["streams"] = tables.streams
        self.note(tables.snapshots(frozenset(self._damaged)))
        self.note(tables.keys())
        self.note(tables.meta())
        self.note(stored.segment_damages())
        self.note(tables.totals(self.events))
        for anchor in anchors:
            self.note(seals.anchored(anchor, self.events.position))

    def _all_events(self, stored: Store, seals: SealCheck) -> None:
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
