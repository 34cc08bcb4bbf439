"""The log as processes meet it: killed, locked out, and on a full disk."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dramaturg.events import Registry
from dramaturg.events.log import LogLockedError
from dramaturg.events.log.digest import FIRST, chained
from dramaturg.events.log.document import split
from dramaturg.events.log.lock import WriterLock
from dramaturg.events.log.opening import open_for_writing
from dramaturg.events.log.sqlite import SqliteLog

from ..forks import Forks

HERE = Path(__file__).parent
KILLS = 15


def start(script: str, *args: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, str(HERE / script), *map(str, args)],
        stdout=subprocess.PIPE,
    )


@pytest.mark.kill
@pytest.mark.timeout(120)
def test_nothing_acknowledged_is_lost_by_a_kill(tmp_path: Path) -> None:
    chance = random.Random(7)
    path = tmp_path / "log.db"
    acknowledged: list[tuple[str, int, int]] = []
    with Forks(tmp_path, "tests.log.kill_me", "run") as forks:
        for kill in range(KILLS):
            with forks.start(path) as process:
                out = process.stdout
                assert out.readline() == b"open\n"
                lines = [out.readline() for _ in range(chance.randrange(120))]
                if kill % 2:
                    time.sleep(chance.random() / 50)  # anywhere in a commit
                process.send_signal(signal.SIGKILL)
                lines += out.read().splitlines(keepends=True)
            for line in lines:
                if line.endswith(b"\n"):
                    stream, version, position = line.decode().split()
                    acknowledged.append((stream, int(version), int(position)))

    db = open_for_writing(path, max(position for *_, position in acknowledged))
    rows = db.execute(
        "SELECT position, stream, version, tag, CAST(state AS BLOB), prev, digest "
        "FROM events ORDER BY position"
    ).fetchall()
    heads = dict(db.execute("SELECT stream, digest FROM streams"))
    (epoch,) = db.execute("SELECT epoch FROM meta").fetchone()
    (check,) = db.execute("PRAGMA integrity_check").fetchone()
    db.close()

    there = {(stream, version, position) for position, stream, version, *_ in rows}
    by_stream: dict[str, list[int]] = {}
    previous: dict[str, tuple[int | None, bytes]] = {}
    for position, stream, version, tag, state, prev, digest in rows:
        by_stream.setdefault(stream, []).append(version)
        before, chain = previous.get(stream, (None, FIRST))
        header, data = split(state)
        assert prev == before
        assert digest == chained(chain, position, stream, version, tag, header, data)
        previous[stream] = position, digest
    assert check == "ok"
    assert epoch == KILLS
    assert len(acknowledged) > KILLS
    assert {(f"{s}/twin", v, p) for s, v, p in acknowledged} <= there
    assert {(s, v, p - 2) for s, v, p in acknowledged} <= there
    assert [position for position, *_ in rows] == [*range(1, len(rows) + 1)]
    for stream, versions in by_stream.items():
        assert versions == [*range(1, len(versions) + 1)]
        assert len(by_stream[stream.removesuffix("/twin")]) == len(versions)
    assert heads == {stream: digest for stream, (_, digest) in previous.items()}


@pytest.mark.asyncio
async def test_a_second_process_is_told_who_writes(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with start("kill_me.py", path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(LogLockedError, match=f"process {process.pid}") as caught:
            async with SqliteLog(path, Registry([])):
                pass
        process.kill()
    async with SqliteLog(path, Registry([])) as log:
        epoch = log.epoch

    assert caught.value.pid == process.pid
    assert epoch == 2


@pytest.mark.asyncio
async def test_one_process_cannot_write_a_log_twice(tmp_path: Path) -> None:
    async with SqliteLog(tmp_path / "log.db", Registry([])):
        with pytest.raises(LogLockedError, match=f"process {os.getpid()}"):
            async with SqliteLog(tmp_path / "log.db", Registry([])):
                pass
    async with SqliteLog(tmp_path / "log.db", Registry([])):
        pass


def test_a_lock_without_a_pid_is_a_lock_all_the_same(tmp_path: Path) -> None:
    lock = WriterLock(tmp_path / "log.db")
    lock.acquire()
    (tmp_path / "log.db.lock").write_bytes(b"")
    with pytest.raises(LogLockedError, match="another process") as caught:
        WriterLock(tmp_path / "log.db").acquire()
    lock.release()
    lock.release()
    again = WriterLock(tmp_path / "log.db")
    again.acquire()
    again.release()

    assert caught.value.pid is None


def on_a_full_disk(tmp_path: Path, how: str) -> subprocess.CompletedProcess[bytes]:
    script = [sys.executable, str(HERE / "full_disk.py"), str(tmp_path)]
    if how == "a file size limit":
        command = [*script, "limit"]
    else:
        mount = 'mount -t tmpfs -o size=1500k tmpfs "$0" && exec "$@"'
        command = ["unshare", "-rm", "sh", "-c", mount, str(tmp_path), *script]
    return subprocess.run(command, capture_output=True, check=False)


@pytest.mark.parametrize("how", ["a file size limit", "a small tmpfs"])
def test_a_full_disk_is_waited_out(tmp_path: Path, how: str) -> None:
    done = on_a_full_disk(tmp_path, how)
    if b"unshare" in done.stderr or b"mount:" in done.stderr:
        pytest.skip("nobody may mount a tmpfs here; the size limit shows the same")
    assert done.returncode == 0, done.stderr.decode()
    report = json.loads(done.stdout.splitlines()[-1])
    there = len(report["versions"])

    assert 0 < report["acknowledged"] < 5000
    assert report["versions"] == [*range(1, there + 1)]
    assert report["acknowledged"] <= there <= report["acknowledged"] + 1
    assert report["position"] == there + 1
    assert report["epoch"] >= 2
    assert "goes on by itself" in report["message"]
