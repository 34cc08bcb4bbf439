"""Another program: it reads and checks logs by docs/format.md, and knows nothing else.

Nothing of dramaturg is imported, only Python's standard library, and `cryptography` to
decrypt. Read it beside the document, as an example of what one has to write:

    python independent.py LOG
"""

import base64
import gzip
import hashlib
import heapq
import json
import sqlite3
import sys
import zlib
from collections.abc import Iterator
from contextlib import closing
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

DOCUMENT = Path(__file__).parents[2] / "docs" / "format.md"
APPLICATION = 0x6472616D
HEADER = ("v", "at", "committed", "by", "owner", "corr", "cause", "node", "epoch")
UNREADABLE = (OSError, EOFError, ValueError, LookupError, TypeError, zlib.error)
Rows = list[tuple[Any, ...]]


class Damage(NamedTuple):
    part: str
    place: Any = None
    """Which of them: a position, a name."""


class Event(NamedTuple):
    """One event, from the table, a segment or an export."""

    position: int
    stream: str
    version: int
    tag: str
    state: bytes
    prev: int | None
    digest: bytes
    opaque: bool = False

    @property
    def header(self) -> bytes:
        """All before the data, as an object of its own."""
        return b"" if self.opaque else self.state.partition(b',"data":')[0] + b"}"

    @property
    def data(self) -> bytes:
        """The event itself; ciphertext, if it is encrypted."""
        return self.state if self.opaque else self.state.partition(b',"data":')[2][:-1]


def array(*values: object) -> bytes:
    """Return a JSON array as digests and associated data want it."""
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="surrogateescape")


def described(sql: str) -> list[str]:
    """Return what a statement makes: its kind, name and table, and all its words."""
    said = sql.translate(str.maketrans("(),", "   ")).split()
    table = said[2] if said[1] == "TABLE" else said[4]
    return [said[1].lower(), said[2], table, *sorted(said)]


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def merkle_root(digests: list[bytes]) -> bytes:
    """Return the tree hash of RFC 6962, section 2.1."""
    if len(digests) == 1:
        return sha256(b"\0", digests[0])
    half = 1 << (len(digests) - 1).bit_length() - 1
    return sha256(b"\1", merkle_root(digests[:half]), merkle_root(digests[half:]))


def event_of_line(line: bytes) -> Event:
    """Return the event of a line of a segment or of an export."""
    row = json.loads(line)
    form = row.get("form")
    if form == "blob":
        state = base64.b64decode(row["state"], validate=True)
    elif form == "text":
        state = row["state"].encode()
    else:
        state = line.rstrip(b"\n").partition(b',"state":')[2][:-1]
    place = row["position"], row["stream"], row["version"], row["tag"]
    digest = bytes.fromhex(row["digest"])
    return Event(*place, state, row.get("prev"), digest, form == "blob")


def read_segment(content: bytes, index_at: int) -> list[Event]:
    """Return a segment's events; raise ValueError if its index is not theirs."""
    blocks = json.loads(gzip.decompress(content[index_at:]))["blocks"]
    ends = [*(block["at"] for block in blocks[1:]), index_at]
    events: list[Event] = []
    for block, end in zip(blocks, ends, strict=True):
        lines = gzip.decompress(content[block["at"] : end]).splitlines()
        found = [event_of_line(line) for line in lines]
        if (block["first"], block["last"]) != (found[0].position, found[-1].position):
            raise ValueError(block)
        events += found
    return events


