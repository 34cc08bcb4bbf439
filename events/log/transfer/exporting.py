"""Writes a log, or a part of it, as lines of JSON."""

from array import array
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from ..api import IdempotencyKey
from ..digest import key_digest
from ..errors import LogDamagedError
from ..file_store import FileStore
from ..integrity import ChainedRow, Damage, EventCheck
from ..lines import encode_line
from ..rows import Row
from ..scan import Scan
from ..side_tables import SideTables, paged
from ..store import Opening
from ..whole import run_whole
from .lines import DamageLine, Ending, EndLine, KeyLine, Start, encode

_KEYS = """
SELECT scope, key, stream, expires, digest FROM keys
WHERE (scope, key) > (?, ?) ORDER BY scope, key LIMIT ?
"""

Write = Callable[[bytes], Awaitable[object]]
"""Takes the next lines of an export."""


class Exported(msgspec.Struct, frozen=True):
    """What an export came to."""

    events: int
    keys: int
    damages: int
    """How much is not as it was written; the export says what."""


async def export_log(  # noqa: PLR0913 - which events, by name
    log: Path | Opening,
    write: Write,
    *,
    after: int = 0,
    until: int | None = None,
    streams: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Hand the lines of a log to `write`, some at a time, also while it is written.

    Of a damaged log everything that can be read is exported, and lines between it say
    what is not as it was written. An export of all streams holds the idempotency keys
    too; snapshots can be made again and are left out. `log` is a file, or what opens
    another store.

    Raises `LogNotFoundError`, `LogFormatError`, `LogUnreadableError` and
    `LogDamagedError`.
    """
    opening = log if callable(log) else partial(FileStore, log)
    exports: list[_Export] = []
    try:
        await run_whole(lambda: exports.append(_Export(opening, after, until, streams)))
        (export,) = exports
        pages = export.lines()
        while lines := await run_whole(next, pages, b""):
            await write(lines)
            if progress is not None:
                progress(export.check.position, export.start.until)
    finally:
        for each in exports:
            await run_whole(each.close)
    return export.exported


class _Export:
    """Makes the lines, page by page, in worker threads."""

    def __init__(
        self,
        opening: Opening,
        after: int,
        until: int | None,
        streams: Sequence[str],
    ) -> None:
        self._stored = opening()
        self._unread: list[Damage] = []
        try:
            last, self._closed = self._stored.ends()
        except LogDamagedError as error:  # the events can be read all the same
            self._unread.append(Damage("head", 0, "", str(error)))
            query = "SELECT coalesce(max(position), 0) FROM events"
            ((last,),) = self._stored.query(query)
            self._closed = array("q")
        said = self._stored.query("SELECT epoch, committed FROM meta")
        epoch, committed = (n if isinstance(n, int) else 0 for n in said[0])
        end: int = last
        until = end if until is None else min(until, end)
        if until < end:
            committed = 0
        self.start = Start(
            self._stored.format, after, until, (*streams,), epoch, committed
        )
        self.check = EventCheck(after)
        self.exported = Exported(0, 0, 0)
        self._digest = sha256()

    def close(self) -> None:
        self._stored.close()

    def lines(self) -> Iterator[bytes]:
        """Yield the export, never nothing at a time."""
        yield self._counted(encode(self.start))
        scan = Scan(self._stored)
        for page in scan.pages(self.start.after, self.start.until):
            yield from self._page(page)
        damages = [*scan.damages, *self._unread]
        if not self.start.streams:
            yield from self._keys(damages)
            damages += self._heads()
        if lines := b"".join(map(self._damage, damages)):
            yield self._counted(lines)
        digest = self._digest.hexdigest()
        told = self.exported
        yield encode(EndLine(Ending(told.events, told.keys, told.damages, digest)))

    def _page(self, page: Iterable[ChainedRow]) -> Iterator[bytes]:
        lines: list[bytes] = []
        wanted = set(self.start.streams)
        events = 0
        for row in page:
            damages = list(self.check.check(row))
            lines += map(self._damage, damages)
            if wanted and row.stream not in wanted:
                continue
            line = self._event(row, damages)
            events += line != b""
            lines.append(line)
        told = self.exported
        self.exported = Exported(told.events + events, told.keys, told.damages)
        if joined := b"".join(lines):
            yield self._counted(joined)

    def _event(self, row: ChainedRow, damages: Sequence[Damage]) -> bytes:
        kinds = {damage.kind for damage in damages}
        if "row" in kinds:
            return b""
        opaque = bool(row.opaque) or bool(kinds & {"digest", "document"})
        whole = Row(
            row.position,
            row.stream,
            row.version,
            row.tag,
            row.document,
            row.prev,
            row.digest,
            opaque,
        )
        return encode_line(whole, is_open=not self._is_closed(row.position))

    def _damage(self, damage: Damage) -> bytes:
        told = self.exported
        self.exported = Exported(told.events, told.keys, told.damages + 1)
        return encode(DamageLine(damage))

    def _keys(self, damages: list[Damage]) -> Iterator[bytes]:
        """Yield the keys as they were written; take down which ones are not."""
        digested = self._stored.format > 1
        query = _KEYS if digested else _KEYS.replace("digest", "NULL")
        pages = paged(self._stored.query, query, ("", ""))
        while page := self._readable(pages, damages):
            keys: list[IdempotencyKey] = []
            for *row, digest in page:
                if digested and digest != key_digest(*row):
                    scope, key, stream, _ = row
                    message = f"the row of key {key!r} of {scope!r} was changed"
                    damages.append(Damage("key", 0, str(stream), message))
                else:
                    keys.append(IdempotencyKey(*row))
            told = self.exported
            self.exported = Exported(told.events, told.keys + len(keys), told.damages)
            if lines := b"".join(encode(KeyLine(key)) for key in keys):
                yield self._counted(lines)

    def _readable(self, pages: Iterator[list[Any]], damages: list[Damage]) -> list[Any]:
        nothing: list[Any] = []
        try:
            return next(pages, nothing)
        except LogDamagedError as error:
            damages.append(Damage("key", 0, "", str(error)))
            return nothing

    def _heads(self) -> list[Damage]:
        """Return what is wrong with the heads, which tell what streams are closed."""
        found: list[Damage] = []
        try:
            found.extend(SideTables(self._stored, None, {}).heads())
        except LogDamagedError as error:
            found.append(Damage("head", 0, "", str(error)))
        return found

    def _counted(self, lines: bytes) -> bytes:
        self._digest.update(lines)
        return lines

    def _is_closed(self, position: int) -> bool:
        at = bisect_left(self._closed, position)
        return at < len(self._closed) and self._closed[at] == position
