"""The library's own test cases for recorders, on ours."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID, uuid4

import pytest
from eventsourcing.persistence import (
    IntegrityError,
    OperationalError,
    StoredEvent,
    Tracking,
)
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
    ProcessRecorderTestCase,
    TrackingRecorderTestCase,
)

from dramaturg.events.log import LogFormatError, LogLockedError
from dramaturg.events.log.recorders import (
    LogApplicationRecorder,
    LogDatastore,
    LogProcessRecorder,
    LogTrackingRecorder,
)
from dramaturg.events.log.verify import verify

from .forged import tamper


class OnAFile:
    """Gives each test a file, and verifies it afterwards."""

    ids = "text"

    def setUp(self) -> None:
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "log.sqlite"
        self.datastore = LogDatastore(
            self.path,
            originator_id_type="uuid" if self.ids == "uuid" else "text",
        )

    def tearDown(self) -> None:
        self.datastore.close()
        assert verify(self.path).ok
        self.folder.cleanup()

    def new_originator_id(self) -> UUID | str:
        return uuid4() if self.ids == "uuid" else f"order/{uuid4()}"


class TestApplicationRecorder(
    OnAFile,
    ApplicationRecorderTestCase[LogApplicationRecorder],
):
    def create_recorder(self) -> LogApplicationRecorder:
        return LogApplicationRecorder(self.datastore)

    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestApplicationRecorderWithUUIDs(TestApplicationRecorder):
    ids = "uuid"


class TestNonInterleaving(OnAFile, NonInterleavingNotificationIDsBaseCase):
    insert_num = 1000

    def create_recorder(self) -> LogApplicationRecorder:
        return LogApplicationRecorder(self.datastore)


class TestTrackingRecorder(OnAFile, TrackingRecorderTestCase):
    def create_recorder(self) -> LogTrackingRecorder:
        return LogTrackingRecorder(self.datastore)


class TestProcessRecorder(OnAFile, ProcessRecorderTestCase):
    def create_recorder(self) -> LogProcessRecorder:
        return LogProcessRecorder(self.datastore)


# What the library's cases do not ask


@pytest.fixture
def datastore(tmp_path: Path) -> Iterator[LogDatastore]:
    with LogDatastore(tmp_path / "log.sqlite") as datastore:
        yield datastore


def stored(version: int, stream: str = "order/1", topic: str = "t") -> StoredEvent:
    return StoredEvent(stream, version, topic, b"\x00\xff not JSON")


def test_versions_begin_at_0_or_1_and_have_no_gaps(datastore: LogDatastore) -> None:
    recorder = LogApplicationRecorder(datastore)
    recorder.insert_events([stored(0), stored(1), stored(1, "order/2")])

    for wrong in (
        [stored(3)],
        [stored(1)],
        [stored(2, "order/3")],
        [stored(-1, "order/3")],
        [stored(2), stored(2)],
    ):
        with pytest.raises(IntegrityError):
            recorder.insert_events(wrong)

    assert recorder.max_notification_id() == 3
    assert recorder.insert_events([stored(2)]) == [4]


def test_an_aggregate_is_read_by_ranges(datastore: LogDatastore) -> None:
    recorder = LogApplicationRecorder(datastore)
    recorder.insert_events([stored(version) for version in range(6)])

    def versions(**wanted: Any) -> list[int]:
        found = recorder.select_events("order/1", **wanted)
        return [event.originator_version for event in found]

    assert versions() == [0, 1, 2, 3, 4, 5]
    assert versions(gt=1, lte=4) == [2, 3, 4]
    assert versions(desc=True, limit=2) == [5, 4]
    assert versions(limit=2) == [0, 1]


def test_what_was_recorded_is_found_after_reopening(tmp_path: Path) -> None:
    first = LogDatastore(tmp_path / "log.sqlite")
    LogProcessRecorder(first).insert_events([stored(1)], tracking=Tracking("up", 7))
    first.close()

    second = LogDatastore(tmp_path / "log.sqlite")
    recorder = LogProcessRecorder(second)
    assert recorder.select_events("order/1") == [stored(1)]
    assert recorder.max_tracking_id("up") == 7
    second.close()


def test_a_closed_datastore_says_so(datastore: LogDatastore) -> None:
    recorder = LogApplicationRecorder(datastore)
    recorder.insert_events([stored(1)])
    assert recorder.max_notification_id() == 1
    datastore.close()
    datastore.close()

    with pytest.raises(OperationalError, match="was closed"):
        recorder.max_notification_id()
    with pytest.raises(OperationalError, match="was closed"):
        recorder.insert_events([stored(2)])


def test_a_file_of_something_else_is_left_alone_and_unlocked(tmp_path: Path) -> None:
    path = tmp_path / "log.sqlite"
    tamper(path, "CREATE TABLE t(x)")
    for _ in range(2):
        with pytest.raises(LogFormatError):
            LogDatastore(path)


def test_a_refused_tracking_takes_its_events_with_it(datastore: LogDatastore) -> None:
    recorder = LogProcessRecorder(datastore)
    recorder.insert_tracking(Tracking("up", 7))

    with pytest.raises(IntegrityError):
        recorder.insert_events([stored(1)], tracking=Tracking("up", 7))

    assert recorder.select_notifications(None, 10) == []


@pytest.mark.usefixtures("datastore")
def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LogLockedError):
        LogDatastore(tmp_path / "log.sqlite")


def test_a_failing_disk_is_an_operational_error(
    tmp_path: Path,
    datastore: LogDatastore,
) -> None:
    recorder = LogApplicationRecorder(datastore)
    tamper(tmp_path / "log.sqlite", "DROP TABLE events")

    with pytest.raises(OperationalError, match="no such table"):
        recorder.insert_events([stored(1)])
    with pytest.raises(OperationalError, match="no such table"):
        recorder.max_notification_id()


def test_a_subscription_is_woken_and_can_be_stopped(datastore: LogDatastore) -> None:
    recorder = LogApplicationRecorder(datastore)
    seen: list[int] = []
    arrived = threading.Event()

    def follow() -> None:
        for notification in subscription:
            seen.append(notification.id)
            arrived.set()

    with recorder.subscribe() as subscription:
        thread = threading.Thread(target=follow)
        thread.start()
        recorder.insert_events([stored(1)])
        assert arrived.wait(10)
    thread.join()

    assert seen == [1]


def test_a_changed_state_is_found(tmp_path: Path, datastore: LogDatastore) -> None:
    LogApplicationRecorder(datastore).insert_events([stored(0), stored(1)])
    assert verify(tmp_path / "log.sqlite").ok

    tamper(tmp_path / "log.sqlite", "UPDATE events SET state = x'00' WHERE position=2")

    damages = verify(tmp_path / "log.sqlite").damages
    assert [(d.kind, d.position) for d in damages] == [("digest", 2)]


@pytest.mark.parametrize(
    "module",
    ["dramaturg", "dramaturg.events.log", "dramaturg.events.vocabulary"],
)
def test_importing_us_imports_neither_the_library_nor_an_engine(module: str) -> None:
    script = f"import {module}, sys; print(*sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
    )

    assert not {"eventsourcing", "sqlite3"} & set(ran.stdout.split())
