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
    source: SegmentSource, segments: Iterable[Segment], told: Iterable[Row] | None
) -> Iterator[Damage]:
    """Yield the segments that are not as they were written.

    `told` are the events of the stream that tells of them; None: it cannot be read.
    Blocking.
    """
    archived = dict(filter(None, map(_archived, told or ())))
    for segment in segments:
        name = source.named(segment.segment)
        try:
            found = source.digest(segment.segment)
        except LogDamagedError as error:
            yield Damage("segment", segment.first, "", str(error))
            continue
        if found != segment.digest:
            message = f"{name} is not as it was written"
            yield Damage("segment", segment.first, "", message)
        if told is None:
            continue
        if segment.segment not in archived:
            message = f"no event says that {name} was archived"
            yield Damage("segment", segment.first, "", message)
        elif segment != archived[segment.segment]:
            message = f"{name} was archived otherwise than its row says"
            yield Damage("segment", segment.first, "", message)


def _archived(row: Row) -> tuple[str, Segment] | None:
    """Return what an event says of a segment, by its name."""
    with suppress(LogDamagedError, ValueError, *MALFORMED):
        told = msgspec.json.decode(split(row.document)[1], type=Archived)
        values = msgspec.structs.asdict(told) | {"digest": bytes.fromhex(told.digest)}
        return told.segment, msgspec.convert(values, Segment)
    return None
