"""Snapshots of an event-sourced actor's streams, taken every so many events."""

from typing import TYPE_CHECKING, Any, Final

import msgspec

from ...events import Fold
from ...events.log import Appended, EventLog, Snapshot

if TYPE_CHECKING:
    from .outbox import Entry

_encode: Final = msgspec.json.Encoder().encode


class Snapshots:
    """Notes which states are due as decisions are made, saves them once durable."""

    __slots__ = ("_every", "_fold", "_log")

    def __init__(self, log: EventLog, fold: Fold[Any], every: int | None) -> None:
        self._log = log
        self._fold = fold
        self._every = every

    def expected(self, version: int) -> bool:
        """Tell whether a stream of `version` events may have one."""
        return self._every is not None and version >= self._every

    def note(
        self, entry: "Entry", stream: str, state: Any, before: int, version: int
    ) -> None:
        """Keep a stream's state for later if a decision made one due."""
        every = self._every
        if every is not None and version // every > before // every:
            entry.snapshots.append((stream, state, version))

    def save(self, entry: "Entry", appended: Appended) -> None:
        """Hand what is due by an entry over to the log, for its next group."""
        due = {(stream, at): state for stream, state, at in entry.snapshots}
        position = appended.position - 1
        for append in entry.appends:
            version = append.expected + len(append.events)
            position += len(append.events)
            if (append.stream, version) not in due:
                continue
            state = due[append.stream, version]
            self._log.save_snapshot(
                Snapshot(
                    append.stream,
                    version,
                    position,
                    self._fold.version,
                    _encode(state),
                ),
            )
