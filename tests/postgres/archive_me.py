"""Archives a log in PostgreSQL in processes, each killed one step later than the last.

    python archive_me.py SERVER SCHEMA

A step is a statement of the transaction that moves events, or the wait for its answers.
After each kill every event must be in one place. Prints how many were killed.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from threading import get_ident
from typing import Any

import psycopg

from dramaturg.events.log.archive import Archive
from dramaturg.events.log.archive.archiving import archive_log
from dramaturg.events.log.postgres import PostgresLog
from dramaturg.events.log.postgres.removing import GroupRemovals
from dramaturg.events.log.postgres.schema import connect
from dramaturg.events.log.postgres.segments import SegmentTable
from dramaturg.events.log.postgres.store import PostgresStore
from dramaturg.events.log.stored import LAST
from dramaturg.events.registry import Registry

Act = Callable[["psycopg.Connection[Any]"], None]
Patch = Callable[[Any, str, Any], None]


class Steps:
    """Acts before the nth step of a transaction that moves events."""

    def __init__(self, act: Act) -> None:
        self.left = 0
        self._act = act
        self._writer: int | None = None
        """The thread that moves events now."""
        self._db: psycopg.Connection[Any] | None = None

    def install(self, patch: Patch) -> None:
        begin, execute = GroupRemovals.__init__, psycopg.Connection.execute
        leave = psycopg.Pipeline.__exit__

        def begins(group: GroupRemovals, removals: Any, appends: Any) -> None:
            self._writer = get_ident() if removals else None
            begin(group, removals, appends)

        def executes(db: Any, *args: Any, **options: Any) -> Any:
            if get_ident() == self._writer:
                self._db = db
                self._step()
            return execute(db, *args, **options)

        def leaves(*args: Any) -> None:
            if get_ident() == self._writer:
                self._step()
            leave(*args)

        patch(GroupRemovals, "__init__", begins)
        patch(psycopg.Connection, "execute", executes)
        patch(psycopg.Pipeline, "__exit__", leaves)

    def _step(self) -> None:
        self.left -= 1
        if self.left == 0 and self._db is not None:
            self._writer = None
            self._act(self._db)


def places(server: str, schema: str) -> tuple[list[int], list[int]]:
    """Return the positions that stand in the table, and those in segments."""
    with closing(PostgresStore(server, schema=schema)) as store:
        rows = store.query("SELECT position FROM events ORDER BY position")
        archive = Archive(SegmentTable(store.name, store.query))
        archive.update(store.segments())
        archived = [row.position for row in archive.rows(0, LAST, 10**6)]
        return [position for (position,) in rows], archived


async def archive(server: str, schema: str) -> None:
    async with PostgresLog(server, Registry([]), schema=schema) as log:
        await archive_log(log, 0)


def killed(server: str, schema: str, step: int) -> bool:
    """Archive in a child, killed before a step; tell whether it came so far."""
    child = os.fork()
    if not child:
        steps = Steps(lambda _: os.kill(os.getpid(), signal.SIGKILL))
        steps.install(setattr)
        steps.left = step
        asyncio.run(archive(server, schema))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status in {0, signal.SIGKILL}, status
    with connect(server, schema) as db:
        db.execute("DELETE FROM nodes")  # its lease is over
    return status != 0


def main(server: str, schema: str) -> None:
    table, none = places(server, schema)
    assert not none
    step = 0
    while True:
        step += 1
        was_killed = killed(server, schema, step)
        left, archived = places(server, schema)
        assert sorted([*left, *archived]) == [*range(1, left[-1] + 1)], step
        if not was_killed or archived:
            assert left[-1] == table[-1] + 1, step
            sys.stdout.write(f"{step - 1}\n")
            return
        assert left == table, step


if __name__ == "__main__":
    main(*sys.argv[1:])
