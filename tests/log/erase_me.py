"""Erases an owner from copies of a log, each killed one step later than the one before.

    python erase_me.py FOLDER COPIES

A step is an fsync, a write to the key file, a deletion or a statement of the writer.
After each kill the log must be sound, and erasing again must finish. Prints how many
were killed.
"""

import asyncio
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dramaturg.events import Registry
from dramaturg.events.log.encryption import Keyring
from dramaturg.events.log.encryption.erasing import Erasure, erase_owner
from dramaturg.events.log.encryption.event import EVENTS, STREAM
from dramaturg.events.log.reader import LogReader
from dramaturg.events.log.sqlite import SqliteLog
from dramaturg.events.log.verify import verify


class Steps:
    """Kills this process before its nth step."""

    left = 10**9

    def before(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **kwargs: Any) -> Any:
            self.step()
            return call(*args, **kwargs)

        return stepped

    def step(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


STEPS = Steps()


class Connection(sqlite3.Connection):
    def execute(self, *args: Any) -> sqlite3.Cursor:
        STEPS.step()
        return super().execute(*args)


async def erase(folder: Path, step: int = 10**9) -> Erasure:
    keys = Keyring(folder / "keys.jsonl")
    async with SqliteLog(
        folder / "log.db", Registry([]), seals=None, keyring=keys, connection=Connection
    ) as log:
        STEPS.left = step
        return await erase_owner(
            log,
            keys,
            "ann",
            reason="she asked",
            by="tester",
            artifacts=folder / "artifacts",
            folder=folder,
        )


def killed(folder: Path, step: int) -> bool:
    """Erase in a child, killed before a step; tell whether it came so far."""
    child = os.fork()
    if not child:
        os.fsync = STEPS.before(os.fsync)
        os.pwrite = STEPS.before(os.pwrite)
        Path.unlink = STEPS.before(Path.unlink)  # type: ignore[method-assign] # a spy
        asyncio.run(erase(folder, step))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status in {0, signal.SIGKILL}, status
    return status != 0


def main(folder: Path, copies: Path) -> None:
    step = 0
    while True:
        step += 1
        copy = copies / str(step)
        shutil.copytree(folder, copy)
        was_killed = killed(copy, step)
        report = verify(copy / "log.db")
        assert report.ok, (step, report.damages)
        done = asyncio.run(erase(copy))
        assert done.ok, (step, done)
        assert verify(copy / "log.db").ok, step
        keys = Keyring(copy / "keys.jsonl")
        with LogReader(copy / "log.db", Registry(EVENTS), keys) as reader:
            said = [recorded.event.tag for recorded in reader.read_stream(STREAM)]
        assert said == ["log.erasing", "log.erased"], (step, said)
        assert not list((copy / "artifacts").rglob("*/*")), step
        shutil.rmtree(copy)
        if not was_killed:
            sys.stdout.write(f"{step - 1}\n")
            return


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
