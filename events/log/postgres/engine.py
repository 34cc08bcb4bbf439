"""The server as a log's writing thread uses it: one epoch, kept alive by a lease."""

import contextlib
import threading
import time
from collections.abc import Callable

import psycopg
from psycopg import sql

from ..errors import LogError, LogUnavailableError
from .committer import PostgresCommitter
from .schema import Connection, connect, create

RENEWALS = 3
"""So often a lease is renewed while it lasts."""
_LOOK_EVERY_S = 0.1
"""How long a lease that ends may be waited for."""


class PostgresEngine:
    """One node's part in a log: its epoch, its lease and the connection that writes.

    `heard` is called, from a thread of its own, with the last position of each group
    that any node has committed, and without one when the lease was lost.
    """

    def __init__(  # noqa: PLR0913 - options by name
        self,
        conninfo: str,
        *,
        schema: str,
        node: str,
        lease_s: float,
        now_us: Callable[[], int],
        heard: Callable[[int | None], None],
    ) -> None:
        self.name = f"postgresql:{schema}"
        self.epoch = 0
        self.channel = f"dramaturg_{schema}"
        self._conninfo = conninfo
        self._schema = schema
        self._node = node
        self._lease_s = lease_s
        self._now_us = now_us
        self._heard = heard
        self._db: Connection | None = None
        self._lease: _Lease | None = None

    def lock(self) -> None:
        """Nothing: many nodes write, one after the other."""

    def unlock(self) -> None:
        """Nothing."""

    def open(self, acknowledged: int | None) -> PostgresCommitter:
        """Begin an epoch, and its lease. Raises `LogError`s and `psycopg.Error`."""
        del acknowledged  # the server's promises are its own
        db = self._db = connect(self._conninfo, self._schema)
        create(db, self._schema)
        # A node that is stopped in the middle of a group must not stop all others.
        limit_ms = str(round(self._lease_s * 1000))
        db.execute(
            "SELECT set_config('idle_in_transaction_session_timeout', %s, false)",
            (limit_ms,),
        )
        with db.transaction():
            # What this process left behind when it was cut off is not another's.
            db.execute("DELETE FROM nodes WHERE epoch = %s", (self.epoch,))
            row = db.execute("UPDATE meta SET epoch = epoch + 1 RETURNING epoch")
            (epoch,) = row.fetchone() or (0,)
            assert isinstance(epoch, int)
            db.execute(
                "INSERT INTO nodes VALUES (%s, %s, now() + make_interval(secs => %s))",
                (epoch, self._node, self._lease_s),
            )
        self.epoch = epoch
        lease = self._lease = _Lease(
            connect(self._conninfo, self._schema),
            epoch,
            self._lease_s,
            self.channel,
            self._heard,
        )
        lease.start()
        return PostgresCommitter(
            db,
            epoch,
            self._node,
            self._now_us,
            channel=self.channel,
            lost=lambda: lease.lost,
        )

    def close(self) -> None:
        """Give up the lease with all that was claimed, and close the connections."""
        if self._lease is not None:
            self._lease.stop()
            self._lease = None
        db, self._db = self._db, None
        if db is None:
            return
        with contextlib.suppress(psycopg.Error):
            if not db.closed:
                db.execute("ROLLBACK")
                db.execute("DELETE FROM nodes WHERE epoch = %s", (self.epoch,))
        db.close()

    def opening_error(self, error: Exception) -> Exception:
        """Return what to tell about a server that could not be reached."""
        if isinstance(error, LogError):
            return error
        said = " ".join(str(error).split())
        return LogUnavailableError(
            f"{self.name} cannot be opened: {said}; check the connection and that "
            "this role may create a schema",
        )


class _Lease:
    """Renews the lease of an epoch, and hears what nodes tell each other, in a thread."""

    def __init__(
        self,
        db: Connection,
        epoch: int,
        lease_s: float,
        channel: str,
        heard: Callable[[int | None], None],
    ) -> None:
        self.lost = False
        self._db = db
        self._epoch = epoch
        self._lease_s = lease_s
        self._channel = channel
        self._heard = heard
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"dramaturg-lease {epoch}", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread, which looks up now and then."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            with self._db:
                self._keep()
        except (psycopg.Error, OSError):
            self._lose()  # nothing is heard any more, and soon it will be over

    def _keep(self) -> None:
        self._db.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._channel)))
        while not self._stopping.is_set():
            if not self._renewed():
                self._lose()
                return
            until_s = time.monotonic() + self._lease_s / RENEWALS
            while not self._stopping.is_set() and time.monotonic() < until_s:
                self._hear(min(_LOOK_EVERY_S, max(0.0, until_s - time.monotonic())))

    def _hear(self, timeout_s: float) -> None:
        """Pass on the positions that other nodes tell of."""
        for notice in self._db.notifies(timeout=timeout_s, stop_after=1):
            epoch, _, position = notice.payload.partition(":")
            if epoch != str(self._epoch):
                self._heard(int(position))

    def _renewed(self) -> bool:
        """Renew the lease, and look at the position in case some news was lost."""
        renewed = self._db.execute(
            "UPDATE nodes SET expires = now() + make_interval(secs => %s) "
            "WHERE epoch = %s AND expires > now() "
            "RETURNING (SELECT next_position - 1 FROM meta)",
            (self._lease_s, self._epoch),
        ).fetchone()
        return renewed is not None

    def _lose(self) -> None:
        if not self._stopping.is_set():
            self.lost = True
            self._heard(None)
