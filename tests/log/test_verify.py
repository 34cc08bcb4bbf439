"""Damage of every kind is found, and named by its position."""

import random
import sqlite3
from collections.abc import Sequence
from contextlib import closing, nullcontext, suppress
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dramaturg.events import Event, Fold
from dramaturg.events.log import (
    IdempotencyKey,
    KeyTakenError,
    LogDamagedError,
    LogError,
    LogNotFoundError,
    Snapshot,
    committer,
)
from dramaturg.events.log.meta import Meta
from dramaturg.events.log.reader import LogReader
from dramaturg.events.log.recorders import LogDatastore, LogProcessRecorder
from dramaturg.events.log.schema import connect_writer
from dramaturg.events.log.seal import Sealed, merkle_root
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.log.verify import DAMAGES_MAX, verify

from .forged import forge, next_seal, tamper
from .vocabulary import REGISTRY, Counted, Ended, Started

SEALING = REGISTRY.merged(type(REGISTRY)([Sealed]))

PLAYED: list[tuple[str, Event]] = [
    ("part/1", Started("x")),
    ("part/2", Started("y")),
    ("part/1", Counted(2)),
    ("prop/1", Started("z")),
    ("part/1", Counted(3)),
    ("part/2", Ended()),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    forge(
        tmp_path / "log.sqlite",
        PLAYED,
        [Snapshot("part/1", 2, 3, 1, b"{}")],
        [("r", "held", "part/1", None)],
    )
    return tmp_path / "log.sqlite"


def test_a_sound_log_is_found_sound(path: Path) -> None:
    told: list[tuple[int, int]] = []

    report = verify(path, REGISTRY, progress=lambda at, end: told.append((at, end)))

    assert report.ok
    assert report.first is None
    assert (report.events, report.streams, report.seals) == (6, 3, 0)
    assert told == [(6, 6)]


def test_an_empty_log_is_sound(tmp_path: Path) -> None:
    forge(tmp_path / "log.sqlite", [])

    assert verify(tmp_path / "log.sqlite").ok


def test_a_missing_log_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LogNotFoundError):
        verify(tmp_path / "nowhere")


NO_UTF_8 = """UPDATE events SET state = CAST(CAST('{"by":"' AS BLOB) || x'ff'
    || CAST('",' AS BLOB) || substr(CAST(state AS BLOB), 2) AS TEXT) WHERE position = 4"""
REMOVED_TAIL = (
    "DELETE FROM events WHERE position = 6",
    """UPDATE streams SET version = 1, position = 2, open = 1,
        digest = (SELECT digest FROM events WHERE position = 2)
        WHERE stream = 'part/2'""",
    "UPDATE meta SET next_position = 6",
)


