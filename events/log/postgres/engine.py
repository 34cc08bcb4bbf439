"""The server as a log's writing thread uses it: one epoch, kept alive by a lease."""

import contextlib
import time
from collections import deque
from collections.abc import Callable

import psycopg

from ..archive.removal import Removals
from ..errors import LogError, LogUnavailableError
from ..lull import Lull
from .claims import freed, terminate_overdue
from .committer import PostgresCommitter
from .connection import Connection
from .lease import Heard, Lease
from .schema import FORMAT, check_again, connect, create

# What this process left behind when it was cut off is not another's: it is ended
# here, even if the server has not noticed yet.
_TERMINATE = """
SELECT pg_terminate_backend(a.pid) FROM nodes n
JOIN pg_stat_activity a ON a.pid = n.pid AND a.backend_start = n.started
WHERE n.epoch = %s
"""
_PATIENCE = "SET LOCAL lock_timeout = '500ms'"
_ENTER = """
INSERT INTO nodes
SELECT %s, %s, clock_timestamp() + make_interval(secs => %s), pid, backend_start, %s
FROM pg_stat_activity WHERE pid = pg_backend_pid()
"""

_ANSWER_S = 5.0
"""The least time that the server has for an answer. Twice a lease it has in any case:
who waits for another node's group waits until that node's lease is over."""


class PostgresEngine:
    """One node's part in a log: its epoch, its lease and the connection that writes."""

    def __init__(  # noqa: PLR0913 - options by name
        self,
        conninfo: str,
        *,
        schema: str,
        node: str,
        lease_s: float,
        now_us: Callable[[], int],
        heard: Heard,
        encrypts: bool,
    ) -> None:
        self.name = f"postgresql:{schema}"
        self.lull = Lull()
        self.removals: Removals = deque()
        self.epoch = 0
        self.channel = f"dramaturg_{schema}"
        self._conninfo = conninfo
        self._schema = schema
        self._node = node
        self._lease_s = lease_s
        self._answer_s = max(_ANSWER_S, 2 * lease_s)
        self._now_us = now_us
        self._heard = heard
        self._encrypts = encrypts
        """Whether what it is given is encrypted already; else an encrypted log is none
        of this node's, from the moment on at which another makes it one."""
        self._db: Connection | None = None
        self._lease: Lease | None = None

    def lock(self) -> None:
        """Nothing: many nodes write, one after the other."""

    def unlock(self) -> None:
        """Nothing."""

    def open(self, acknowledged: int | None) -> PostgresCommitter:
        """Begin an epoch, and its lease. Raises `LogError`s and `psycopg.Error`."""
        self.removals.clear()  # they were refused with their appends
        db = self._db = self._connect()
        if acknowledged is None:
            create(db, self._schema)
        else:
            check_again(db, self._schema, acknowledged)
        db.execute(_TERMINATE, (self.epoch,))
        self.epoch = epoch = self._begun(db)
        lease = self._lease = Lease(
            self._connect(), self.channel, epoch, self._lease_s, self._heard
        )
        lease.start()
        return PostgresCommitter(
            db,
            epoch,
            self._node,
            self._now_us,
            channel=self.channel,
            lost=lambda: lease.lost,
            encrypts=self._encrypts,
            lull=self.lull,
            removals=self.removals,
        )

    def _begun(self, db: Connection) -> int:
        """Enter the log and return the epoch.

        A node that stopped in the middle of a group holds the lock of its end, and
        perhaps no other is there to end that when its lease is over.
        """
        until_s = time.monotonic() + self._answer_s
        while True:
            terminate_overdue(db, self.epoch)
            try:
                return self._entered(db)
            except psycopg.errors.LockNotAvailable:
                if time.monotonic() >= until_s:
                    raise

    def _entered(self, db: Connection) -> int:
        with db.transaction():
            db.execute(_PATIENCE)
            # In the order in which a committer takes its locks.
            row = db.execute("UPDATE meta SET epoch = epoch + 1 RETURNING epoch")
            (epoch,) = row.fetchone() or (0,)
            assert isinstance(epoch, int)
            db.execute("DELETE FROM nodes WHERE epoch = %s", (self.epoch,))
            db.execute(_ENTER, (epoch, self._node, self._lease_s, FORMAT))
        return epoch

    def close(self) -> None:
        """Give up the lease with all that was claimed, and close the connections."""
        lease, self._lease = self._lease, None
        if lease is not None:
            lease.stop()
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(psycopg.Error):
                self._leave(db)
            db.close()
        if lease is not None:
            lease.join()

    def _leave(self, db: Connection) -> None:
        db.rollback()
        with db.transaction():
            db.execute("DELETE FROM nodes WHERE epoch = %s", (self.epoch,))
            db.execute("SELECT pg_notify(%s, %s)", (self.channel, freed(self.epoch)))

    def _connect(self) -> Connection:
        """Open a connection that does not keep other nodes from going on for long."""
        return connect(
            self._conninfo,
            self._schema,
            name=self._node,
            patience_s=self._lease_s,
            answer_s=self._answer_s,
        )

    def opening_error(self, error: Exception) -> Exception:
        """Return what to tell about a server that could not be reached."""
        if isinstance(error, LogError):
            return error
        said = " ".join(str(error).split())
        return LogUnavailableError(
            f"{self.name} cannot be opened: {said}; check the connection and that "
            "this role may create a schema",
        )
