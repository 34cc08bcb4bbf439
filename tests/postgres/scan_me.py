"""Reads a log again and again until it is told to stop, and looks for what is missing.

    python scan_me.py SERVER SCHEMA EVENTS

It prints a line when it begins, and at the end how often it has read all.
"""

import json
import select
import sys

from dramaturg.events.log.postgres import PostgresReader
from dramaturg.events.registry import Registry


def main(server: str, schema: str, events: str) -> None:
    wanted = [*range(1, int(events) + 1)]
    scans, stopping = 0, False
    with PostgresReader(server, Registry([]), schema=schema) as reader:
        sys.stdout.write("begun\n")
        sys.stdout.flush()
        while not stopping:
            stopping = bool(select.select([sys.stdin], [], [], 0)[0])
            found: list[int] = []
            while page := reader.read(len(found), len(wanted), limit=7):
                found += [recorded.position for recorded in page]
            assert found == wanted
            for head in reader.streams("a/"):
                assert len(reader.read_stream(head.stream)) == head.version
            scans += 1
    sys.stdout.write(json.dumps({"scans": scans}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
