"""Makes the next seal of a log file."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from .api import StreamAppend
from .document import split
from .reading import open_file, translated
from .seal import STREAM, Sealed, merkle_root

PAGE = 1000
"""Digests read at a time."""


def next_seal(path: Path) -> StreamAppend | None:
    """Return the append that seals everything since the last seal; None: nothing is.

    It reads the file's digests: call it in a thread. Appended, it stands somewhere
    after the events it covers; the next one covers it too. Two callers at the same
    time get a conflict, as the stream has one version for them both.
    """
    with translated(path), closing(open_file(path)) as db:
        head = db.execute(
            "SELECT s.version, CAST(e.state AS BLOB) FROM streams s "
            "JOIN events e USING (position) WHERE s.stream = ?",
            (STREAM,),
        ).fetchone()
        version, sealed = 0, 0
        if head is not None:
            version = head[0]
            sealed = msgspec.json.decode(split(head[1])[1], type=Sealed).last
        (end,) = db.execute("SELECT next_position - 1 FROM meta").fetchone()

        def digests(after: int) -> Iterator[bytes]:
            while rows := db.execute(
                "SELECT position, digest FROM events "
                "WHERE position > ? AND position <= ? ORDER BY position LIMIT ?",
                (after, end, PAGE),
            ).fetchall():
                yield from (digest for _, digest in rows)
                after = rows[-1][0]

        if end <= sealed:
            return None
        root = merkle_root(digests(sealed)).hex()
    return StreamAppend(STREAM, version, (Sealed(sealed + 1, end, root),))
