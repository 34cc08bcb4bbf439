"""Appends for ever and prints what was acknowledged, to be killed at any moment.

    python kill_me.py LOG

Every line is a stream, a version and the position that it was acknowledged at.
"""

import asyncio
import os
import sys

from dramaturg.events import Event, Registry
from dramaturg.events.log import Context, StreamAppend
from dramaturg.events.log.sqlite import SqliteLog


class Stepped(Event, tag="test.stepped"):
    text: str


async def main(path: str) -> None:
    async with SqliteLog(path, Registry([Stepped])) as log:
        os.write(1, b"open\n")

        async def work(stream: str) -> None:
            head = await log.head(stream)
            version = head.version if head else 0
            while True:
                event = Stepped("x" * (version % 700))
                both = [
                    StreamAppend(stream, version, (event, event)),
                    StreamAppend(f"{stream}/twin", version, (event, event)),
                ]
                appended = await log.append(both, Context(1))
                version += 2
                line = f"{stream} {version} {appended.position + 3}\n"
                os.write(1, line.encode())

        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(work(f"a/{number}"))


def run(words: list[str]) -> None:
    asyncio.run(main(*words))


if __name__ == "__main__":
    run(sys.argv[1:])
