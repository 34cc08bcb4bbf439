"""Rows of a log file, and how they become recorded events."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from ..event import Erased, Event, UnknownEvent, Withheld
from ..registry import DataError, Registry
from .api import Header, Recorded, Snapshot
from .digest import chained
from .document import CLOSING, SEAM, split
from .encryption import KeyMissingError, Keyring
from .encryption.ciphertext import (
    OPENING,
    Ciphertext,
    ciphertext,
    place_of_event,
    place_of_snapshot,
)
from .errors import MALFORMED, LogDamagedError

COLUMNS = "position, stream, version, tag, CAST(state AS BLOB)"
"""What a row of an event is read as; as a blob, the document is not copied into text."""

EventRow = tuple[int, str, int, str, bytes]

ROW = f"{COLUMNS}, prev, digest, typeof(state) = 'blob'"
"""What a `Row` is read as."""


class Row(NamedTuple):
    """All that the file holds of an event."""

    position: int
    stream: str
    version: int
    tag: str
    document: bytes
    prev: int | None
    digest: bytes
    opaque: bool
    """Whether the state is a blob, which only a recorder writes: it has no header."""


def is_chained(previous: bytes, row: Row) -> bool:
    """Tell whether an event has the digest it should have after the one before it."""
    try:
        header, data = (b"", row.document) if row.opaque else split(row.document)
    except LogDamagedError:
        return False
    place = row.position, row.stream, row.version, row.tag
    return row.digest == chained(previous, *place, header, data)


def committed_us(row: EventRow) -> int:
    """Return when an event was committed; its data is not looked at."""
    return _header(split(row[4])[0]).committed


_header = msgspec.json.Decoder(Header).decode
_BRACE = CLOSING[0]


class RowDecoder:
    """Decodes rows with the events of one registry.

    Tags that nobody registered give `UnknownEvent`s. Raises `LogDamagedError` when a
    document cannot be read and `DataError` when its data does not fit its class; both
    name the position. What is encrypted is decrypted by the `keyring`; it is `Erased`
    if its key was destroyed, and a `KeyMissingError` if the key is not there, or, with
    `withhold`, a `Withheld`.
    """

    __slots__ = ("_decode", "_decoders", "_keyring", "_withhold", "withheld")

    def __init__(
        self,
        registry: Registry,
        keyring: Keyring | None = None,
        *,
        withhold: bool = False,
    ) -> None:
        self._keyring = keyring
        self._withhold = withhold
        self.withheld = 0
        """How many events were withheld so far."""
        self._decode = registry.decode
        self._decoders = registry.decoders

    def page(self, rows: Iterable[EventRow]) -> list[Recorded]:
        """Return the events of a page, as calling with each row would.

        This is what a replay does most. Whatever is out of the ordinary, an old or an
        unknown event or damage, is left to the call; events of one append have the
        same header, which is decoded once.
        """
        decoders, found = self._decoders, list[Recorded]()
        last, known = b"", Header(0, 0, 0)
        for row in rows:
            position, stream, version, tag, document = row
            header, _, data = document.partition(SEAM)
            try:
                if header != last:
                    known = _header(header + CLOSING)
                    last = header
                if known.owner and data.startswith(OPENING):
                    found.append(self(row))
                    continue
                event = decoders[tag, known.v](data[:-1])
            except (KeyError, *MALFORMED):
                found.append(self(row))
                continue
            if data[-1] == _BRACE:
                found.append(Recorded(position, stream, version, event, known))
            else:
                found.append(self(row))  # it says what is damaged
        return found

    def __call__(self, row: EventRow) -> Recorded:
        """Return the event that a row holds."""
        position, stream, version, _, document = row
        header = b""
        try:
            header, data = split(document)
            known = _header(header)
            event = self.event(row[1:4], known, data)
        except KeyMissingError as error:
            raise KeyMissingError(f"at position {position}: {error}") from error
        except DataError as error:
            raise DataError(f"at position {position}: {error}") from error
        except (LogDamagedError, *MALFORMED) as error:
            raise LogDamagedError(
                f"the event at position {position} of stream {stream!r} cannot be "
                f"read: {error}; verify the log and restore it from a backup",
            ) from error
        return Recorded(position, stream, version, event, known)

    def event(
        self, place: tuple[str, int, str], header: Header, data: bytes
    ) -> Event | UnknownEvent:
        """Return the event at a stream, version and tag, given its header and data.

        Raises `KeyMissingError`, `DataError` and `LogDamagedError`.
        """
        stream, version, tag = place
        stored = ciphertext(data) if header.owner else None
        if stored is None:
            return self._decode(tag, header.v, data)
        try:
            plain = self._decrypted(stored, place_of_event(stream, version, tag))
        except KeyMissingError:
            if not self._withhold:
                raise
            self.withheld += 1
            return Withheld(tag, header.v, data, stored.key)
        if plain is None:
            return Erased(tag, header.v, data, stored.key)
        return self._decode(tag, header.v, plain)

    def _decrypted(self, stored: Ciphertext, place: bytes) -> bytes | None:
        if self._keyring is None:
            raise KeyMissingError(
                f"it is encrypted with the key {stored.key}, and no key file was "
                "named: read the log with the one that belongs to it",
            )
        return self._keyring.decrypt(stored, place)

    def snapshot(self, snapshot: Snapshot) -> Snapshot | None:
        """Return a snapshot that can be read; None if its key is not there any more.

        Nothing is lost with it: a snapshot only spares the reading of events. Raises
        `LogDamagedError` when its ciphertext is of something else.
        """
        stored = ciphertext(snapshot.state)
        if stored is None:
            return snapshot
        place = place_of_snapshot(
            snapshot.stream, snapshot.version, snapshot.fold_version
        )
        try:
            state = self._keyring and self._keyring.decrypt(stored, place)
        except KeyMissingError:
            return None
        return replace(snapshot, state=state) if state else None


def last_committed_by(
    time_us: int, end: int, committed_at: Callable[[int], int | None]
) -> int:
    """Return the last position up to `end` committed at or before a time; 0: none.

    Commit times never go back, so a binary search finds it in a few reads;
    `committed_at` gives that of a position, None where there is no event.
    """
    low, high = 0, end
    while low < high:
        middle = (low + high + 1) // 2
        committed = committed_at(middle)
        if committed is not None and committed <= time_us:
            low = middle
        else:
            high = middle - 1
    return low