class Log:
    """A log file, open for reading."""

    def __init__(self, path: Path) -> None:
        self.folder = Path(f"{path}-segments")
        self.db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        self.db.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
        self.close = self.db.close

    @cached_property
    def format(self) -> int:
        ((found,),) = self.rows("SELECT format FROM meta")
        if found not in (1, 2, 3):
            raise ValueError(found)
        return int(found)

    @cached_property
    def segments(self) -> Rows:
        columns = "SELECT segment, first, last, events, size_bytes, index_at, digest"
        return self.rows(columns + " FROM segments") if self.format > 1 else []

    def rows(self, sql: str) -> Rows:
        return self.db.execute(sql).fetchall()

    def events(self) -> Iterator[Event]:
        """Yield all events by position, from the file and from its segments."""
        rows = self.db.execute(
            "SELECT position, stream, version, tag, CAST(state AS BLOB), prev, digest, "
            "typeof(state) = 'blob' FROM events ORDER BY position"
        )
        archived = [event for row in self.segments for event in self.archived(row)]
        yield from heapq.merge(map(Event._make, rows), sorted(archived))

    def archived(self, row: tuple[Any, ...]) -> list[Event]:
        """Return the events of one segment, or none if it cannot be read."""
        try:
            return read_segment((self.folder / row[0]).read_bytes(), row[5])
        except UNREADABLE:
            return []

    def check(self) -> Iterator[Damage]:
        """Hold everything against everything else; yield what does not fit."""
        events = list(self.events())
        yield from self.check_file(events)
        yield from check_events(events)
        yield from check_seals(events)
        yield from self.check_streams(events)
        yield from self.check_segments(events)
        if self.format > 1:
            yield from self.check_snapshots_and_keys(events)
        if self.format > 2:
            yield from self.check_meta()

    def check_file(self, events: list[Event]) -> Iterator[Damage]:
        pragmas = ("application_id", "encoding", "integrity_check")
        said = [self.rows(f"PRAGMA {name}") for name in pragmas]
        if said != [[(APPLICATION,)], [("UTF-8",)], [("ok",)]]:
            yield Damage("file")
        if not self.has_its_tables():
            yield Damage("meta")
        headers = [header_of(event) or {} for event in events]
        query = "SELECT next_position, committed, epoch FROM meta"
        ((following, *meta),) = self.rows(query)
        if following != max((event.position for event in events), default=0) + 1:
            yield Damage("meta")
        for name, value in zip(("committed", "epoch"), meta, strict=True):
            if value < max((header.get(name, 0) for header in headers), default=0):
                yield Damage("meta")

    def has_its_tables(self) -> bool:
        """Tell whether the tables are those of the document, if the format is."""
        document = DOCUMENT.read_text().split("```sql")[1].split("```")[0]
        known = sorted(map(described, document.split(";")[:-1]))
        query = (
            "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        )
        found = [[*row[:3], *described(row[3])[3:]] for row in self.rows(query)]
        newest = sorted(each for each in found if each[1] != "tracking") == known
        unused = self.rows("PRAGMA user_version") == [(0,)]
        return unused and newest == (self.format == 3)

    def check_meta(self) -> Iterator[Damage]:
        """Hold the row of meta against its digest, and the keys against it."""
        query = (
            "SELECT id, format, next_position, committed, epoch, keys, digest FROM meta"
        )
        ((only, *numbers, keys, digest),) = self.rows(query)
        folded = 0
        for (of_key,) in self.rows("SELECT digest FROM keys"):
            folded ^= int.from_bytes(of_key, "big")
        if only != 1 or digest != sha256(array(*numbers, keys.hex()))[:8]:
            yield Damage("meta")
        if keys != folded.to_bytes(8, "big"):
            yield Damage("key")

    def check_streams(self, events: list[Event]) -> Iterator[Damage]:
        ends: dict[str, tuple[Any, ...]] = {}
        for position, stream, version, *_, digest, _ in events:
            ends[stream] = stream.split("/")[0], version, position, digest
        in_file = {position for (position,) in self.rows("SELECT position FROM events")}
        heads: dict[str, tuple[Any, ...]] = {}
        query = "SELECT stream, kind, version, position, digest, open FROM streams"
        for stream, *head, is_open in self.rows(query):
            heads[stream] = tuple(head)
            if is_open not in (0, 1) or (is_open and head[2] not in in_file):
                yield Damage("stream", stream)
        for stream in ends.keys() | heads.keys():
            if ends.get(stream) != heads.get(stream):
                yield Damage("stream", stream)

    def check_segments(self, events: list[Event]) -> Iterator[Damage]:
        names = ("segment", "first", "last", "events", "size_bytes", "index_at")
        told: dict[str, Rows] = {}
        for event in events:
            if event.tag == "log.archived" and header_of(event):
                data = json.loads(event.data)
                told[data["segment"]] = [*map(data.get, names), data.get("digest")]
        for row in self.segments:
            found, file = self.archived(row), self.folder / row[0]
            content = file.read_bytes() if file.exists() else b""
            ends = [found[0].position, found[-1].position] if found else []
            seen = [row[0], *ends, len(found), len(content), row[5], sha256(content)]
            said = [*row[:6], row[6].hex()]
            if seen != list(row) or said != told.get(row[0]):
                yield Damage("segment", row[0])

    def check_snapshots_and_keys(self, events: list[Event]) -> Iterator[Damage]:
        places = {(e.stream, e.version, e.position) for e in events}
        for *place, state, digest in self.rows(
            "SELECT stream, version, position, fold_version, state, digest "
            "FROM snapshots"
        ):
            known = tuple(place[:3]) in places
            if not known or digest != sha256(array(*place), state):
                yield Damage("snapshot", place[0])
        query = "SELECT scope, key, stream, expires, digest FROM keys"
        for *key, digest in self.rows(query):
            if digest != sha256(array(*key))[:8]:
                yield Damage("key", tuple(key[:2]))


def header_of(event: Event) -> dict[str, Any] | None:
    """Return the header of a document that is as it has to be, else None."""
    try:
        header = json.loads(event.header)
        json.loads(event.data)
    except UNREADABLE:
        return None
    ordered = [name for name in HEADER if name in header or name in HEADER[:3]]
    return header if list(header) == ordered else None


def check_events(events: list[Event]) -> Iterator[Damage]:
    at = {event.position: event for event in events}
    for lost in set(range(1, max(at, default=0) + 1)) - set(at):
        yield Damage("event", lost)
    ends: dict[str, Event] = {}
    committed = 0
    for event in events:
        before = ends.get(event.stream)
        start = 0 if event.opaque else 1
        follows = (before.position, before.version + 1) if before else (None, start)
        header = {"committed": committed} if event.opaque else header_of(event)
        previous = at[event.prev].digest if event.prev in at else bytes(32)
        place = array(*event[:4])
        if (
            follows != (event.prev, event.version)
            or header is None
            or header["committed"] < committed
            or event.digest != sha256(previous, sha256(event.data), place, event.header)
        ):
            yield Damage("event", event.position)
        committed = header["committed"] if header else committed
        ends[event.stream] = event


def check_seals(events: list[Event]) -> Iterator[Damage]:
    digests = {event.position: event.digest for event in events}
    end = position = 0
    for event in events:
        if event.tag != "log.sealed":
            continue
        try:
            seal = json.loads(event.data)
            first, last = seal["first"], seal["last"]
            root = merkle_root([digests[at] for at in range(first, last + 1)]).hex()
        except UNREADABLE:
            yield Damage("seal", event.position)
            continue
        follows = first == end + 1 and max(end + 1, position) <= last < event.position
        if not follows or root != seal["root"]:
            yield Damage("seal", event.position)
        end, position = last, event.position


def check_export(content: bytes) -> Iterator[Damage]:
    """Check the lines of an export, and its events if they are all of a log."""
    try:
        *lines, last = content.splitlines(keepends=True)
        rows, end = [json.loads(line) for line in lines], json.loads(last)["end"]
        counts = [sum(name in row for row in rows) for name in ("tag", "key", "damage")]
        said = [end["events"], end["keys"], end["damages"]]
        if counts != said or end["digest"] != sha256(*lines).hex():
            yield Damage("end")
        if rows[0]["after"] == 0 and not rows[0]["streams"]:
            events = [line for line in lines if "tag" in json.loads(line)]
            yield from check_events([event_of_line(line) for line in events])
    except UNREADABLE:
        yield Damage("line")


def read_keys(path: Path) -> dict[str, bytes]:
    """Return the live keys of a key file by their names."""
    keys: dict[str, bytes] = {}
    for line in path.read_bytes().split(b"\n")[:-1]:
        row = json.loads(line)
        key = bytes.fromhex(row["key"])
        if row["status"] == "live":
            name = sha256(b"dramaturg key ", key).hex()[:32]
            if row["name"] != f"aes-256-gcm:{name}":
                raise ValueError(row)
            keys[row["name"]] = key
    return keys


def decrypted(sealed: bytes, associated: bytes, keys: dict[str, bytes]) -> bytes:
    """Return what is readable of data or of a snapshot's state; KeyError: no key."""
    from cryptography.hazmat.primitives.ciphers import aead  # noqa: PLC0415 - an extra

    row = json.loads(sealed)
    text = base64.b64decode(row["ct"])
    return aead.AESGCM(keys[row["key"]]).decrypt(text[:12], text[12:], associated)


if __name__ == "__main__":
    with closing(Log(Path(sys.argv[1]))) as LOG:
        sys.stdout.writelines(f"{damage}\n" for damage in LOG.check())
