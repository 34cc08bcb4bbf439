"""Recorders of events and of positions, in a log file's tables."""

import sqlite3
import threading
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from eventsourcing.persistence import (
    ApplicationRecorder,
    IntegrityError,
    Notification,
    ProcessRecorder,
    StoredEvent,
    Tracking,
    TrackingRecorder,
)

from ..digest import FIRST, chained
from ..meta import Meta
from ..tables import TRACKING
from .datastore import LogDatastore
from .subscription import LogSubscription

_TRACK = """
INSERT INTO tracking VALUES (?, ?)
ON CONFLICT (application_name) DO UPDATE SET notification_id = excluded.notification_id
WHERE tracking.notification_id < excluded.notification_id
"""

_HEAD = "SELECT version, position, digest FROM streams WHERE stream = ?"

_MOVE_HEAD = """
INSERT INTO streams VALUES (?, ?, ?, ?, ?, 1) ON CONFLICT (stream) DO UPDATE
SET version = excluded.version, position = excluded.position, digest = excluded.digest
"""

_EVENTS = """
WITH RECURSIVE chain(link) AS (
    SELECT position FROM streams WHERE stream = :stream
    UNION ALL
    SELECT prev FROM chain CROSS JOIN events ON position = link
    WHERE prev < position AND version > :gt + 1
)
SELECT stream, version, tag, state FROM chain CROSS JOIN events ON position = link
WHERE version > :gt AND version <= :lte ORDER BY version
"""

_LAST = 2**62

_Head = tuple[int, int | None, bytes]


class LogApplicationRecorder(ApplicationRecorder):
    """Records events of aggregates; an aggregate is a stream, a topic a tag.

    Versions are contiguous and begin at 0 or 1. Raises `IntegrityError` for others,
    and then nothing of the call is recorded.
    """

    def __init__(self, datastore: LogDatastore) -> None:
        self.datastore = datastore
        self._news: set[threading.Event] = set()

    def insert_events(
        self,
        stored_events: Sequence[StoredEvent],
        **kwargs: Any,
    ) -> Sequence[int] | None:
        """Record events durably and return their notification ids."""
        with self.datastore.writing() as db:
            positions = _insert(db, stored_events)
            self._insert_more(db, **kwargs)
        for news in tuple(self._news):
            news.set()
        return positions

    def _insert_more(self, db: sqlite3.Connection, **kwargs: Any) -> None:
        """Write what belongs to the same transaction."""

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        """Return the events of an aggregate by version."""
        values = {
            "stream": _text(originator_id),
            "gt": -1 if gt is None else gt,
            "lte": _LAST if lte is None else lte,
        }
        order = "DESC" if desc else "ASC"
        most = -1 if limit is None else limit
        rows = self.datastore.rows(f"{_EVENTS} {order} LIMIT {most:d}", values)
        return [StoredEvent(self._id(row[0]), *row[1:]) for row in rows]

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Return events of all aggregates by position."""
        first = (start or 0) + (not inclusive_of_start)
        last = _LAST if stop is None else stop
        wanted = f"AND tag IN ({','.join('?' * len(topics))})" if topics else ""
        rows = self.datastore.rows(
            "SELECT stream, version, tag, state, position FROM events "  # noqa: S608 - question marks alone
            f"WHERE position >= ? AND position <= ? {wanted} ORDER BY position LIMIT ?",
            (first, last, *topics, limit),
        )
        return [Notification(self._id(row[0]), *row[1:]) for row in rows]

    def max_notification_id(self) -> int | None:
        """Return the last position; None: nothing was recorded."""
        found: int | None = self.datastore.rows("SELECT max(position) FROM events")[0][
            0
        ]
        return found

    def subscribe(
        self,
        gt: int | None = None,
        topics: Sequence[str] = (),
    ) -> LogSubscription:
        """Return an iterator over what was and what will be recorded."""
        return LogSubscription(self, gt, topics)

    def listen(self, news: threading.Event) -> None:
        """Set `news` whenever something was recorded here."""
        self._news = self._news | {news}

    def unlisten(self, news: threading.Event) -> None:
        """Do so no more."""
        self._news = self._news - {news}

    def _id(self, stream: str) -> UUID | str:
        return UUID(stream) if self.datastore.originator_id_type == "uuid" else stream


class LogTrackingRecorder(TrackingRecorder):
    """Records how far other applications' notifications were processed."""

    def __init__(self, datastore: LogDatastore) -> None:
        self.datastore = datastore
        with datastore.writing() as db:
            db.execute(TRACKING)

    def insert_tracking(self, tracking: Tracking) -> None:
        """Record a position durably. Raises `IntegrityError` unless it moves on."""
        with self.datastore.writing() as db:
            _track(db, tracking)

    def max_tracking_id(self, application_name: str) -> int | None:
        """Return the highest position recorded for an application."""
        query = "SELECT notification_id FROM tracking WHERE application_name = ?"
        rows = self.datastore.rows(query, (application_name,))
        return int(rows[0][0]) if rows else None


class LogProcessRecorder(LogTrackingRecorder, LogApplicationRecorder, ProcessRecorder):
    """Records events together with the position that led to them."""

    def __init__(self, datastore: LogDatastore) -> None:
        LogApplicationRecorder.__init__(self, datastore)
        LogTrackingRecorder.__init__(self, datastore)

    def _insert_more(self, db: sqlite3.Connection, **kwargs: Any) -> None:
        tracking: Tracking | None = kwargs.get("tracking")
        if tracking is not None:
            _track(db, tracking)


def _insert(db: sqlite3.Connection, events: Sequence[StoredEvent]) -> list[int]:
    meta = Meta.read(db)
    first = meta.next_position
    heads: dict[str, _Head] = {}
    rows: list[tuple[Any, ...]] = []
    for position, event in enumerate(events, first):
        stream, version = _text(event.originator_id), event.originator_version
        if stream not in heads:
            heads[stream] = db.execute(_HEAD, (stream,)).fetchone() or (
                min(version, 1) - 1,
                None,
                FIRST,
            )
        head, prev, digest = heads[stream]
        if version != head + 1 or version < 0:
            raise IntegrityError(
                f"{stream} is at version {head}, the event has version {version}",
            )
        state = bytes(event.state)
        digest = chained(digest, position, stream, version, event.topic, b"", state)
        rows.append((position, stream, version, event.topic, state, prev, digest))
        heads[stream] = version, position, digest
    db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    db.executemany(
        _MOVE_HEAD,
        [(stream, stream.partition("/")[0], *head) for stream, head in heads.items()],
    )
    meta.next_position += len(rows)
    meta.write(db)
    return list(range(first, meta.next_position))


def _track(db: sqlite3.Connection, tracking: Tracking) -> None:
    values = (tracking.application_name, tracking.notification_id)
    if db.execute(_TRACK, values).rowcount != 1:
        raise IntegrityError(
            f"{tracking.application_name} was processed beyond "
            f"{tracking.notification_id} before",
        )


def _text(originator_id: UUID | str) -> str:
    return originator_id.hex if isinstance(originator_id, UUID) else originator_id
