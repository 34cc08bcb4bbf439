"""The archived events of a log, found by their positions."""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable

from ..rows import Row
from .segment import BlockText, Segment, SegmentReader, SegmentSource

BLOCKS_KEPT = 8
"""So many blocks stay in memory, a quarter of a megabyte each, those used last."""


class Archive:
    """Reads segments, which it is told of by `update`. Blocking.

    Raises `LogDamagedError` when a segment that is needed cannot be read.
    """

    def __init__(self, source: SegmentSource) -> None:
        self._source = source
        self._segments: list[Segment] = []
        self._readers: dict[str, SegmentReader] = {}
        self._texts: OrderedDict[tuple[str, int], BlockText] = OrderedDict()

    def update(self, segments: Iterable[Segment]) -> None:
        """Know these segments, by their first positions; all there are."""
        self._segments = list(segments)

    def row(self, position: int) -> Row | None:
        """Return the event at a position, None if it is not archived."""
        for segment in self._segments:
            if segment.first <= position <= segment.last:
                found = self._rows_of(segment, position - 1, position, 1)
                if found:
                    return found[0]
        return None

    def rows(self, after: int, until: int, limit: int) -> list[Row]:
        """Return the first archived events with after < position <= until, in order."""
        found: list[Row] = []
        for segment in self._segments:
            if segment.first > until:
                break
            if segment.last > after:
                found += self._rows_of(segment, after, until, limit)
                found.sort()
                del found[limit:]
                if found and len(found) == limit:
                    until = found[-1].position
        return found

    def _rows_of(
        self, segment: Segment, after: int, until: int, limit: int
    ) -> list[Row]:
        name = segment.segment
        reader = self._readers.get(name)
        if reader is None:
            reader = self._readers[name] = SegmentReader(self._source, segment)
        found: list[Row] = []
        start = bisect_right(reader.blocks, after, key=lambda block: block.last)
        for number in range(start, len(reader.blocks)):
            if reader.blocks[number].first > until or len(found) >= limit:
                break
            found += self._text(name, reader, number).rows(after, until, limit)
        return found

    def _text(self, name: str, reader: SegmentReader, number: int) -> BlockText:
        text = self._texts.get((name, number))
        if text is None:
            text = self._texts[name, number] = reader.text(number)
            if len(self._texts) > BLOCKS_KEPT:
                self._texts.popitem(last=False)
        self._texts.move_to_end((name, number))
        return text
