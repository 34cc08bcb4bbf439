"""Composes what one transaction writes from the appends that share it."""

from collections.abc import Sequence
from typing import Any

from .api import Appended, Context, Header, StreamAppend
from .digest import FIRST, chained
from .document import CLOSING, SEAM, encode_header
from .errors import (
    EncodingError,
    KeyTakenError,
    StaleWriterError,
    VersionConflictError,
)
from .pending import Pending

KeyName = tuple[str, str]
"""Scope and key."""


Head = tuple[int, int | None, bytes, bool]
"""Where a stream stands: version, position, digest, and whether it is open.

A plain tuple, because one is made for every append.
"""

ABSENT: Head = (0, None, FIRST, False)
"""The head of a stream that never began."""


class Group:
    """The rows of one transaction.

    It is given the heads of all streams and the keys in use that its appends name,
    and answers each append by itself: a conflict fails one and leaves no trace in the
    rows. No SQL and no clock here, so the rules of an append stand in one place.
    """

    def __init__(  # noqa: PLR0913 - what is the same for all of the group
        self,
        *,
        heads: dict[str, Head],
        keys: dict[KeyName, str],
        next_position: int,
        committed_us: int,
        node: str,
        epoch: int,
    ) -> None:
        self.heads = heads
        """Where the streams stand, by name; moved on in place."""
        self._keys = keys
        self._committed_us = committed_us
        self._node = node
        self._epoch = epoch
        self.next_position = next_position
        self.changed: dict[str, bool] = {}
        """The streams whose head has moved, and whether a known one opened or closed."""
        self.event_values: list[Any] = []
        """The events' rows, flat: document, position, stream, version, tag, ..."""
        self.key_values: list[Any] = []
        """The keys' rows, flat: scope, key, stream, expires."""

    def place(self, pending: Pending) -> Appended:
        """Take an append in, wholly; or raise an `AppendRejectedError`."""
        if pending.refused is not None:
            raise pending.refused
        incarnation = pending.incarnation
        if incarnation is not None and incarnation.revoked:
            raise StaleWriterError
        streams = pending.streams
        if len(streams) == 1:
            append = streams[0]
            head = self.heads.get(append.stream)
            if head is None or head[0] != append.expected:
                self._check_versions(streams)
        else:
            self._check_versions(streams)
        if pending.keys:
            self._check_keys(pending)
        first = self.next_position
        if pending.datas:
            self._write(pending)
        else:
            first -= 1
        for key in pending.keys:
            self._keys[key.scope, key.key] = key.stream
            self.key_values += (key.scope, key.key, key.stream, key.expires_us)
        return Appended(first, self._committed_us)

    def _version(self, name: str) -> int:
        head = self.heads.get(name)
        if head is None:
            raise EncodingError(
                f"{name!r} cannot be the name of a stream: give it a text that is not "
                "empty and holds no NUL and no half of a surrogate pair",
            )
        return head[0]

    def _check_versions(self, streams: Sequence[StreamAppend]) -> None:
        versions: dict[str, int] = {}
        for append in streams:
            name = append.stream
            version = versions.get(name, -1)
            if version < 0:
                version = self._version(name)
            if version != append.expected:
                raise VersionConflictError(name, append.expected, version)
            versions[name] = version + len(append.events)

    def _check_keys(self, pending: Pending) -> None:
        wanted: dict[KeyName, str] = {}
        for key in pending.keys:
            name = key.scope, key.key
            taken = self._keys.get(name) or wanted.get(name)
            if taken is not None:
                raise KeyTakenError(key.scope, key.key, taken)
            wanted[name] = key.stream

    def _write(self, pending: Pending) -> None:
        heads, values, changed = self.heads, self.event_values, self.changed
        position = self.next_position
        datas = iter(pending.datas)
        schema = -1
        header = opening = b""
        for append in pending.streams:
            events = append.events
            if not events:
                continue
            name = append.stream
            version, previous, digest, was_open = heads[name]
            is_open = not events[-1].closes
            turned = version > 0 and was_open != is_open
            for event in events:
                if event.version != schema:
                    # Only the context can fail to be encoded, so the first header
                    # does, before anything is changed, or none.
                    schema = event.version
                    header = self._header(pending.context, schema)
                    opening = header[:-1] + SEAM
                version += 1
                tag = event.tag
                data = next(datas)
                digest = chained(digest, position, name, version, tag, header, data)
                document = (opening + data + CLOSING).decode()
                values += (document, position, name, version, tag, previous, digest)
                previous = position
                position += 1
            heads[name] = (version, previous, digest, is_open)
            if turned or name not in changed:
                changed[name] = turned
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
