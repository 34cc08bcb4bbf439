"""The archived events of a log, found by their positions."""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

from ..rows import Row
from .segment import Segment, SegmentFile, folder_of

BLOCKS_KEPT = 8
"""So many decoded blocks stay in memory, those used last."""


class Archive:
    """Reads segments, which it is told of by `update`. Blocking.

    Raises `LogDamagedError` when a segment that is needed cannot be read.
    """

    def __init__(self, log: Path) -> None:
        self._folder = folder_of(log)
        self._segments: dict[str, Segment] = {}
        self._files: dict[str, SegmentFile] = {}
        self._blocks: OrderedDict[tuple[str, int], list[Row]] = OrderedDict()

    def update(self, segments: Iterable[Segment]) -> None:
        """Know these segments, and those known before."""
        self._segments.update((segment.segment, segment) for segment in segments)

    def row(self, position: int) -> Row | None:
        """Return the event at a position, None if it is not archived."""
        for segment in self._segments.values():
            if segment.first <= position <= segment.last:
                found = self._rows_of(segment, position - 1, position, 1)
                if found:
                    return found[0]
        return None

    def rows(self, after: int, until: int, limit: int) -> list[Row]:
        """Return the first archived events with after < position <= until, in order."""
        rows = [
            row
            for segment in self._segments.values()
            if segment.first <= until and segment.last > after
            for row in self._rows_of(segment, after, until, limit)
        ]
        rows.sort()
        return rows[:limit]

    def _rows_of(
        self, segment: Segment, after: int, until: int, limit: int
    ) -> list[Row]:
        name = segment.segment
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = SegmentFile(self._folder, segment)
        found: list[Row] = []
        start = bisect_right(file.blocks, after, key=lambda block: block.last)
        for number in range(start, len(file.blocks)):
            if file.blocks[number].first > until or len(found) >= limit:
                break
            rows = self._block(name, file, number)
            first = bisect_right(rows, after, key=_position)
            last = bisect_left(rows, until + 1, key=_position)
            found += rows[first : min(last, first + limit)]
        return found

    def _block(self, name: str, file: SegmentFile, number: int) -> list[Row]:
        rows = self._blocks.get((name, number))
        if rows is None:
            rows = self._blocks[name, number] = file.rows(number)
            if len(self._blocks) > BLOCKS_KEPT:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end((name, number))
        return rows


def _position(row: Row) -> int:
    return row.position
