"""Goes through all events of a log, past whatever cannot be read."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from .errors import LogDamagedError
from .integrity import ChainedRow, Damage
from .rows import Row
from .store import Place, Store

PAGE = 1000
"""Rows read at a time, so that a writer's checkpoints are not held up."""


class Scan:
    """Pages of events with what stands before each in its stream.

    Where a page cannot be read its positions are tried one by one, so that a broken
    page of the file costs the events on it and no others. `damages` are those met.
    """

    def __init__(self, stored: Store) -> None:
        self._stored = stored
        self.damages: list[Damage] = []
        self._told: set[str] = set()

    def pages(self, after: int, end: int) -> Iterator[list[ChainedRow]]:
        """Yield the events with after < position <= end by their positions."""
        while after < end:
            until = min(after + PAGE, end)
            try:
                rows = self._stored.page(after, until, PAGE)
            except LogDamagedError as error:
                rows = self._one_by_one(after, until, error)
            before = after
            for row in rows:
                if row.position <= before:
                    message = f"the table of events is broken after position {before}"
                    self.damages.append(Damage("file", before, "", message))
                    return
                before = row.position
            if rows:
                yield self._with_before(rows)
                after = until
            else:
                after = self._before_next(until, end)

    def _before_next(self, after: int, end: int) -> int:
        """Return where the next event stands, less one; an end may be said to be far."""
        try:
            following = self._stored.page(after, end, 1)
        except LogDamagedError:
            return after
        return following[0].position - 1 if following else end

    def _one_by_one(self, after: int, until: int, why: LogDamagedError) -> list[Row]:
        found: list[Row] = []
        lost: list[int] = []
        for position in range(after + 1, until + 1):
            try:
                row = self._stored.row(position)
            except LogDamagedError:
                lost.append(position)
                continue
            if row is not None and row.position == position:
                found.append(row)
        if str(why) not in self._told:
            self._told.add(str(why))
            self.damages.append(Damage("file", (lost or [after + 1])[0], "", str(why)))
        return found

    def _with_before(self, rows: list[Row]) -> list[ChainedRow]:
        places: dict[Any, Place] = {
            row.position: (row.stream, row.version, row.digest) for row in rows
        }
        wanted = {row.prev for row in rows if isinstance(row.prev, int)}
        places.update(self._places(sorted(wanted - places.keys())))
        nowhere = None, None, None
        return [
            ChainedRow(*row[:7], *places.get(row.prev, nowhere), row.opaque)
            for row in rows
        ]

    def _places(self, positions: list[int]) -> dict[int, Place]:
        try:
            return self._stored.places(positions)
        except LogDamagedError:
            places: dict[int, Place] = {}
            for position in positions:
                with suppress(LogDamagedError):
                    places.update(self._stored.places([position]))
            return places
