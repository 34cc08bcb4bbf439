"""Bare writers over SQLite, the floors that the log is measured against."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from dramaturg.events import Event
from dramaturg.events.log.schema import connect_writer
from dramaturg.events.log.statements import InsertMany

Row = tuple[str, int, str, asyncio.Future[None]]
"""Stream, version before it, document, and who waits."""

Insert = Callable[[sqlite3.Connection, list[Row]], None]


class BareWriter:
    """Group commit and nothing else: a thread that commits whatever is queued."""

    def __init__(self, folder: Path, insert: Insert, event: Event) -> None:
        self._db = connect_writer(folder / "bare.db")
        self._db.execute("PRAGMA wal_autocheckpoint=4000")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS bare("
            "position INTEGER PRIMARY KEY, stream TEXT, version INTEGER, state TEXT)",
        )
        self._insert = insert
        self._event = event
        self._queue: queue.SimpleQueue[list[Row] | None] = queue.SimpleQueue()
        self._tick: list[Row] = []
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def append(self, name: str, version: int) -> asyncio.Future[None]:
        """Queue an event; the future is done when it is durable."""
        if not self._tick:
            self._loop.call_soon(self._flush)
        document = msgspec.json.encode(self._event).decode()
        future: asyncio.Future[None] = self._loop.create_future()
        self._tick.append((name, version, document, future))
        return future

    def _flush(self) -> None:
        self._queue.put(self._tick)
        self._tick = []

    def _run(self) -> None:
        while (rows := self._queue.get()) is not None:
            while not self._queue.empty():
                rows += self._queue.get() or []
            self._db.execute("BEGIN IMMEDIATE")
            self._insert(self._db, rows)
            self._db.execute("COMMIT")
            self._loop.call_soon_threadsafe(self._resolve, rows)

    def _resolve(self, rows: list[Row]) -> None:
        for *_, future in rows:
            future.set_result(None)

    def close(self) -> None:
        """End the thread."""
        self._queue.put(None)
        self._thread.join()
        self._db.close()


def one_table() -> Insert:
    """Return what inserts rows into a single table, unchecked."""
    insert = InsertMany("INSERT INTO bare(stream, version, state)", "(?,?,?)")

    def run(db: sqlite3.Connection, rows: list[Row]) -> None:
        insert.run(db, [value for row in rows for value in row[:3]])

    return run


def same_tables() -> Insert:
    """Return what writes a log's own tables, with versions compared, and no more.

    The documents lack their header and the digests are all the same. It goes on where
    the file ends.
    """
    events = InsertMany(
        "INSERT INTO events(state, position, stream, version, tag, prev, digest)",
        "(?,?,?,?,?,?,?)",
    )
    streams = InsertMany(
        "INSERT INTO streams(stream, kind, version, position, digest, open)",
        "(?,?,?,?,?,?)",
        "ON CONFLICT(stream) DO UPDATE SET version=excluded.version, "
        "position=excluded.position, digest=excluded.digest, open=excluded.open",
    )
    heads: dict[str, tuple[int, int | None]] | None = None
    digest = bytearray(32)  # sqlite3 binds it in a quarter of the time of bytes
    position = 0

    def run(db: sqlite3.Connection, rows: list[Row]) -> None:
        nonlocal heads, position
        if heads is None:
            found = db.execute("SELECT stream, version, position FROM streams")
            heads = {stream: (version, at) for stream, version, at in found}
            position = max((at or 0 for _, at in heads.values()), default=0)
        event_values: list[Any] = []
        stream_values: list[Any] = []
        for stream, expected, document, _ in rows:
            version, previous = heads.get(stream, (0, None))
            if version != expected:
                raise ValueError(stream)
            position += 1
            version += 1
            heads[stream] = version, position
            event_values += (
                document,
                position,
                stream,
                version,
                "bench.finished",
                previous,
                digest,
            )
            stream_values += (stream, "item", version, position, digest, 1)
        events.run(db, event_values)
        streams.run(db, stream_values)
        db.execute("UPDATE meta SET next_position = ?", (position + 1,))

    return run
