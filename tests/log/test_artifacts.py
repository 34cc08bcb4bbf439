"""Large values: whole and durable under their digest, or not there at all."""

import asyncio
import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from dramaturg.events.log.artifacts import (
    CHUNK_BYTES,
    Artifact,
    ArtifactDamagedError,
    ArtifactNotFoundError,
    ArtifactSourceError,
    ArtifactStore,
    ArtifactStoreError,
    ArtifactTooLargeError,
)

CONTENTS = b"All the world's a stage.\n" * 90_000
DIGEST = hashlib.sha256(CONTENTS).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.txt"
    path.write_bytes(CONTENTS)
    return path


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def files(store: ArtifactStore) -> list[Path]:
    return sorted(path for path in store.root.rglob("*") if path.is_file())


def existing(name: str) -> Path:
    path = Path(name)
    if not path.exists():
        pytest.skip(f"needs {name}")
    return path


@pytest.mark.asyncio
async def test_a_file_is_kept_under_the_digest_of_what_is_in_it(
    store: ArtifactStore,
    source: Path,
) -> None:
    assert len(CONTENTS) > 2 * CHUNK_BYTES

    artifact = await store.put(source)

    assert artifact == Artifact(DIGEST, len(CONTENTS))
    assert await store.exists(artifact)
    assert await store.read(artifact) == CONTENTS
    async with store.open(artifact) as file:
        assert await file.read(7) == CONTENTS[:7]
    assert files(store) == [store.path(artifact)]


@pytest.mark.asyncio
async def test_an_empty_value_is_an_artifact_too(store: ArtifactStore) -> None:
    artifact = await store.put_bytes(b"")

    assert artifact.size_bytes == 0
    assert await store.read(artifact) == b""


@pytest.mark.asyncio
async def test_equal_contents_are_stored_once(
    store: ArtifactStore,
    source: Path,
) -> None:
    first = await store.put(source)
    inode = store.path(first).stat().st_ino

    async with asyncio.TaskGroup() as group:
        again = group.create_task(store.put_bytes(CONTENTS))
        also = group.create_task(store.put(source))

    assert again.result() == also.result() == first
    assert store.path(first).stat().st_ino == inode
    assert files(store) == [store.path(first)]


@pytest.mark.asyncio
async def test_contents_over_the_limit_are_refused_and_leave_nothing(
    tmp_path: Path,
    source: Path,
) -> None:
    store = ArtifactStore(tmp_path / "small", size_bytes_max=len(CONTENTS) - 1)

    with pytest.raises(ArtifactTooLargeError, match=r"source\.txt has more than 2,2"):
        await store.put(source)
    with pytest.raises(ArtifactTooLargeError, match="page 3"):
        await store.put_bytes(CONTENTS, name="page 3")

    assert files(store) == []


@pytest.mark.asyncio
async def test_a_file_that_grows_over_the_limit_while_it_is_copied_is_refused(
    tmp_path: Path,
) -> None:
    store = ArtifactStore(tmp_path / "small", size_bytes_max=10)
    endless = existing("/proc/self/maps")  # says that it is empty, and is not

    with pytest.raises(ArtifactTooLargeError):
        await store.put(endless)

    assert files(store) == []


@pytest.mark.asyncio
async def test_a_source_that_vanished_is_named(
    store: ArtifactStore,
    tmp_path: Path,
) -> None:
    with pytest.raises(ArtifactSourceError, match=r"gone\.txt .*No such file"):
        await store.put(tmp_path / "gone.txt")


@pytest.mark.asyncio
async def test_a_source_that_is_no_plain_file_is_refused_without_opening_it(
    store: ArtifactStore,
    tmp_path: Path,
) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(ArtifactSourceError, match="plain file"):
        await store.put(tmp_path / "pipe")
    with pytest.raises(ArtifactSourceError, match="plain file"):
        await store.put(tmp_path)


@pytest.mark.asyncio
async def test_a_source_that_cannot_be_read_leaves_nothing(
    store: ArtifactStore,
) -> None:
    unreadable = existing("/proc/self/mem")

    with pytest.raises(ArtifactSourceError, match="Input/output error"):
        await store.put(unreadable)

    assert files(store) == []


@pytest.mark.asyncio
async def test_a_missing_artifact_is_an_error_that_says_where_it_was_looked_for(
    store: ArtifactStore,
) -> None:
    missing = Artifact(DIGEST, 1)

    assert not await store.exists(missing)
    with pytest.raises(ArtifactNotFoundError, match=str(store.root)):
        await store.read(missing)


