"""Fills the disk under a log, makes room again, and prints what became of it.

    python full_disk.py FOLDER [limit]

Run as a process of its own: FOLDER is a small tmpfs, or `limit` limits the size of
this process's files.
"""

import asyncio
import json
import resource
import sys
from pathlib import Path

from dramaturg.events import Event, Registry
from dramaturg.events.log import Context, LogUnavailableError, StreamAppend
from dramaturg.events.log.sqlite import SqliteLog


class Filled(Event, tag="test.filled"):
    text: str


HARD = resource.getrlimit(resource.RLIMIT_FSIZE)[1]


def fill(folder: Path, *, limited: bool) -> None:
    if limited:
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, HARD))
    else:
        (folder / "ballast").write_bytes(bytes(500_000))


def make_room(folder: Path, *, limited: bool) -> None:
    if limited:
        resource.setrlimit(resource.RLIMIT_FSIZE, (HARD, HARD))
    else:
        (folder / "ballast").unlink()


async def main(folder: Path, *, limited: bool) -> dict[str, object]:
    registry = Registry([Filled])
    acknowledged = 0
    message = ""
    again = asyncio.Event()
    async with SqliteLog(folder / "log.db", registry, retry_s=(0.01, 0.05)) as log:

        async def append(version: int) -> int:
            event = Filled("x" * 1000)
            appended = await log.append(
                [StreamAppend("a/1", version, (event,))], Context(1)
            )
            return appended.position

        log.on_availability(lambda available: again.set() if available else None)
        fill(folder, limited=limited)
        try:
            while acknowledged < 5000:
                await append(acknowledged)
                acknowledged += 1
        except LogUnavailableError as error:
            message = str(error)
        make_room(folder, limited=limited)
        await again.wait()
        versions = [r.version for r in await log.read_stream("a/1")]
        position = await append(len(versions))
        return {
            "acknowledged": acknowledged,
            "message": message,
            "versions": versions,
            "position": position,
            "epoch": log.epoch,
        }


if __name__ == "__main__":
    report = asyncio.run(main(Path(sys.argv[1]), limited="limit" in sys.argv))
    sys.stdout.write(json.dumps(report))
