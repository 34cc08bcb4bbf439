"""What a log holds of one owner, and whether it can be read. Blocking."""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any, Protocol, cast

import msgspec

from ...errors import DramaturgError
from ..api import Header
from ..document import split
from ..rows import Row
from ..stored import LAST
from .ciphertext import Ciphertext, ciphertext, place_of_event
from .keyring import Keyring

PAGE = 1000

TEXT_BYTES_MIN = 8
"""Shorter texts than this stand anywhere and say nothing."""

_ARTIFACT = re.compile("[0-9a-f]{64}")
_header = msgspec.json.Decoder(Header).decode


KeptSnapshot = tuple[str, int, int, bytes]
"""Stream, version, position and state of a snapshot."""


class Surveyed(Protocol):
    """The rows of a log that can be surveyed. Blocking."""

    @property
    def position(self) -> int:
        """The last position as it is now."""
        ...

    def page(self, after: int, until: int, limit: int) -> list[Row]:
        """Return a page of events with after < position <= until."""
        ...

    def snapshots(self) -> list[KeptSnapshot]:
        """Return all snapshots."""
        ...

    def open_names(self) -> Iterable[str]:
        """Return the names of all streams that are open."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


Look = Callable[[], Surveyed]
"""Opens a log for a survey."""


class Survey:
    """All that is known of an owner's data in a log.

    It is gathered when made, and kept in memory only. Raises `LogDamagedError`,
    `KeyMissingError` and what opening the log raises.
    """

    def __init__(self, look: Look, keyring: Keyring, owner: str) -> None:
        self.events = 0
        self.streams: dict[str, int] = {}
        """Where the owner has events, and the version of the first."""
        self.open = 0
        """How many of these streams are open: work that ends with its data."""
        self.readable = 0
        """Of how many events the key is still there."""
        self.plain: list[int] = []
        """The positions of events that were written without encryption."""
        self.snapshots = 0
        """How many can be read in which the owner's data may stand."""
        self.plain_snapshots = 0
        """How many of them are not encrypted."""
        self._keyring = keyring
        self._owner = owner
        self._own: set[str] = set()
        self._others: set[str] = {owner}
        self._documents: set[bytes] = set()
        with closing(look()) as log:
            self.position = log.position
            for row in _rows(log, self.position):
                self._take(row)
            self.open = sum(stream in self.streams for stream in log.open_names())
            for stream, version, position, state in log.snapshots():
                if self.streams.get(stream, LAST) <= version:
                    self._take_snapshot(position, ciphertext(state))

    def texts(self) -> list[bytes]:
        """Return texts that stand in the owner's payloads and in nobody else's."""
        own = {
            text
            for text in self._own - self._others
            if len(text.encode()) >= TEXT_BYTES_MIN
        }
        found = {text.encode() for text in own}
        found |= {msgspec.json.encode(text)[1:-1] for text in own}
        return sorted(found | self._documents)

    def artifacts(self) -> set[str]:
        """Return the digests that stand in the owner's payloads and in nobody else's."""
        return {t for t in self._own - self._others if _ARTIFACT.fullmatch(t)}

    def shared_artifacts(self) -> set[str]:
        """Return the digests that stand in the owner's payloads and elsewhere, too."""
        return {t for t in self._own & self._others if _ARTIFACT.fullmatch(t)}

    def _take(self, row: Row) -> None:
        if row.opaque:
            return
        text, data = split(row.document)
        header = _header(text)
        stored = ciphertext(data) if header.owner else None
        if header.owner != self._owner:
            self._others.update((row.stream, row.tag, header.by, header.corr))
            # What cannot be read of others is not what this is about.
            plain = data if stored is None else self._plain(row, stored, strict=False)
            self._others.update(_texts(plain))
            return
        self.events += 1
        self.streams.setdefault(row.stream, row.version)
        self._others.update((row.stream, row.tag, header.by, header.corr))
        if stored is None:
            self.plain.append(row.position)
            self._own.update(_texts(data))
            return
        plain = self._plain(row, stored, strict=True)
        if plain is not None:
            self.readable += 1
            self._own.update(_texts(plain))
            if len(plain) >= 2 * TEXT_BYTES_MIN:
                self._documents.add(plain)

    def _plain(self, row: Row, stored: Ciphertext, *, strict: bool) -> bytes | None:
        place = place_of_event(row.stream, row.version, row.tag)
        try:
            return self._keyring.decrypt(stored, place)
        except DramaturgError:
            if strict:
                raise
            return None

    def _take_snapshot(self, position: int, stored: Ciphertext | None) -> None:
        if stored is None:
            self.plain_snapshots += 1
        if stored is None or self._keyring.has(stored.key):
            self.snapshots += position <= self.position


def _rows(log: Surveyed, end: int) -> Iterator[Row]:
    after = 0
    while page := log.page(after, end, PAGE):
        yield from page
        after = page[-1].position


def _texts(data: bytes | None) -> Iterator[str]:
    """Yield the texts in a JSON document, but not the names of its members."""
    waiting: list[Any] = [] if data is None else [msgspec.json.decode(data)]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += cast("dict[str, Any]", value).values()
        elif isinstance(value, list):
            waiting += value