@pytest.mark.parametrize(
    ("statements", "kind", "position"),
    [
        (["UPDATE events SET state = replace(state, '2}', '9}')"], "digest", 3),
        (["UPDATE events SET state = '{}' WHERE position = 4"], "document", 4),
        (["UPDATE events SET state = '[]' WHERE position = 4"], "document", 4),
        (["UPDATE events SET tag = 'test.noted' WHERE position = 3"], "digest", 3),
        ([NO_UTF_8], "document", 4),
        (["INSERT INTO segments VALUES ('s', 'x', 1, 1, 1, 1, x'')"], "segment", 0),
        (["UPDATE events SET digest = zeroblob(32) WHERE position = 4"], "digest", 4),
        (["UPDATE events SET digest = 'x' WHERE position = 4"], "row", 4),
        (["UPDATE events SET state = x'ff' WHERE position = 4"], "digest", 4),
        (["UPDATE events SET stream = 'part/2' WHERE position = 3"], "prev", 3),
        (["UPDATE events SET version = 7 WHERE position = 5"], "version", 5),
        (["UPDATE events SET prev = NULL WHERE position = 5"], "prev", 5),
        (["UPDATE events SET prev = 4 WHERE position = 5"], "prev", 5),
        (["UPDATE events SET prev = 5 WHERE position = 5"], "prev", 5),
        (["UPDATE events SET position = 9 WHERE position = 6"], "gap", 6),
        (["UPDATE events SET position = 1 << 62 WHERE position = 6"], "gap", 6),
        (["DELETE FROM events WHERE position = 1"], "gap", 1),
        (["DELETE FROM events WHERE position = 4"], "gap", 4),
        (["DELETE FROM events WHERE position = 6"], "end", 6),
        (["DELETE FROM events WHERE position = 6"], "head", 6),
        (
            [
                "UPDATE events SET position = 9 WHERE position = 3",
                "UPDATE events SET position = 3 WHERE position = 4",
                "UPDATE events SET position = 4 WHERE position = 9",
            ],
            "digest",
            3,
        ),
        (["UPDATE streams SET version = 9 WHERE stream = 'part/1'"], "head", 5),
        (["UPDATE streams SET position = 3 WHERE stream = 'part/1'"], "head", 3),
        (["UPDATE streams SET position = x'00' WHERE stream = 'part/1'"], "head", 0),
        (["UPDATE streams SET kind = 'x' WHERE stream = 'part/1'"], "head", 5),
        (["UPDATE streams SET open = 1 WHERE stream = 'part/2'"], "open", 6),
        (["UPDATE streams SET open = 0 WHERE stream = 'part/1'"], "open", 5),
        (["UPDATE streams SET open = 7 WHERE stream = 'part/1'"], "open", 5),
        (["DELETE FROM streams WHERE stream = 'part/2'"], "orphan", 6),
        (["UPDATE snapshots SET version = 3"], "snapshot", 3),
        (["UPDATE snapshots SET stream = 'part/9'"], "snapshot", 3),
        (["UPDATE snapshots SET fold_version = 2"], "snapshot", 3),
        (["UPDATE snapshots SET state = x'7b7e'"], "snapshot", 3),
        (["UPDATE snapshots SET digest = x''"], "snapshot", 3),
        (["UPDATE snapshots SET state = 7"], "snapshot", 3),
        (["INSERT INTO keys VALUES ('s', 'k', 'part/1', NULL, x'')"], "key", 0),
        (["INSERT INTO keys VALUES ('s', 'k', 'part/1', 'x', 'y')"], "key", 0),
        (["UPDATE meta SET next_position = 9"], "end", 7),
        (["UPDATE meta SET committed = 1"], "end", 6),
        (["UPDATE meta SET committed = 99"], "meta", 0),
        (["PRAGMA ignore_check_constraints=ON", "UPDATE meta SET id = 2"], "meta", 0),
        (["UPDATE meta SET epoch = 0"], "meta", 0),
        (["UPDATE meta SET epoch = 9"], "meta", 0),
        (["UPDATE meta SET keys = 1"], "meta", 0),
        (["UPDATE meta SET digest = x''"], "meta", 0),
        (["DELETE FROM keys"], "key", 0),
        (["UPDATE keys SET digest = 1"], "key", 0),
        (["UPDATE keys SET key = 'l'"], "key", 0),
    ],
)
def test_damage_is_named_with_its_position(
    path: Path,
    statements: Sequence[str],
    kind: str,
    position: int,
) -> None:
    tamper(path, *statements)

    report = verify(path, REGISTRY)

    assert not report.ok
    assert (kind, position) in {(d.kind, d.position) for d in report.damages}
    assert report.first is not None
    assert (report.first.position or 2**63) <= (position or 2**63)


WITHOUT_UNIQUE = (
    "CREATE TABLE other(scope TEXT, key TEXT, stream TEXT, expires INTEGER, digest BLOB)",
    "INSERT INTO other SELECT * FROM keys",
    "DROP TABLE keys",
    "ALTER TABLE other RENAME TO keys",
)


@pytest.mark.parametrize(
    ("statements", "words", "refused"),
    [
        (
            ["CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM keys; END"],
            "trigger 't' on 'events' is none of a log's",
            True,
        ),
        (
            ["CREATE UNIQUE INDEX i ON events(position, tag)"],
            "index 'i' on 'events'",
            True,
        ),
        (["CREATE INDEX i ON events(stream)"], "index 'i' on 'events'", False),
        (["CREATE VIEW v AS SELECT * FROM keys"], "view 'v' on 'v' is none", False),
        (["CREATE TABLE t(x)"], "table 't' on 't' is none of a log's", False),
        (["DROP INDEX keys_expires"], "'keys_expires' is missing", False),
        (["DROP TABLE segments"], "'segments' is missing", True),
        (WITHOUT_UNIQUE, "table 'keys' is defined otherwise than it was: CREATE", True),
        (["UPDATE meta SET format = 2"], "table 'meta' is defined otherwise", True),
        (["PRAGMA user_version = 7"], "its user_version is 7", False),
    ],
)
def test_what_hangs_on_the_tables_is_named(
    path: Path, statements: Sequence[str], words: str, *, refused: bool
) -> None:
    tamper(path, *statements)

    said = [d.message for d in verify(path).damages if d.kind == "schema"]
    assert any(message.startswith(words) for message in said)
    with (
        pytest.raises(LogDamagedError, match=f"{words}.* change what is written")
        if refused
        else nullcontext()
    ):
        connect_writer(path).close()


