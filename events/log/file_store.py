"""A log file as tools go through it, opened past whatever can be damaged in it."""

from array import array
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from . import meta
from .archive import Segment, SegmentFolder
from .archive.checking import segment_damages
from .archive.event import STREAM
from .encryption.survey import KeptSnapshot
from .errors import LogDamagedError
from .integrity import Damage
from .reading import open_file, translated
from .rows import Row
from .shape import oddities
from .stored import LAST, StoredEvents, is_segment
from .tables import format_of
from .wal import wal_damage

OPEN = "SELECT stream FROM streams WHERE open"
SNAPSHOTS = "SELECT stream, version, position, state FROM snapshots"
_DIGESTS = "SELECT digest FROM keys"
STRUCTURES_MAX = 20
"""So many damages SQLite may name in its own structures."""

# All in one statement, so that they are counted at one moment.
_TOTALS = """
SELECT (SELECT count(*) FROM events WHERE version <> 0) + {archived},
       (SELECT total(version) FROM streams),
       (SELECT max(position) FROM events), next_position, committed, epoch
FROM meta
"""


class FileStore(StoredEvents):
    """The `Store` of a file.

    Text that is no UTF-8 any more is to fail its digest, and not all of its page.
    Raises `LogNotFoundError`, `LogFormatError` and `LogUnreadableError` when made.
    """

    def __init__(self, path: Path) -> None:
        db = open_file(path)
        db.text_factory = partial(str, encoding="utf-8", errors="replace")
        super().__init__(path, db)
        self.name = str(path)
        self._segments = SegmentFolder(path)
        self.format = format_of(db)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def snapshots(self) -> list[KeptSnapshot]:
        """Return all snapshots."""
        return self.query(SNAPSHOTS)

    def open_names(self) -> Iterator[str]:
        """Return the names of all streams that are open."""
        return (stream for (stream,) in self.query(OPEN))

    def totals(self) -> list[Any]:
        """Return how many events there are, and the end; see `Store`."""
        archived = "(SELECT total(events) FROM segments)" if self.format > 1 else "0"
        return self.query(_TOTALS.format(archived=archived))

    def meta(self) -> tuple[Any, int] | None:
        """Return what the log says of itself, and its keys; see `Store`."""
        if self.format < meta.FORMAT_SINCE:
            return None
        with self._one_moment():
            rows = self.query(meta.SELECT)
            with translated(self._path), closing(self._db.execute(_DIGESTS)) as found:
                keys = meta.folded(digest for (digest,) in found)
        return rows[0] if len(rows) == 1 else meta.NOTHING, keys

    def ends(self) -> "tuple[int, array[int]]":
        """Return the last position and where streams were closed; see `Store`."""
        query = (
            "SELECT position FROM streams WHERE NOT open "
            "AND typeof(position) = 'integer' ORDER BY position"
        )
        with self._one_moment():
            ((end,),) = self.query("SELECT max(position) FROM events")
            with translated(self._path), closing(self._db.execute(query)) as rows:
                return end or 0, array("q", (position for (position,) in rows))

    @contextmanager
    def _one_moment(self) -> Generator[None, None, None]:
        """Have all statements see the log as of one moment."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("ROLLBACK")

    def damages(self) -> Iterator[Damage]:
        """Yield what is wrong with the file, its WAL and its segments."""
        ((page_size,),) = self.query("PRAGMA page_size")
        if self._path.stat().st_size % page_size:
            yield Damage("file", 0, "", "its last page is incomplete: it was cut")
        damage = wal_damage(self._path)
        if damage is not None:
            ((end,),) = self.query("SELECT coalesce(max(position), 0) FROM events")
            yield Damage("wal", end + 1, "", f"{damage}: they began at this position")
        for oddity in oddities(self.query, self.format):
            yield Damage("schema", 0, "", oddity.message)
        for (message,) in self.query(f"PRAGMA integrity_check({STRUCTURES_MAX})"):
            if message != "ok":
                yield Damage("file", 0, "", message)

    def segments(self) -> list[Segment]:
        """Return the segments whose rows can be read, by their first positions."""
        return [Segment(*row) for row in self._segment_rows() if is_segment(*row)]

    def segment_damages(self) -> Iterator[Damage]:
        """Yield the files of archived events that are not as they were written."""
        known = self.segments()
        if broken := len(self._segment_rows()) - len(known):
            message = f"{broken} rows of the table of segments are not as written"
            yield Damage("segment", 0, "", message)
        told: list[Row] | None = None
        with suppress(LogDamagedError):  # as is told of its events
            told = self.stream(STREAM, 0, LAST, LAST)
        yield from segment_damages(self._segments, known, told)
