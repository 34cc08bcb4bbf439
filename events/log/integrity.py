"""Whether one recorded event is what was written, given the event before it."""

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from .api import Header
from .digest import FIRST, chained
from .document import split
from .errors import MALFORMED, LogDamagedError

Kind = Literal[
    "file",
    "schema",
    "wal",
    "gap",
    "row",
    "version",
    "prev",
    "document",
    "digest",
    "committed",
    "head",
    "open",
    "orphan",
    "snapshot",
    "key",
    "end",
    "meta",
    "seal",
    "segment",
]
"""What is wrong, in a word.

`file`: SQLite's own structures; `schema`: what hangs on the tables, or they themselves;
`wal`: commits in the WAL; `gap`: positions are missing; `row`: a column holds
another type; `version`, `prev`: the event does not follow the one before it in its
stream; `document`: it is no header with data; `digest`: it was changed; `committed`:
time went back; `head`, `open`: a stream's row does not fit its last event; `orphan`:
no stream leads to the event; `snapshot`: it was changed, is of an event that is not
there, or is not what the events come to; `key`: an idempotency key was changed, added
or removed; `end`: the log ends elsewhere than it says; `meta`: what else it says of
itself is not what was written; `seal`: the sealed events are not these; `segment`:
a file of archived events is missing or not the one that was written.
"""


class Damage(msgspec.Struct, frozen=True, gc=False):
    """One thing that is not as it was written."""

    kind: Kind
    position: int
    """Where in the log; 0: in no event."""
    stream: str
    message: str


class ChainedRow(msgspec.Struct, frozen=True, gc=False):
    """An event's row, and its predecessor's stream, version and digest."""

    position: int
    stream: Any
    version: Any
    tag: Any
    document: Any
    prev: Any
    digest: Any
    before_stream: Any
    before_version: Any
    before_digest: Any
    opaque: Any
    """Whether the state is a blob, which only a recorder writes: it has no header."""


_header = msgspec.json.Decoder(Header).decode


class EventCheck:
    """Checks events in the order of their positions.

    It keeps nothing but the last position, time of commit and epoch, so that a log of
    any length is checked in the same memory.
    """

    def __init__(self, after: int = 0) -> None:
        self.position = after
        self.committed = self.epoch = 0

    def check(self, row: ChainedRow) -> Iterator[Damage]:
        """Yield what is wrong with an event."""
        missing = self.position + 1
        self.position = row.position
        if row.position != missing:
            yield Damage(
                "gap",
                missing,
                "",
                f"positions {missing} to {row.position - 1} are missing",
            )
        if not _typed(row):
            yield self._damage("row", row, "a column holds a value of another type")
            return
        yield from self._check_chain(row)
        yield from self._check_document(row)

    def _check_chain(self, row: ChainedRow) -> Iterator[Damage]:
        if row.prev is None:
            if row.version != 1 and not (row.opaque and row.version == 0):
                message = f"version {row.version} has no event before it"
                yield self._damage("prev", row, message)
        elif row.before_stream != row.stream or row.prev >= row.position:
            message = (
                f"the event before it is said to stand at {row.prev}, and does not"
            )
            yield self._damage("prev", row, message)
        elif row.before_version != row.version - 1:
            message = f"version {row.version} follows version {row.before_version}"
            yield self._damage("version", row, message)

    def _check_document(self, row: ChainedRow) -> Iterator[Damage]:
        committed, epoch = self.committed, 0
        header, data = b"", row.document
        try:
            if not row.opaque:
                header, data = split(row.document)
                told = _header(header)
                committed, epoch = told.committed, told.epoch
        except (LogDamagedError, *MALFORMED) as error:
            yield self._damage("document", row, str(error))
            return
        before = FIRST if row.prev is None else row.before_digest
        if committed < self.committed:
            message = f"committed at {committed}, before the event that precedes it"
            yield self._damage("committed", row, message)
        if not isinstance(before, bytes) or row.digest != chained(
            before,
            row.position,
            row.stream,
            row.version,
            row.tag,
            header,
            data,
        ):
            message = "its contents, its place or the history before it were changed"
            yield self._damage("digest", row, message)
            return  # what it says of the time would make all that follow look too early
        self.committed = max(committed, self.committed)
        self.epoch = max(epoch, self.epoch)

    @staticmethod
    def _damage(kind: Kind, row: ChainedRow, message: str) -> Damage:
        return Damage(kind, row.position, str(row.stream), message)


def _typed(row: ChainedRow) -> bool:
    return (
        isinstance(row.stream, str)
        and isinstance(row.version, int)
        and isinstance(row.tag, str)
        and isinstance(row.document, bytes)
        and isinstance(row.prev, int | None)
        and isinstance(row.digest, bytes)
    )
