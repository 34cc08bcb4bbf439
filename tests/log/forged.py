"""Writes log files row by row, as the writer does and as it never would."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import msgspec
from msgspec.structs import astuple

from dramaturg.events import Event, Registry
from dramaturg.events.log import Header, Snapshot, StreamAppend
from dramaturg.events.log.digest import FIRST, chained, key_digest, snapshot_digest
from dramaturg.events.log.document import encode_header, join
from dramaturg.events.log.meta import Meta
from dramaturg.events.log.reader import LogReader
from dramaturg.events.log.schema import connect_writer
from dramaturg.events.log.seal import EVENTS
from dramaturg.events.log.sealing import Sealing
from dramaturg.events.log.tables import FORMAT


def forge(
    path: Path,
    events: Iterable[tuple[str, Event]],
    snapshots: Iterable[Snapshot] = (),
    keys: Iterable[tuple[str, str, str, int | None]] = (),
    *,
    committed_every: int = 10,
) -> None:
    """Make a sound log file; each event is committed so many microseconds later."""
    heads: dict[str, tuple[int, int | None, bytes]] = defaultdict(
        lambda: (0, None, FIRST),
    )
    opens: dict[str, bool] = {}
    rows: list[tuple[object, ...]] = []
    committed = 0
    for position, (stream, event) in enumerate(events, 1):
        version, prev, digest = heads[stream]
        committed = position * committed_every
        header = encode_header(Header(event.version, 1, committed, epoch=1))
        data = msgspec.json.encode(event)
        digest = chained(digest, position, stream, version + 1, event.tag, header, data)
        document = join(header, data).decode()
        rows.append(
            (position, stream, version + 1, event.tag, document, prev, digest),
        )
        heads[stream] = version + 1, position, digest
        opens[stream] = not event.closes
    with closing(connect_writer(path)) as db:
        db.execute("BEGIN")
        db.executemany("INSERT INTO events VALUES (?,?,?,?,?,?,?)", rows)
        db.executemany(
            "INSERT INTO streams VALUES (?,?,?,?,?,?)",
            [
                (stream, stream.partition("/")[0], *heads[stream], opens[stream])
                for stream in heads
            ],
        )
        db.executemany(
            "INSERT INTO snapshots VALUES (?,?,?,?,?,?)",
            [(*astuple(each), snapshot_digest(*astuple(each))) for each in snapshots],
        )
        digests = [(*key, key_digest(*key)) for key in keys]
        db.executemany("INSERT INTO keys VALUES (?,?,?,?,?)", digests)
        meta = Meta(FORMAT, len(rows) + 1, committed, 1)
        meta.fold(row[-1] for row in digests)
        meta.write(db, 0)
        db.execute("COMMIT")


def next_seal(path: Path) -> StreamAppend | None:
    """Return the append that seals a log up to its end; None: it is sealed."""
    with LogReader(path, Registry(EVENTS)) as reader:
        sealing, end = Sealing(reader), reader.position
        while sealing.position < end:
            sealing.advance(reader, end)
        return sealing.append if sealing.unsealed(end) else None


def tamper(path: Path, *statements: str) -> None:
    """Change a log file behind its writer's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)
