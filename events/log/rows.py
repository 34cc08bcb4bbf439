"""Turns rows of a log file into recorded events."""

import msgspec

from ..registry import DataError, Registry
from .api import Header, Recorded
from .document import split
from .errors import LogDamagedError

COLUMNS = "position, stream, version, tag, CAST(state AS BLOB)"
"""What a row of an event is read as; as a blob, the document is not copied into text."""

EventRow = tuple[int, str, int, str, bytes]

_header = msgspec.json.Decoder(Header).decode


class RowDecoder:
    """Decodes rows with the events of one registry.

    Tags that nobody registered give `UnknownEvent`s. Raises `LogDamagedError` when a
    document cannot be read and `DataError` when its data does not fit its class; both
    name the position.
    """

    __slots__ = ("_decode",)

    def __init__(self, registry: Registry) -> None:
        self._decode = registry.decode

    def __call__(self, row: EventRow) -> Recorded:
        """Return the event that a row holds."""
        position, stream, version, tag, document = row
        header = b""
        try:
            header, data = split(document)
            known = _header(header)
            event = self._decode(tag, known.v, data)
        except DataError as error:
            raise DataError(f"at position {position}: {error}") from error
        except (LogDamagedError, msgspec.MsgspecError) as error:
            raise LogDamagedError(
                f"the event at position {position} of stream {stream!r} cannot be "
                f"read: {error}; verify the log and restore it from a backup",
            ) from error
        return Recorded(position, stream, version, event, known)
