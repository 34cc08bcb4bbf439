"""A node's sign of life, and its ear for what other nodes tell."""

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from .claims import terminate_overdue
from .connection import Connection

RENEWALS = 3
"""So often a lease is renewed while it lasts."""

_LOOK_EVERY_S = 0.5
"""How long a lease that ends may be waited for, if it hears nothing."""

# One that is over and that nobody has fenced is as good as ever. What this node wrote
# last its writer tells of, after those who wait for it, and with it all before; a
# header's text is the first in which `"epoch":` can stand.
_RENEW = """
UPDATE nodes SET expires = clock_timestamp() + make_interval(secs => %s)
WHERE epoch = %s RETURNING (
    SELECT position FROM events WHERE position = (SELECT next_position - 1 FROM meta)
    AND substring(state FROM '"epoch":([0-9]+)') IS DISTINCT FROM nodes.epoch::text
)
"""


class Heard(NamedTuple):
    """What a lease calls, from its thread."""

    committed: Callable[[int], None]
    """With the last position, of what another node committed."""
    freed: Callable[[], None]
    """Another node has given up something that it had claimed."""
    lost: Callable[[], None]
    """The lease is not renewed any more."""


class Lease:
    """Renews the lease of an epoch, and hears what nodes tell each other, in a thread.

    At each renewal it looks at the log's last event, so that a notice that was lost
    is made up for in a third of `lease_s`.
    """

    def __init__(
        self, db: Connection, channel: str, epoch: int, lease_s: float, heard: Heard
    ) -> None:
        self.lost = False
        self._db = db
        self._channel = channel
        self._epoch = epoch
        self._lease_s = lease_s
        self._heard = heard
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"dramaturg-lease {epoch}", daemon=True
        )

    def start(self) -> None:
        """Listen from now on, and live. Raises `psycopg.Error`."""
        channel = sql.Identifier(self._channel)
        try:
            self._db.execute(sql.SQL("LISTEN {}").format(channel))
        except psycopg.Error:
            self._db.close()
            raise
        self._thread.start()

    def stop(self) -> None:
        """Have the thread end when it hears the next notice, or soon."""
        self._stopping.set()

    def join(self) -> None:
        """Wait for its end, unless it waits for a silent server."""
        if self._thread.is_alive():
            self._thread.join(self._lease_s)

    def _run(self) -> None:
        try:
            with self._db:
                self._keep()
        except (psycopg.Error, OSError):
            self._lose()  # nothing is heard any more, and soon it will be over

    def _keep(self) -> None:
        while not self._stopping.is_set():
            until_s = time.monotonic() + self._lease_s / RENEWALS
            if not self._renewed():
                self._lose()
                return
            while not self._stopping.is_set() and time.monotonic() < until_s:
                self._hear(min(_LOOK_EVERY_S, max(0.0, until_s - time.monotonic())))

    def _hear(self, timeout_s: float) -> None:
        """Pass on what other nodes tell of, one call for all that came together."""
        last, freed = 0, False
        for notice in self._db.notifies(timeout=timeout_s, stop_after=1):
            epoch, _, position = notice.payload.partition(":")
            if epoch == str(self._epoch):
                continue
            if position:
                last = max(last, int(position))
            else:
                freed = True
        if last:
            self._heard.committed(last)
        if freed:
            self._heard.freed()

    def _renewed(self) -> bool:
        """Renew the lease, and look at the last event in case some news was lost."""
        terminate_overdue(self._db, self._epoch)
        row: Any = self._db.execute(_RENEW, (self._lease_s, self._epoch)).fetchone()
        if row is None:
            return False
        if row[0] is not None:
            self._heard.committed(row[0])
        return True

    def _lose(self) -> None:
        if not self._stopping.is_set():
            self.lost = True
            self._heard.lost()
