"""Nobody closes what a thread still uses, however a task ends."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import pytest
from anyio.to_thread import run_sync

from dramaturg.events.log import StreamAppend
from dramaturg.events.log.archive.archiving import archive_log
from dramaturg.events.log.file_store import FileStore
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.log.transfer import export_log
from dramaturg.events.log.whole import run_whole

from .vocabulary import REGISTRY, Ended


class Slow:
    """Stands in the middle of a call in a thread until it is told to go on."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.go_on = threading.Event()
        self.ended = False

    def __call__(self, *_values: object) -> int:
        self.began.set()
        assert self.go_on.wait(30)
        self.ended = True
        return 7


async def cancelled(slow: Slow, work: Callable[[], Awaitable[object]]) -> None:
    """Cancel `work`, twice, while it is at what is slow; wait for its end."""
    task = asyncio.ensure_future(work())
    assert await run_sync(slow.began.wait, 30)
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    slow.go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert slow.ended


@pytest.mark.asyncio
async def test_a_cancelled_task_waits_for_its_thread() -> None:
    slow = Slow()
    await cancelled(slow, lambda: run_whole(slow, 1, 2))

    slow = Slow()
    slow.go_on.set()
    assert await run_whole(slow) == 7


@pytest.mark.asyncio
async def test_a_cancelled_scope_waits_for_its_thread() -> None:
    slow = Slow()
    with anyio.CancelScope() as scope:
        asyncio.get_running_loop().call_soon(scope.cancel)
        asyncio.get_running_loop().call_later(0, slow.go_on.set)
        await run_whole(slow)

    assert scope.cancelled_caught
    assert slow.ended


@pytest.mark.asyncio
async def test_what_went_wrong_in_a_thread_is_raised_unless_nobody_waits() -> None:
    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await run_whole(fail)


@pytest.mark.asyncio
@pytest.mark.parametrize("reads", ["segments", "page"])
async def test_a_store_is_closed_after_the_last_read_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: str
) -> None:
    slow, path = Slow(), tmp_path / "log.db"
    close = FileStore.close
    closed: list[bool] = []

    def closing(store: FileStore) -> None:
        closed.append(slow.ended)
        close(store)

    async def write(_lines: bytes) -> None: ...

    async with SqliteLog(path, REGISTRY, seals=None) as log:
        await log.append([StreamAppend("a/1", 0, (Ended(),))])
        monkeypatch.setattr(FileStore, "close", closing)
        monkeypatch.setattr(FileStore, reads, slow)
        if reads == "segments":
            await cancelled(slow, lambda: archive_log(log, 0))
        else:
            await cancelled(slow, lambda: export_log(path, write))

    assert closed == [True]
