"""Reading a log file: beside its writer, after its death, and when it is damaged."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dramaturg.events import DataError, Event, Registry, UnknownEvent
from dramaturg.events.log import (
    Header,
    LogDamagedError,
    LogFormatError,
    LogNotFoundError,
    LogUnreadableError,
    Recorded,
    Snapshot,
    StreamHead,
)
from dramaturg.events.log.digest import key_digest
from dramaturg.events.log.reader import LogReader
from dramaturg.events.log.schema import connect_writer

from .forged import forge, tamper
from .vocabulary import REGISTRY, Counted, Ended, Noted, Started

PLAYED: list[tuple[str, Event]] = [
    ("part/1", Started("x")),
    ("part/2", Started("y")),
    ("part/1", Counted(2)),
    ("prop/1", Noted({"k": [1, None]})),
    ("part/1", Counted(3)),
    ("part/2", Ended()),
]

CHANGED = "UPDATE snapshots SET state = x'21' WHERE version = {}"
MOVED = "UPDATE events SET state = replace(state, '\"at\":', '\"at\":7') WHERE position = {}"
KEY = "INSERT INTO keys VALUES ('s', 'k', 'part/1', NULL, x'{}')"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    forge(tmp_path / "log.sqlite", PLAYED)
    return tmp_path / "log.sqlite"


def test_events_come_back_as_they_were_written(path: Path) -> None:
    with LogReader(path, REGISTRY) as reader:
        assert reader.position == 6
        events = reader.read()
        assert [(e.stream, e.event) for e in events] == PLAYED
        assert events[2] == Recorded(
            3, "part/1", 2, Counted(2), Header(1, 1, 30, epoch=1)
        )
        assert reader.read(1, 4, limit=2) == events[1:3]
        assert reader.read(4, 5) == events[4:5]
        assert reader.read(6) == []


def test_a_stream_is_read_by_version_and_as_of_a_position(path: Path) -> None:
    with LogReader(path, REGISTRY) as reader:
        whole = reader.read_stream("part/1")
        assert [e.position for e in whole] == [1, 3, 5]
        assert reader.read_stream("part/1", after=1) == whole[1:]
        assert reader.read_stream("part/1", until=2) == whole[:2]
        assert reader.read_stream("part/1", after=1, until=2) == whole[1:2]
        assert reader.read_stream("part/1", at=4) == whole[:2]
        assert reader.read_stream("part/1", after=3) == []
        assert reader.read_stream("nobody") == []


def test_streams_are_listed_by_name(path: Path) -> None:
    one = StreamHead("part/1", "part", 3, 5, open=True)
    two = StreamHead("part/2", "part", 2, 6, open=False)
    prop = StreamHead("prop/1", "prop", 1, 4, open=True)
    with LogReader(path, REGISTRY) as reader:
        assert reader.streams() == [one, two, prop]
        assert reader.streams("part/") == [one, two]
        assert reader.open_streams() == [one, prop]
        assert reader.open_streams("pr") == [prop]
        assert reader.head("part/2") == two
        assert reader.head("part") is None


def test_times_are_found_by_what_was_committed_until_then(path: Path) -> None:
    with LogReader(path, REGISTRY) as reader:
        found = {time: reader.position_at(time) for time in (0, 9, 10, 35, 60, 99)}

    assert found == {0: 0, 9: 0, 10: 1, 35: 3, 60: 6, 99: 6}


def test_the_newest_snapshot_of_the_right_fold_is_found(tmp_path: Path) -> None:
    old = Snapshot("part/1", 1, 1, 7, b"{}")
    new = Snapshot("part/1", 3, 5, 7, b"[]")
    other = Snapshot("part/1", 3, 5, 8, b"0")
    forge(tmp_path / "log.sqlite", PLAYED, [old, new, other])

    with LogReader(tmp_path / "log.sqlite", REGISTRY) as reader:
        assert reader.snapshot("part/1", 7) == new
        assert reader.snapshot("part/1", 7, at=4) == old
        assert reader.snapshot("part/1", 6) is None
        assert reader.snapshot("part/2", 7) is None


def test_unknown_tags_are_kept_and_shown(path: Path) -> None:
    with LogReader(path, Registry([Counted])) as reader:
        events = reader.read()

    assert events[0].event == UnknownEvent("test.started", 1, b'{"name":"x"}')
    assert events[2].event == Counted(2)


STREAMS = st.sampled_from(["part/1", "part/2", "prop/1"])


@settings(deadline=None, max_examples=40)
@given(streams=st.lists(STREAMS, max_size=12), data=st.data())
def test_any_range_of_a_stream_is_that_range_of_the_whole(
    streams: Sequence[str],
    data: st.DataObject,
) -> None:
    numbers = st.integers(0, 13)
    after, until, at = data.draw(st.tuples(numbers, numbers, numbers))
    events = [(stream, Counted(n)) for n, stream in enumerate(streams)]
    versions = [streams[: n + 1].count(stream) for n, stream in enumerate(streams)]
    taken = data.draw(
        st.sets(st.integers(0, len(streams) - 1)) if streams else st.just(set[int]())
    )
    snapshots = [
        Snapshot(streams[n], versions[n], n + 1, 1, b"")
        for n in taken
        if n < len(streams)
    ]
    with TemporaryDirectory() as folder:
        forge(Path(folder) / "log.sqlite", events, snapshots)
        with LogReader(Path(folder) / "log.sqlite", REGISTRY) as reader:
            everything = reader.read()
            found = reader.read_stream("part/1", after=after, until=until, at=at)

    assert found == [
        event
        for event in everything
        if event.stream == "part/1"
        and after < event.version <= until
        and event.position <= at
    ]


def test_a_missing_file_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(LogNotFoundError, match="nowhere"):
        LogReader(tmp_path / "nowhere", REGISTRY)

    assert not (tmp_path / "nowhere").exists()


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "novel.txt"
    text.write_text("It was a dark and stormy night. " * 100)
    other = tmp_path / "other.sqlite"
    tamper(other, "CREATE TABLE t(x)")
    empty = tmp_path / "empty"
    empty.touch()

    for path in (text, other, empty):
        with pytest.raises(LogFormatError, match=path.name):
            LogReader(path, REGISTRY)


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    with pytest.raises(LogUnreadableError, match="cannot be read"):
        LogReader(tmp_path, REGISTRY)


def test_a_damaged_snapshot_is_passed_over_for_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    kept = [Snapshot("part/1", v, at, 1, b"%d" % v) for v, at in ((1, 1), (2, 3))]
    forge(path, PLAYED, kept)
    found: list[Snapshot | None] = []
    with LogReader(path, REGISTRY) as reader:
        for version in (2, 1):
            found.append(reader.snapshot("part/1", 1))
            tamper(path, CHANGED.format(version))
        found.append(reader.snapshot("part/1", 1))

    assert found == [kept[1], kept[0], None]
    tamper(path, "UPDATE snapshots SET state = 7")
    with LogReader(path, REGISTRY) as reader:
        assert reader.snapshot("part/1", 1) is None


def test_a_damaged_key_is_named(path: Path) -> None:
    digest = key_digest("s", "k", "part/1", None).hex()
    tamper(path, KEY.format(digest))
    with LogReader(path, REGISTRY) as reader:
        assert reader.key_stream("s", "k", 0) == "part/1"
        tamper(path, "UPDATE keys SET stream = 'part/2'")
        with pytest.raises(LogDamagedError, match="key 'k' of 's'"):
            reader.key_stream("s", "k", 0)


@pytest.mark.parametrize("stream", ["part/1", "part/2"])
def test_a_changed_event_is_named_when_its_stream_is_read(
    path: Path, stream: str
) -> None:
    with LogReader(path, REGISTRY) as reader:
        last = reader.read_stream(stream)[-1]
        tamper(path, MOVED.format(last.position))
        with pytest.raises(LogDamagedError, match=f"position {last.position} of "):
            reader.read_stream(stream)
        with pytest.raises(LogDamagedError, match=f"position {last.position} of "):
            reader.read_stream(stream, after=last.version - 1)
        if last.version > 1:
            assert reader.read_stream(stream, until=last.version - 1)


def test_a_log_from_the_future_is_refused(path: Path) -> None:
    tamper(path, "UPDATE meta SET format = 99")

    with pytest.raises(LogFormatError, match="upgrade"):
        LogReader(path, REGISTRY)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("UPDATE events SET state = '{}' WHERE position = 3", "position 3 .*'part/1'"),
        ("UPDATE events SET state = '[1' WHERE position = 3", "position 3 "),
        ("UPDATE events SET state = replace(state, '1,', 'x,')", "position 1 "),
        ("UPDATE events SET version = 7 WHERE position = 3", "version 2.*version 7"),
        ("UPDATE events SET stream = 'x' WHERE position = 3", "'x' version 2"),
        (
            "UPDATE events SET prev = NULL WHERE position = 5",
            "before version 3 .*where",
        ),
        ("UPDATE events SET prev = 5 WHERE position = 3", "before version 2 .*tion 5,"),
        ("DELETE FROM events WHERE position = 1", "before version 2 .*position 1,"),
        ("DELETE FROM events WHERE position = 5", "'part/1'.*version 3 .*position 5,"),
        (
            "UPDATE streams SET position = 3 WHERE version = 3",
            "version 3 .*position 3,",
        ),
        ("UPDATE streams SET version = 9 WHERE version = 3", "version 9 .*position 5,"),
        ("UPDATE streams SET position = 'x' WHERE version = 3", "position x,"),
        (
            "UPDATE events SET version = x'7b' WHERE position = 5",
            "version 3 .*position 5,",
        ),
        ("DROP TABLE events", "no such table"),
    ],
)
def test_damage_in_a_stream_is_named(path: Path, statement: str, words: str) -> None:
    tamper(path, statement)

    with (
        LogReader(path, REGISTRY) as reader,
        pytest.raises(LogDamagedError, match=words),
    ):
        reader.read_stream("part/1")


@pytest.mark.parametrize(
    ("statement", "range_"),
    [
        ("DELETE FROM events WHERE position = 3", {"until": 1}),
        ("UPDATE snapshots SET version = 3", {"until": 3}),
        ("UPDATE snapshots SET position = 4", {"until": 2}),
        ("UPDATE snapshots SET position = 4", {"at": 3}),
    ],
)
def test_a_part_of_a_stream_is_not_read_short(
    tmp_path: Path, statement: str, range_: dict[str, int]
) -> None:
    path = tmp_path / "log.sqlite"
    forge(path, PLAYED, [Snapshot("part/1", 2, 3, 1, b"{}")])
    with LogReader(path, REGISTRY) as reader:
        assert reader.read_stream("part/1", **range_)
        tamper(path, statement)
        with pytest.raises(LogDamagedError, match="stream 'part/1' is broken"):
            reader.read_stream("part/1", **range_)


@pytest.mark.parametrize(
    ("gone", "after", "until", "missing"),
    [
        ("= 1", 0, None, 1),
        ("IN (3, 4)", 0, None, 3),
        ("IN (3, 4)", 2, 3, 3),
        ("= 6", 0, None, 6),
        ("= 6", 5, None, 6),
        ("= 6", 0, 99, 6),
        ("> 0", 0, None, 1),
    ],
)
def test_events_that_are_gone_are_not_passed_over(
    path: Path, gone: str, after: int, until: int | None, missing: int
) -> None:
    tamper(path, f"DELETE FROM events WHERE position {gone}")  # noqa: S608 - above

    with LogReader(path, REGISTRY) as reader:
        words = f"at position {missing}, though the log goes on to 6: .*export"
        with pytest.raises(LogDamagedError, match=words):
            reader.read(after, until)
        with pytest.raises(LogDamagedError, match=words):
            reader.digests(after, until or 6, limit=9)
        with pytest.raises(LogDamagedError, match=words):
            reader.read(missing - 1, limit=1)
        if missing > 1:
            assert len(reader.read(0, missing - 1)) == missing - 1
        assert reader.read(6) == []


def test_data_that_does_not_fit_its_class_is_named(path: Path) -> None:
    tamper(path, "UPDATE events SET state = replace(state, '2}', 'null}')")

    with LogReader(path, REGISTRY) as reader:
        with pytest.raises(DataError, match=r"at position 3: .*'test\.counted'"):
            reader.read()
        assert len(reader.read(3)) == 3


def test_a_log_without_its_end_is_damaged(path: Path) -> None:
    with LogReader(path, REGISTRY) as reader:
        tamper(path, "DELETE FROM meta")

        with pytest.raises(LogDamagedError, match="where it ends"):
            _ = reader.position


def test_a_log_without_its_format_is_damaged(path: Path) -> None:
    tamper(path, "DELETE FROM meta")

    with pytest.raises(LogDamagedError, match="format"):
        LogReader(path, REGISTRY)


def test_words_that_are_no_text_any_more_are_damage(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(
        whole.replace(b"CREATE TABLE meta", b"CREATE TABLE \xcc\xcc\xcc (")
    )

    with pytest.raises(LogDamagedError, match=r"log\.sqlite is damaged"):
        LogReader(path, REGISTRY)


def test_a_file_that_was_cut_is_damaged(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(LogDamagedError, match="malformed"):  # noqa: SIM117
        with LogReader(path, REGISTRY) as reader:
            reader.read()


READ_BY_ANYBODY = """
import os, sys
from pathlib import Path
from dramaturg.events import Registry
from dramaturg.events.log import LogError
from dramaturg.events.log.digest import key_digest
from dramaturg.events.log.reader import LogReader

