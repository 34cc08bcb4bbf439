"""Composes what one transaction writes from the appends that share it."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from .api import Appended, Header, StreamAppend
from .digest import FIRST, chained
from .document import encode_header, join
from .errors import (
    EncodingError,
    KeyTakenError,
    StaleWriterError,
    VersionConflictError,
)
from .pending import Pending

KeyName = tuple[str, str]
"""Scope and key."""


class Head(NamedTuple):
    """Where a stream stands."""

    version: int
    position: int | None
    digest: bytes
    open: bool


ABSENT = Head(0, None, FIRST, open=False)
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
        """Where the streams stand, by name; those in `changed` as of now."""
        self._keys = keys
        self._committed_us = committed_us
        self._node = node
        self._epoch = epoch
        self.next_position = next_position
        self.changed: set[str] = set()
        """The streams whose head has moved."""
        self.event_values: list[Any] = []
        """The events' rows, flat: document, position, stream, version, tag, ..."""
        self.key_values: list[Any] = []
        """The keys' rows, flat: scope, key, stream, expires."""

    def place(self, pending: Pending) -> Appended:
        """Take an append in, wholly; or raise an `AppendRejectedError`."""
        if pending.refused is not None:
            raise pending.refused
        if pending.revoked:
            raise StaleWriterError
        self._check_versions(pending.streams)
        if pending.keys:
            self._check_keys(pending)
        return self._write(pending)

    def _check_versions(self, streams: Sequence[StreamAppend]) -> None:
        heads = self.heads
        if len(streams) == 1:
            append = streams[0]
            version = _known(heads, append.stream).version
            if version != append.expected:
                raise VersionConflictError(append.stream, append.expected, version)
            return
        versions: dict[str, int] = {}
        for append in streams:
            name = append.stream
            version = versions.get(name, -1)
            if version < 0:
                version = _known(heads, name).version
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

    def _write(self, pending: Pending) -> Appended:
        headers = self._headers(pending)
        values, heads = self.event_values, self.heads
        position = first = self.next_position
        for append, datas in zip(pending.streams, pending.datas, strict=True):
            if not datas:
                continue
            name = append.stream
            version, previous, digest, _ = heads[name]
            for event, data in zip(append.events, datas, strict=True):
                version += 1
                tag = event.tag
                header = headers[event.version]
                digest = chained(digest, position, name, version, tag, header, data)
                document = join(header, data)
                values += (document, position, name, version, tag, previous, digest)
                previous = position
                position += 1
            closes = append.events[-1].closes
            heads[name] = Head(version, previous, digest, not closes)
            self.changed.add(name)
        for key in pending.keys:
            self._keys[key.scope, key.key] = key.stream
            self.key_values += (key.scope, key.key, key.stream, key.expires_us)
        self.next_position = position
        return Appended(min(first, position - 1), self._committed_us)

    def _headers(self, pending: Pending) -> dict[int, bytes]:
        """Encode the header of an append's events, by their schema version."""
        context = pending.context
        versions = {event.version for a in pending.streams for event in a.events}
        return {
            version: encode_header(
                Header(
                    version,
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
            for version in versions
        }


def _known(heads: dict[str, Head], name: str) -> Head:
    try:
        return heads[name]
    except KeyError:
        raise EncodingError(f"{name!r} cannot be the name of a stream") from None
