"""Takes archived events out of the table, and puts their segment into others."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from msgspec.structs import astuple

from ..api import Appended
from ..archive.removal import Removal, Removals
from ..errors import AppendRejectedError
from ..group import Head
from ..outcomes import Outcome
from ..pending import Pending
from .arrays import Integers, Texts
from .connection import Connection

_COUNT = "SELECT count(*) FROM events WHERE position = ANY(%s)"
_SEGMENT = "INSERT INTO segments VALUES (%s, %s, %s, %s, %s, %s, %b)"
_BLOCK = "INSERT INTO segment_blocks VALUES (%s, %s, %b)"
_DELETE = "DELETE FROM events WHERE position = ANY(%s)"
_DELETE_SNAPSHOTS = """
DELETE FROM snapshots n USING streams s
WHERE n.stream = ANY(%s) AND s.stream = n.stream AND NOT s.open
"""


class EventsGoneError(AppendRejectedError):
    """Some of the events that were to be archived are not in the table any more."""

    def __init__(self, found: int, wanted: int) -> None:
        super().__init__(
            f"of {wanted} events that were to be archived {found} are in the table, so "
            "all stay where they are: verify the log",
        )


class GroupRemovals:
    """The removals that belong to the appends of one group.

    Their rows are counted under the lock of the group, so that it is known before
    anything is written whether they are all there.
    """

    def __init__(self, removals: Removals, appends: Sequence[Pending]) -> None:
        self._found: list[tuple[Pending, Removal]] = []
        self._counted: list[psycopg.Cursor[Any]] = []
        for removal in tuple(removals):
            for pending in appends:
                if pending.done is removal.done:
                    removals.remove(removal)
                    self._found.append((pending, removal))

    def ask(self, db: Connection) -> None:
        """Have the rows counted."""
        self._counted = [
            db.execute(_COUNT, (Integers.of(removal.positions),))
            for _, removal in self._found
        ]

    def refuse(self, heads: Mapping[str, Head]) -> None:
        """Refuse the appends whose rows are not all there.

        An append that is refused anyway, or is a conflict, since another node has
        archived them, is left alone.
        """
        for (pending, removal), counted in zip(self._found, self._counted, strict=True):
            ((found,),) = counted.fetchall()
            follows = heads[removal.append.stream][2] == removal.append.expected
            if pending.refused or not follows:
                continue
            if found != len(removal.positions):
                pending.refused = EventsGoneError(found, len(removal.positions))
                pending.datas = ()

    def write(self, db: Connection, outcomes: Sequence[Outcome]) -> None:
        """Move the rows whose appends are written."""
        if not self._found:
            return
        written = {id(done) for done, what in outcomes if isinstance(what, Appended)}
        for _, removal in self._found:
            if id(removal.done) in written:
                _write(db, removal)


def _write(db: Connection, removal: Removal) -> None:
    segment, members = removal.packed
    db.execute(_SEGMENT, astuple(segment))
    at = 0
    for member in members:
        db.execute(_BLOCK, (segment.segment, at, member))
        at += len(member)
    db.execute(_DELETE, (Integers.of(removal.positions),))
    db.execute(_DELETE_SNAPSHOTS, (Texts.of(removal.streams),))