if not os.getuid():
    os.setuid(65534)
try:
    with LogReader(Path(sys.argv[1]), Registry([])) as reader:
        print(len(reader.read()), reader.position)
except LogError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Path]:
    """What a writer that was killed leaves: everything is in the WAL still."""
    path = tmp_path / "log.sqlite"
    with closing(connect_writer(path)) as held:
        forge(path, PLAYED)
        held.execute("SELECT * FROM events")  # so that the last to leave is not forge
        with TemporaryDirectory() as folder:
            for file in tmp_path.glob("log.sqlite*"):
                shutil.copy(file, folder)
            yield Path(folder) / "log.sqlite"


def read_by_anybody(path: Path) -> str:
    """Read as a user who may not write the folder; root could anywhere."""
    path.parent.chmod(0o555)
    ran = subprocess.run(
        [sys.executable, "-c", READ_BY_ANYBODY, str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    path.parent.chmod(0o755)
    return ran.stdout.strip()


def test_what_is_being_written_is_not_seen(path: Path) -> None:
    with closing(connect_writer(path)) as writer, LogReader(path, REGISTRY) as reader:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("UPDATE meta SET next_position = 99")

        assert reader.position == 6
        assert len(reader.read()) == 6
        writer.execute("COMMIT")
        assert reader.position == 98


def test_a_log_whose_writer_was_killed_is_read_to_its_end(left: Path) -> None:
    with LogReader(left, REGISTRY) as reader:
        assert [(e.stream, e.event) for e in reader.read()] == PLAYED

    assert left.with_name("log.sqlite-wal").stat().st_size > 0


def test_a_log_without_its_shared_memory_is_read_to_its_end(left: Path) -> None:
    left.with_name("log.sqlite-shm").unlink()

    with LogReader(left, REGISTRY) as reader:
        assert len(reader.read()) == 6


def test_a_log_in_a_folder_that_cannot_be_written_is_read(left: Path) -> None:
    assert read_by_anybody(left) == "6 6"
    tamper(left, "SELECT * FROM meta")  # the last to leave moves the WAL into the file
    assert [file.name for file in left.parent.iterdir()] == ["log.sqlite"]
    assert read_by_anybody(left) == "6 6"


def test_what_cannot_be_read_says_why(left: Path) -> None:
    left.with_name("log.sqlite-shm").unlink()

    assert read_by_anybody(left).startswith("LogUnreadableError")