@pytest.mark.asyncio
async def test_changed_contents_are_noticed(store: ArtifactStore) -> None:
    artifact = await store.put_bytes(b"to be")
    store.path(artifact).write_bytes(b"to bE")

    with pytest.raises(ArtifactDamagedError, match=artifact.digest):
        await store.read(artifact)


@pytest.mark.asyncio
async def test_contents_that_were_cut_off_are_replaced(store: ArtifactStore) -> None:
    artifact = await store.put_bytes(b"or not to be")
    store.path(artifact).write_bytes(b"or not")

    assert not await store.exists(artifact)
    await store.put_bytes(b"or not to be")

    assert await store.read(artifact) == b"or not to be"


@pytest.mark.asyncio
async def test_a_sweep_leaves_running_copies_alone(
    store: ArtifactStore,
    source: Path,
) -> None:
    assert await store.sweep() == 0
    await store.put_bytes(b"the folder is there")
    leftover = store.root / "temporary" / "leftover"
    leftover.write_bytes(b"cut off")

    async with asyncio.TaskGroup() as group:
        copy = group.create_task(store.put(source))
        await asyncio.sleep(0)
        swept = await store.sweep()

    assert swept == 1
    assert await store.read(copy.result()) == CONTENTS


@pytest.mark.asyncio
async def test_a_cancelled_copy_leaves_nothing(
    store: ArtifactStore,
    source: Path,
) -> None:
    for turns in range(40):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(store.put, source)
                for _ in range(turns):
                    await asyncio.to_thread(int)
                scope.cancel()

        assert [f for f in files(store) if f.parent.name == "temporary"] == []


@pytest.mark.asyncio
async def test_a_store_that_cannot_be_written_says_what_to_do(
    tmp_path: Path,
) -> None:
    (tmp_path / "artifacts").write_text("a file where the folder should be")

    with pytest.raises(ArtifactStoreError, match="nothing of it was kept") as caught:
        await ArtifactStore(tmp_path / "artifacts").put_bytes(b"x")

    assert caught.value.errno in {errno.EEXIST, errno.ENOTDIR}


FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from dramaturg.events.log.artifacts import ArtifactStore, ArtifactStoreError

resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
store = ArtifactStore(Path(sys.argv[1]))

async def main():
    small = await store.put_bytes(b"fits")
    try:
        await store.put(Path(sys.argv[2]))
    except ArtifactStoreError as error:
        print(error)
    assert await store.read(small) == b"fits"

asyncio.run(main())
"""


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(
    store: ArtifactStore,
    source: Path,
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(store.root), str(source)],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "File too large; nothing of it was kept" in ran.stdout
    assert [path.read_bytes() for path in files(store)] == [b"fits"]


KILLED = """
import asyncio, os, signal, sys, threading
from pathlib import Path
from dramaturg.events.log.artifacts import ArtifactStore

STEPS = {"mkdir", "stat", "open", "read", "write", "flush", "fsync", "replace",
         "close", "unlink"}

def killer(steps):
    left = steps
    def profile(frame, event, arg):
        nonlocal left
        if event in ("c_call", "c_return") and arg.__name__ in STEPS:
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
    return profile

for steps in range(1, 1000):
    child = os.fork()
    if not child:
        threading.setprofile(killer(steps))  # the threads that do the I/O
        store = ArtifactStore(Path(sys.argv[1]) / str(steps) / "artifacts")
        asyncio.run(store.put(Path(sys.argv[2])))
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
print(steps)
"""


@pytest.mark.kill
@pytest.mark.timeout(120)
def test_killed_at_any_step_a_copy_is_whole_or_not_there(
    tmp_path: Path,
    source: Path,
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(source)],
        capture_output=True,
        text=True,
        check=True,
    )
    steps = int(ran.stdout)
    assert steps > 30

    async def recover(folder: Path) -> int:
        store = ArtifactStore(folder)
        artifact = Artifact(DIGEST, len(CONTENTS))
        if path := store.path(artifact).exists():
            assert await store.read(artifact) == CONTENTS, path
        swept = await store.sweep()
        assert await store.put(source) == artifact
        assert files(store) == [store.path(artifact)]
        return swept

    async def recover_all() -> list[int]:
        return [
            await recover(tmp_path / str(step) / "artifacts")
            for step in range(1, steps + 1)
        ]

    swept = asyncio.run(recover_all())
    assert set(swept) == {0, 1}  # some were killed before and after, some between