def test_what_sqlite_and_recorders_add_is_no_damage(path: Path) -> None:
    tamper(path, "ANALYZE")
    with LogDatastore(path) as datastore:
        LogProcessRecorder(datastore)

    assert verify(path).damages == ()


def test_a_log_that_does_not_say_where_it_ends_is_damaged(path: Path) -> None:
    with closing(connect_writer(path)) as db:
        db.execute("PRAGMA ignore_check_constraints=ON")
        db.execute("INSERT INTO meta SELECT 2, 1, 7, 60, 1, keys, digest FROM meta")

    assert "end" in {damage.kind for damage in verify(path).damages}


def test_time_that_went_back_is_named(tmp_path: Path) -> None:
    forge(tmp_path / "log.sqlite", PLAYED, committed_every=-10)

    report = verify(tmp_path / "log.sqlite", REGISTRY)

    assert {damage.kind for damage in report.damages} == {"committed", "end"}
    assert report.first is not None
    assert report.first.position == 1


def test_only_so_many_damages_are_told_apart(tmp_path: Path) -> None:
    events = [(f"part/{n}", Counted(n)) for n in range(DAMAGES_MAX + 7)]
    forge(tmp_path / "log.sqlite", events)
    tamper(tmp_path / "log.sqlite", "UPDATE events SET tag = 'x'")

    report = verify(tmp_path / "log.sqlite")

    assert len(report.damages) == DAMAGES_MAX
    assert report.untold == 7


