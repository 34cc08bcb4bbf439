"""A node that writes of many owners, for each of whom a key has to be made.

python keyed.py SERVER SCHEMA KEYS NODE
"""

import asyncio
import sys
from pathlib import Path

from dramaturg.events import Event, Registry
from dramaturg.events.log import Context, StreamAppend
from dramaturg.events.log.encryption import Keyring
from dramaturg.events.log.postgres import PostgresLog

OWNERS = 12


class Written(Event, tag="keyed.written"):
    by: str


REGISTRY = Registry([Written])


async def main(server: str, schema: str, node: str, keyring: Keyring) -> None:
    async with PostgresLog(
        server, REGISTRY, schema=schema, node=node, keyring=keyring
    ) as log:
        for number in range(OWNERS):
            append = StreamAppend(f"person/{number}/{node}", 0, (Written(node),))
            await log.append([append], Context(at_us=1, owner=f"owner {number}"))


if __name__ == "__main__":
    database, name, keys, called = sys.argv[1:]
    asyncio.run(main(database, name, called, Keyring(Path(keys))))
