"""Composes what one transaction writes from the appends that share it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ..event import Event
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

Begun = tuple[Context, int, bytes, bytes]
"""How documents begin: context and schema version, the header, and it left open."""

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
        self._at: Begun = Context(0), -1, b"", b""
        """What the document of the event before began with."""
        self.next_position = next_position
        self.moved: dict[str, Head] = {}
        """The heads of known streams that stayed as open as they were."""
        self.turned: dict[str, Head] = {}
        """The heads of new streams and of those that were opened or closed."""
        self.event_values: list[Any] = []
        """The events' rows, flat: document, position, stream, version, tag, ..."""
        self.key_values: list[Any] = []
        """The keys' rows, flat: scope, key, stream, expires, digest."""

    def place(self, appends: Sequence[Pending]) -> list[Outcome]:
        """Take each append in, wholly, or refuse it; say what became of each.

        An ordinary append, one event for a stream in its right version and no key,
        is one pass here; `_check` and `_write` know all the rules.
        """
        outcomes: list[Outcome] = []
        heads, committed_us = self._heads, self._committed_us
        for pending in appends:
            position, incarnation = self.next_position, pending.incarnation
            streams, datas = pending.streams, pending.datas
            try:
                head = heads.get(streams[0].stream) if len(streams) == 1 else None
                if (
                    head is not None
                    and len(datas) == 1
                    and head[2] == streams[0].expected
                    and not pending.keys
                    and (incarnation is None or not incarnation.revoked)
                ):
                    (event,) = streams[0].events
                    context = streams[0].context or pending.otherwise
                    self._write_event(context, event, datas[0], head)
                else:
                    self._check(pending, appends)
                    if datas:
                        self._write(pending)
                    else:
                        position -= 1
            except AppendRejectedError as error:
                outcomes.append((pending.done, pending.refusal(error)))
                continue
            if pending.keys:
                self._take_keys(pending.keys)
            outcomes.append((pending.done, Appended(position, committed_us)))
        return outcomes

    def _check(self, pending: Pending, appends: Sequence[Pending]) -> None:
        """Raise the `AppendRejectedError` that an append is to get, if any."""
        if pending.refused is not None:
            raise pending.refused
        incarnation = pending.incarnation
        if incarnation is not None and incarnation.revoked:
            raise StaleWriterError
        heads, versions = self._heads, dict[str, int]()
        for append in pending.streams:
            name = append.stream
            version = versions.get(name)
            if version is None:
                head = heads.get(name)
                version = self._version(name, appends) if head is None else head[2]
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
        """Write the events of all streams of an append that was checked."""
        heads, datas = self._heads, iter(pending.datas)
        # Only a context can fail to be encoded: all of them are, before anything is
        # changed. Most streams have one event, so that a header is used once.
        begun = [
            self._begun(context, append.events[0].version if append.events else 0)
            for append, context in zip(pending.streams, pending.contexts, strict=True)
        ]
        for append, self._at in zip(pending.streams, begun, strict=True):
            context = self._at[0]
            for event in append.events:
                self._write_event(context, event, next(datas), heads[append.stream])

    def _write_event(
        self, context: Context, event: Event, data: bytes, head: Head
    ) -> None:
        """Write an event of the stream that stands at `head`."""
        known, schema, header, opening = self._at
        if context is not known or event.version != schema:
            self._at = _, _, header, opening = self._begun(context, event.version)
        name, kind, before, previous, digest, was_open = head
        position, version, tag = self.next_position, before + 1, event.tag
        digest = bytearray(
            chained(digest, position, name, version, tag, header, data),
        )
        document = (opening + data + CLOSING).decode()
        row = (document, position, name, version, tag, previous, digest)
        self.event_values += row
        self.next_position = position + 1
        is_open = 0 if event.closes else 1
        head = (name, kind, version, position, digest, is_open)
        self._heads[name] = head
        if is_open == was_open and before and name not in self.turned:
            self.moved[name] = head
        else:
            self.moved.pop(name, None)
            self.turned[name] = head

    def _begun(self, context: Context, schema: int) -> Begun:
        """Encode the header of what comes next; it often serves several events."""
        header = encode_header(
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
        return context, schema, header, header[:-1] + SEAM
