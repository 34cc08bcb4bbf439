"""Composes what one transaction writes from the appends that share it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .api import Appended, Context, Header, IdempotencyKey
from .digest import FIRST, chained, key_digest
from .document import CLOSING, SEAM, encode_header
from .errors import (
    AppendRejectedError,
    EncodingError,
    KeyTakenError,
    StaleWriterError,
    VersionConflictError,
)
from .outcomes import Outcome
from .pending import Pending

KeyName = tuple[str, str]
"""Scope and key."""

Head = tuple[str, str, int, int | None, bytearray, int]
"""Where a stream stands, as its row: name, kind, version, position, digest, open.

A plain tuple, because one is made for every append. The digest is a bytearray, and
`open` 0 or 1, because sqlite3 binds them in a quarter of the time that bytes and bool
take, for which it looks for adapters first.
"""

FindHeads = Callable[[Iterable[str]], None]
"""Adds the heads of streams to those a group was given."""


def absent(stream: str) -> Head:
    """Return the head of a stream that never began."""
    return stream, stream.partition("/")[0], 0, None, bytearray(FIRST), 0


class Group:
    """The rows of one transaction.

    It is given the heads of streams, what finds those that are missing, and the keys
    in use that its appends name. It answers each append by itself: a conflict fails
    one and leaves no trace in the rows. No SQL and no clock here, so the rules of an
    append stand in one place.
    """

    def __init__(  # noqa: PLR0913 - what is the same for all of the group
        self,
        *,
        heads: dict[str, Head],
        find_heads: FindHeads,
        keys: dict[KeyName, str],
        next_position: int,
        committed_us: int,
        node: str,
        epoch: int,
    ) -> None:
        self._heads = heads
        self._find_heads = find_heads
        self._keys = keys
        self._committed_us = committed_us
        self._node = node
        self._epoch = epoch
        self.next_position = next_position
        self.moved: dict[str, Head] = {}
        """The heads of new streams and of those that stayed as open as they were."""
        self.turned: dict[str, Head] = {}
        """The heads of known streams that were opened or closed."""
        self.event_values: list[Any] = []
        """The events' rows, flat: document, position, stream, version, tag, ..."""
        self.key_values: list[Any] = []
        """The keys' rows, flat: scope, key, stream, expires, digest."""

    def place(self, appends: Sequence[Pending]) -> list[Outcome]:
        """Take each append in, wholly, or refuse it; say what became of each.

        An ordinary append, one that names one stream in its right version and no key,
        is checked here; `_check` knows all the rules.
        """
        outcomes: list[Outcome] = []
        head_of, write, committed_us = self._heads.get, self._write, self._committed_us
        for pending in appends:
            streams, incarnation = pending.streams, pending.incarnation
            try:
                head = head_of(streams[0].stream) if len(streams) == 1 else None
                if (
                    head is None
                    or head[2] != streams[0].expected
                    or pending.keys
                    or not pending.datas
                    or (incarnation is not None and incarnation.revoked)
                ):
                    self._check(pending, appends)
                first = self.next_position
                if pending.datas:
                    write(pending)
                else:
                    first -= 1
            except AppendRejectedError as error:
                pending.revoke_after(error)
                outcomes.append((pending.done, error))
                continue
            if pending.keys:
                self._take_keys(pending.keys)
            outcomes.append((pending.done, Appended(first, committed_us)))
        return outcomes

    def _check(self, pending: Pending, appends: Sequence[Pending]) -> None:
        """Raise the `AppendRejectedError` that an append is to get, if any."""
        if pending.refused is not None:
            raise pending.refused
        incarnation = pending.incarnation
        if incarnation is not None and incarnation.revoked:
            raise StaleWriterError
        versions: dict[str, int] = {}
        for append in pending.streams:
            name = append.stream
            version = versions.get(name, -1)
            if version < 0:
                version = self._version(name, appends)
            if version != append.expected:
                raise VersionConflictError(name, append.expected, version)
            versions[name] = version + len(append.events)
        wanted: dict[KeyName, str] = {}
        for key in pending.keys:
            key_name = key.scope, key.key
            taken = self._keys.get(key_name) or wanted.get(key_name)
            if taken is not None:
                raise KeyTakenError(key.scope, key.key, taken)
            wanted[key_name] = key.stream

    def _version(self, name: str, appends: Sequence[Pending]) -> int:
        """Return where a stream stands; if that is not known, look all streams up."""
        if name not in self._heads:
            self._find_heads(
                {
                    append.stream
                    for pending in appends
                    if pending.refused is None
                    for append in pending.streams
                }
            )
        head = self._heads.get(name)
        if head is None:
            raise EncodingError(
                f"{name!r} cannot be the name of a stream: give it a text that is not "
                "empty and holds no NUL and no half of a surrogate pair",
            )
        return head[2]

    def _take_keys(self, keys: Sequence[IdempotencyKey]) -> None:
        for key in keys:
            self._keys[key.scope, key.key] = key.stream
            row = (key.scope, key.key, key.stream, key.expires_us)
            self.key_values += (*row, bytearray(key_digest(*row)))

    def _write(self, pending: Pending) -> None:
        heads, values, context = self._heads, self.event_values, pending.context
        position = self.next_position
        schema = -1
        header = opening = b""
        datas = iter(pending.datas)
        for append in pending.streams:
            events = append.events
            if not events:
                continue
            name, kind, before, previous, digest, was_open = heads[append.stream]
            version = before
            for event in events:
                if event.version != schema:
                    # Only the context can fail to be encoded, so the first header
                    # does, before anything is changed, or none.
                    schema = event.version
                    header = self._header(context, schema)
                    opening = header[:-1] + SEAM
                version += 1
                tag = event.tag
                data = next(datas)
                digest = bytearray(
                    chained(digest, position, name, version, tag, header, data),
                )
                document = (opening + data + CLOSING).decode()
                values += (document, position, name, version, tag, previous, digest)
                previous = position
                position += 1
            is_open = 0 if events[-1].closes else 1
            head = (name, kind, version, previous, digest, is_open)
            heads[name] = head
            if (before and is_open != was_open) or name in self.turned:
                self.moved.pop(name, None)
                self.turned[name] = head
            else:
                self.moved[name] = head
        self.next_position = position

    def _header(self, context: Context, schema: int) -> bytes:
        return encode_header(
            Header(
                schema,
                context.at_us,
                self._committed_us,
                context.by,
                context.owner,
                context.corr,
                context.cause,
                self._node,
                self._epoch,
            ),
        )
