"""Whether the segments of a log are those that were written."""

from collections.abc import Iterable, Iterator
from contextlib import suppress

import msgspec

from ..document import split
from ..errors import MALFORMED, LogDamagedError
from ..integrity import Damage
from ..rows import Row
from .event import Archived
from .segment import Segment, SegmentSource


def segment_damages(
    source: SegmentSource, segments: Iterable[Segment], told: Iterable[Row]
) -> Iterator[Damage]:
    """Yield the segments that are not as they were written.

    `told` are the events of the stream that tells of them. Blocking.
    """
    named = {
        (event.segment, event.digest)
        for row in told
        if (event := _archived(row)) is not None
    }
    for segment in segments:
        name, digest = source.named(segment.segment), segment.digest
        try:
            found = source.digest(segment.segment)
        except LogDamagedError as error:
            yield Damage("segment", segment.first, "", str(error))
            continue
        if found != digest:
            message = f"{name} is not as it was written"
            yield Damage("segment", segment.first, "", message)
        if (segment.segment, digest.hex()) not in named:
            message = f"no event says that {name} was archived"
            yield Damage("segment", segment.first, "", message)


def _archived(row: Row) -> Archived | None:
    with suppress(LogDamagedError, *MALFORMED):
        return msgspec.json.decode(split(row.document)[1], type=Archived)
    return None
