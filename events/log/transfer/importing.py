"""Reads an export into a log, event for event as it was."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path

import msgspec

from ..api import Header
from ..digest import FIRST
from ..document import split
from ..errors import MALFORMED, LogDamagedError, LogError
from ..lines import decode_line
from ..rows import Row, is_chained
from ..whole import run_whole
from .lines import DamageLine, EndLine, KeyLine, Start
from .target import Chunk, FileTarget, OpenTarget, StreamEnd

Read = Callable[[int], Awaitable[bytes]]
"""Returns so many bytes of an export; none at its end."""

CHUNK_BYTES = 1 << 20
"""So much is read and committed at a time."""

HEADS_MAX = 16_384
"""So many heads of streams are remembered."""

_decode_start = msgspec.json.Decoder(Start).decode
_decode_key = msgspec.json.Decoder(KeyLine).decode
_decode_damage = msgspec.json.Decoder(DamageLine).decode
_decode_end = msgspec.json.Decoder(EndLine).decode
_header = msgspec.json.Decoder(Header).decode


class ImportRejectedError(LogError):
    """An export cannot be imported as it is; what was imported before is sound."""


class Imported(msgspec.Struct, frozen=True):
    """What an import came to."""

    events: int
    """How many were written."""
    known: int
    """How many were there already, the very same."""
    keys: int
    position: int
    """The last position of the log."""


async def import_log(log: Path | OpenTarget, read: Read) -> Imported:
    """Write an export to a log: a file, made if it is not there, or what is opened.

    Every event is checked against its digest, the chain and the positions before it is
    written. A log that is not empty must hold the very events that the export begins
    with, or end where it begins: so an import that was cut off is done again, and goes
    on where it stopped.

    Raises `ImportRejectedError` naming the line, `LogLockedError` when another process
    writes the log, `LogFormatError`, `LogDamagedError`, `sqlite3.Error`, `OSError`.
    """
    rest = b""
    while b"\n" not in rest:
        chunk = await read(CHUNK_BYTES)
        if not chunk or len(rest) > CHUNK_BYTES:
            raise _not_one("it has no line")
        rest += chunk
    first, _, rest = rest.partition(b"\n")
    opening = log if callable(log) else partial(FileTarget, log)
    imports: list[_Import] = []
    try:
        await run_whole(lambda: imports.append(_Import(opening, first)))
        (importing,) = imports
        *lines, rest = rest.split(b"\n")
        await run_whole(importing.take, lines)
        while chunk := await read(CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            await run_whole(importing.take, lines)
        return importing.finished()
    finally:
        for each in imports:
            await run_whole(each.close)


class _Import:
    """Takes lines, in worker threads, and commits some at a time."""

    def __init__(self, opening: OpenTarget, first: bytes) -> None:
        self._start = _started(first)
        self._digest = sha256(first + b"\n")
        self._line = 1
        self._ended = False
        self._written = self._known = self._keys = self._events = 0
        self._target = opening()
        self._next = self._target.next_position
        self._committed = self._target.committed_us
        if self._start.after >= self._next:
            self.close()
            raise ImportRejectedError(
                f"the log ends at position {self._next - 1} and the export begins "
                f"after {self._start.after}: import what is between them first",
            )
        self._heads: dict[str, StreamEnd] = {}
        self._changed: dict[str, tuple[str, str, int, int, bytes, bool]] = {}

    def close(self) -> None:
        self._target.close()

    def take(self, lines: Sequence[bytes]) -> None:
        """Check lines and commit what they hold, wholly or not at all."""
        rows: list[Row] = []
        keys: list[tuple[str, str, str, int | None]] = []
        self._changed.clear()
        for line in lines:
            self._line += 1
            if self._ended:
                raise self._rejected("something follows after its end")
            if line.startswith(b'{"position":'):
                self._event(line, rows)
            elif line.startswith(b'{"key":'):
                keys.append(self._key(line))
            else:
                self._other(line)
            self._digest.update(line + b"\n")
        self._commit(rows, keys)

    def finished(self) -> Imported:
        """Return what it came to. Raises `ImportRejectedError` if the end is missing."""
        if not self._ended:
            raise self._rejected(
                f"it was cut off; {self._written} events were imported and are sound, "
                "import all of it to go on",
                "",
            )
        return Imported(self._written, self._known, self._keys, self._next - 1)

    def _event(self, line: bytes, rows: list[Row]) -> None:
        try:
            row, is_open = decode_line(line)
        except LogDamagedError as error:
            raise self._rejected(str(error)) from error
        self._events += 1
        expected = self._start.after + self._events
        if row.position != expected:
            raise self._rejected(
                f"position {row.position} stands where {expected} should",
            )
        if row.position < self._next:
            self._compare(row)
            return
        version, prev, digest = self._head(row.stream)
        if (row.version, row.prev) != (version + 1, prev) and not (
            row.opaque and row.version == 0 and prev is None
        ):
            raise self._rejected(
                f"version {row.version} of {row.stream!r} does not follow {version}",
            )
        if not is_chained(digest, row):
            raise self._rejected(f"position {row.position} does not fit its digest")
        self._check_time(row)
        rows.append(row)
        self._next += 1
        self._heads[row.stream] = row.version, row.position, row.digest
        kind = row.stream.partition("/")[0]
        head = row.stream, kind, row.version, row.position, row.digest, is_open
        self._changed[row.stream] = head

    def _compare(self, row: Row) -> None:
        if self._target.digest_of(row.position) != row.digest:
            raise self._rejected(
                f"the log has another event at position {row.position}: it is no "
                "earlier part of this one; choose another file",
                "",
            )
        self._known += 1

    def _check_time(self, row: Row) -> None:
        if row.opaque:
            return
        committed = _header(split(row.document)[0]).committed
        if committed < self._committed:
            raise self._rejected(f"time goes back at position {row.position}")
        self._committed = committed

    def _head(self, stream: str) -> StreamEnd:
        head = self._heads.get(stream)
        if head is None:
            head = self._target.end_of(stream) or (0, None, FIRST)
            if len(self._heads) >= HEADS_MAX:
                self._heads.clear()
                self._heads.update(
                    (name, (row[2], row[3], row[4]))
                    for name, row in self._changed.items()
                )
                head = self._heads.get(stream, head)
        return head

    def _key(self, line: bytes) -> tuple[str, str, str, int | None]:
        try:
            key = _decode_key(line).key
        except MALFORMED as error:
            raise self._rejected(f"this is no key ({error})") from error
        self._keys += 1
        return key.scope, key.key, key.stream, key.expires_us

    def _other(self, line: bytes) -> None:
        if line.startswith(b'{"damage":'):
            damage = _decode_damage(line).damage
            raise self._rejected(
                f"the log it was made from is damaged at position {damage.position} "
                f"({damage.kind}: {damage.message})",
                "; restore that from a backup, and export it again",
            )
        try:
            end = _decode_end(line).end
        except MALFORMED as error:
            raise self._rejected(f"this is no line of an export ({error})") from error
        if (end.events, end.digest) != (self._events, self._digest.hexdigest()):
            raise self._rejected("it is not as it was written")
        self._ended = True

    def _commit(
        self, rows: list[Row], keys: list[tuple[str, str, str, int | None]]
    ) -> None:
        committed = max(self._committed, self._start.committed if self._ended else 0)
        heads = self._changed.values()
        chunk = Chunk(rows, heads, keys, self._next, committed, self._start.epoch)
        self._target.write(chunk)
        self._written += len(rows)

    def _rejected(
        self, what: str, advice: str = "; export the log again, and import that"
    ) -> ImportRejectedError:
        return ImportRejectedError(f"line {self._line} of the export: {what}{advice}")


def _started(line: bytes) -> Start:
    try:
        start = _decode_start(line)
    except MALFORMED as error:
        raise _not_one(str(error)) from error
    if start.streams:
        raise ImportRejectedError(
            "this is an export of some streams alone, whose positions have gaps: it is "
            "for reading; export all streams to import them",
        )
    return start


def _not_one(reason: str) -> ImportRejectedError:
    return ImportRejectedError(
        f"this is no export, by its first line ({reason}): give what "
        "`dramaturg log export` wrote",
    )
