"""Archives copies of a log, each killed one step later than the one before.

    python archive_me.py LOG FOLDER

A step is an fsync, a rename, a deletion or a statement of the writer. After each kill
the log must hold what it held, and archiving must go on. Prints how many were killed.
"""

import asyncio
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from dramaturg.events import Registry
from dramaturg.events.log.archive.archiving import archive_log
from dramaturg.events.log.reader import LogReader
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.log.verify import verify

END = 38
"""The last position of the log; events of our own follow it."""


class Steps:
    """Kills this process before its nth step."""

    left = 10**9

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **kwargs: Any) -> Any:
            self.step()
            return call(*args, **kwargs)

        return stepped


STEPS = Steps()


class Connection(sqlite3.Connection):
    def execute(self, *args: Any) -> sqlite3.Cursor:
        STEPS.step()
        return super().execute(*args)

    def executemany(self, *args: Any) -> sqlite3.Cursor:
        STEPS.step()
        return super().executemany(*args)


async def archive(path: Path, step: int) -> None:
    async with SqliteLog(path, Registry([]), seals=None, connection=Connection) as log:
        STEPS.left = step
        await archive_log(log, 0)


def killed(path: Path, step: int) -> bool:
    """Archive in a child, killed before a step; tell whether it came so far."""
    child = os.fork()
    if not child:
        os.fsync = STEPS.before(os.fsync)
        Path.rename = STEPS.before(Path.rename)  # type: ignore[method-assign] # a spy
        Path.unlink = STEPS.before(Path.unlink)  # type: ignore[method-assign] # a spy
        asyncio.run(archive(path, step))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status in {0, signal.SIGKILL}, status
    return status != 0


def contents(path: Path) -> bytes:
    report = verify(path)
    assert report.ok, report.damages
    with LogReader(path, Registry([])) as reader:
        rows = [row[:7] for row in reader.stored.page(0, END, END)]
        return sha256(repr(rows).encode()).digest()


def main(path: Path, folder: Path) -> None:
    before = contents(path)
    step = 0
    while True:
        step += 1
        copy = folder / str(step)
        copy.mkdir()
        shutil.copyfile(path, copy / "log.db")
        was_killed = killed(copy / "log.db", step)
        assert contents(copy / "log.db") == before, step
        assert not killed(copy / "log.db", 10**9)
        assert contents(copy / "log.db") == before, step
        with LogReader(copy / "log.db", Registry([])) as reader:
            named = [segment.segment for segment in reader.stored.segments()]
        assert named, step
        assert [p.name for p in (copy / "log.db-segments").iterdir()] == named, step
        shutil.rmtree(copy)
        if not was_killed:
            sys.stdout.write(f"{step - 1}\n")
            return


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