def test_a_log_is_verified_while_it_is_written(path: Path) -> None:
    with closing(connect_writer(path)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM events")

        assert verify(path, REGISTRY).ok


def total(total: int, event: Event) -> int:
    return total + event.by if isinstance(event, Counted) else total


TOTAL = Fold("part", int, initial=lambda _: 0, evolve=total)


@pytest.mark.parametrize(
    ("snapshots", "damaged"),
    [
        ({2: b"2", 3: b"5"}, []),
        ({2: b"3", 3: b"5"}, [3]),
        ({2: b"2", 3: b"2"}, [5]),
        ({2: b'"2"', 3: b"{"}, [3, 5]),
    ],
)
def test_snapshots_are_compared_with_what_they_are_of(
    tmp_path: Path, snapshots: dict[int, bytes], damaged: list[int]
) -> None:
    positions = {2: 3, 3: 5}
    kept = [Snapshot("part/1", v, positions[v], 1, s) for v, s in snapshots.items()]
    others = [
        Snapshot("part/1", 2, 3, 2, b"another fold"),
        Snapshot("prop/1", 1, 4, 1, b"no fold"),
    ]
    forge(tmp_path / "log.sqlite", PLAYED, [*kept, *others])

    report = verify(tmp_path / "log.sqlite", REGISTRY, folds=[TOTAL])

    assert [d.position for d in report.damages] == damaged
    assert {d.kind for d in report.damages} <= {"snapshot"}
    bare = verify(tmp_path / "log.sqlite", folds=[TOTAL])
    assert bare.ok  # without its classes no event can be folded


def test_what_stands_on_a_broken_page_costs_no_other_event(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    forge(path, [(f"part/{n % 7}", Counted(n)) for n in range(500)])
    with closing(sqlite3.connect(path)) as db:
        query = (
            "SELECT pageno FROM dbstat WHERE name = 'events' AND pagetype = 'leaf' "
            "AND path LIKE '/00_/'"
        )
        try:
            pages = [page for (page,) in db.execute(query)]
        except sqlite3.OperationalError:
            pytest.skip("needs an SQLite that knows which page is which")
    file = bytearray(path.read_bytes())
    file[(pages[3] - 1) * 4096 : pages[3] * 4096] = bytes(4096)
    path.write_bytes(file)

    report = verify(path, REGISTRY)

    kinds = {damage.kind for damage in report.damages}
    assert {"file", "gap"} <= kinds
    assert 400 < report.events < 500


# Keys


def test_the_log_knows_its_keys_whatever_becomes_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committer, "_EXPIRED_EVERY", 3)
    path, clock = tmp_path / "log.sqlite", iter(range(0, 10_000, 10))

    async def write(start: int) -> None:
        async with SqliteLog(path, REGISTRY, now_us=lambda: next(clock)) as log:
            for n in range(start, start + 8):
                soon = 10 * n + 80
                keys = [
                    IdempotencyKey("s", f"always {n}", "part/1"),
                    IdempotencyKey("s", f"some time {n}", "part/1", soon),
                    IdempotencyKey("s", f"past {n}", "part/1", 0),
                    IdempotencyKey("s", "again", "part/1", next(clock) + 15),
                ]
                await log.append([], keys=keys[:3])
                with suppress(KeyTakenError):
                    await log.append([], keys=keys[3:])

    sizes: list[int] = []
    for start in (0, 8):
        anyio.run(write, start)
        assert verify(path, REGISTRY).damages == ()
        with closing(sqlite3.connect(path)) as db:
            sizes += db.execute("SELECT count(*) FROM keys").fetchone()
    assert 8 < sizes[0] < 17 <= sizes[1] < 33  # some were deleted, and some replaced

    tamper(path, "DELETE FROM keys WHERE key = 'always 3'")
    (damage,) = verify(path, REGISTRY).damages
    assert (damage.kind, damage.message) == (
        "key",
        "idempotency keys were removed or added",
    )


# What was removed


def seal(path: Path, events: Sequence[tuple[str, Event]]) -> list[Sealed]:
    """Make a log in which a seal follows every second event."""
    sealed: list[Sealed] = []
    written: list[tuple[str, Event]] = []
    for number, event in enumerate(events, 1):
        written.append(event)
        if number % 2 == 0:
            path.unlink(missing_ok=True)
            forge(path, written)
            append = next_seal(path)
            assert append is not None
            assert append.expected == len(sealed)
            (made,) = append.events
            assert isinstance(made, Sealed)
            sealed.append(made)
            written.append((append.stream, made))
    path.unlink(missing_ok=True)
    forge(path, written)
    return sealed


def test_seals_cover_everything_once(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"

    seals = seal(path, PLAYED)

    assert [(s.first, s.last, s.count) for s in seals] == [
        (1, 2, 2),
        (3, 5, 3),
        (6, 8, 3),
    ]
    report = verify(path, SEALING, anchors=seals)
    assert report.ok
    assert report.seals == 3
    with LogReader(path, SEALING) as reader:
        assert [e.event for e in reader.read_stream("log/seals")] == seals


def test_nothing_new_is_not_sealed(tmp_path: Path) -> None:
    forge(tmp_path / "log.sqlite", [])

    assert next_seal(tmp_path / "log.sqlite") is None


def test_a_removed_tail_shows_by_a_seal_kept_elsewhere(path: Path) -> None:
    append = next_seal(path)
    assert append is not None
    (anchor,) = append.events
    assert isinstance(anchor, Sealed)
    tamper(path, *REMOVED_TAIL)
    with closing(connect_writer(path)) as db:  # he who could do that could do this, too
        query = "SELECT format, next_position, committed, epoch, keys FROM meta"
        form, end, committed, epoch, keys = db.execute(query).fetchone()
        meta = Meta(form, end, committed, epoch, int.from_bytes(keys, "big"))
        meta.write(db)

    assert verify(path, REGISTRY).ok
    report = verify(path, REGISTRY, anchors=[anchor])
    assert [(d.kind, d.position) for d in report.damages] == [("seal", 6)]


def test_a_digest_that_is_none_is_not_what_was_sealed(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    seal(path, PLAYED[:2])
    tamper(path, "UPDATE events SET digest = 1 << 62 WHERE position = 2")

    found = {(damage.kind, damage.position) for damage in verify(path).damages}
    assert {("row", 2), ("seal", 3)} <= found


@pytest.mark.parametrize("change", ["first", "last", "root", "data"])
def test_a_seal_that_does_not_fit_is_named(tmp_path: Path, change: str) -> None:
    path = tmp_path / "log.sqlite"
    good = seal(path, PLAYED[:2])[0]
    bad: Event = {
        "first": Sealed(2, 2, merkle_root([]).hex()),
        "last": Sealed(1, 7, good.root),
        "root": Sealed(1, 2, merkle_root([]).hex()),
        "data": Counted(1),
    }[change]
    path.unlink()
    forge(path, [*PLAYED[:2], ("log/seals", bad)])
    if change == "data":
        tamper(path, "UPDATE events SET tag = 'log.sealed' WHERE position = 3")

    report = verify(path, SEALING)

    assert "seal" in {damage.kind for damage in report.damages}


def test_the_root_is_the_one_of_rfc_6962() -> None:
    def root(digests: list[bytes]) -> bytes:  # word for word from its section 2.1
        if not digests:
            return sha256().digest()
        if len(digests) == 1:
            return sha256(b"\0" + digests[0]).digest()
        k = 1
        while k * 2 < len(digests):
            k *= 2
        return sha256(b"\1" + root(digests[:k]) + root(digests[k:])).digest()

    digests = [bytes([n]) * 32 for n in range(40)]
    for count in range(41):
        assert merkle_root(digests[:count]) == root(digests[:count])


# Bytes that changed by themselves


def contents(path: Path) -> list[object]:
    """Everything that has a meaning."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return [
            db.execute(f"SELECT * FROM {what}").fetchall()  # noqa: S608 - constants
            for what in (
                "events ORDER BY position",
                "streams ORDER BY stream",
                "meta",
                "keys ORDER BY scope, key",
            )
        ]


@settings(deadline=None, max_examples=150)
@given(seed=st.integers(0, 2**32), bits=st.integers(1, 3))
def test_flipped_bits_are_found_or_mean_nothing(seed: int, bits: int) -> None:
    chance = random.Random(seed)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "log.sqlite"
        forge(path, PLAYED)
        before = contents(path)
        damaged = bytearray(path.read_bytes())
        for _ in range(bits):
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)

        assert found_damaged(path) or contents(path) == before


def found_damaged(path: Path) -> bool:
    try:
        return not verify(path, REGISTRY).ok
    except LogError:
        return True


def test_a_table_that_leads_nowhere_is_no_endless_task(path: Path) -> None:
    # Two leaves of the table's tree change places, so that its order is broken.
    events = [(f"part/{n}", Counted(n)) for n in range(100)]
    path.unlink()
    forge(path, events)
    with closing(sqlite3.connect(path)) as db:
        query = "SELECT pageno FROM dbstat WHERE name = 'events' AND pagetype = 'leaf'"
        try:
            pages = [page for (page,) in db.execute(query)]
        except sqlite3.OperationalError:
            pytest.skip("needs an SQLite that knows which page is which")
    first, last = ((page - 1) * 4096 for page in (pages[0], pages[-1]))
    file = bytearray(path.read_bytes())
    file[first : first + 4096], file[last : last + 4096] = (
        file[last : last + 4096],
        file[first : first + 4096],
    )
    path.write_bytes(file)

    assert found_damaged(path)


@pytest.mark.parametrize("kept", [0, 10, 100, 5000, 0.5, 0.9])
def test_a_file_that_was_cut_is_found(path: Path, kept: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept if kept >= 1 else len(whole) * kept)])

    assert found_damaged(path)


@pytest.mark.parametrize(
    ("table", "name", "into"),
    [("streams", b"prop/1", b"aaaa/1"), ("keys", b"last", b"aaaa")],
)
def test_a_table_that_is_out_of_order_is_no_endless_task(
    path: Path, table: str, name: bytes, into: bytes
) -> None:
    tamper(
        path,
        "INSERT INTO keys VALUES ('s', 'key', 'part/1', NULL, x'00')",
        "INSERT INTO keys VALUES ('s', 'last', 'part/1', NULL, x'00')",
        "PRAGMA wal_checkpoint(TRUNCATE)",
    )
    with closing(sqlite3.connect(path)) as db:
        (root, size) = db.execute(
            "SELECT rootpage, page_size FROM sqlite_master, pragma_page_size "
            "WHERE name = ?",
            (table,),
        ).fetchone()
    whole = path.read_bytes()
    page = slice((root - 1) * size, root * size)
    assert whole[page].count(name) == 1
    path.write_bytes(
        whole[: page.start] + whole[page].replace(name, into) + whole[page.stop :]
    )

    assert "file" in {damage.kind for damage in verify(path, REGISTRY).damages}


def test_a_time_that_was_changed_casts_no_doubt_on_the_events_after_it(
    path: Path,
) -> None:
    tamper(
        path,
        """UPDATE events SET state = replace(state, '"committed":20', '"committed":90')""",
    )

    report = verify(path, REGISTRY)

    assert [(each.kind, each.position) for each in report.damages] == [("digest", 2)]


def test_an_epoch_before_that_of_an_event_is_found(path: Path) -> None:
    tamper(path, "UPDATE meta SET epoch = 0")

    damage, _ = verify(path, REGISTRY).damages

    assert (damage.kind, damage.position) == ("end", 6)
    assert "epoch 0, an event is of 1" in damage.message


def test_a_format_that_never_was_is_damage(path: Path) -> None:
    tamper(path, "UPDATE meta SET format = 0")

    (damage,) = verify(path, REGISTRY).damages

    assert damage.kind == "file"
