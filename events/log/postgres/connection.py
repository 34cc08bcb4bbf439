"""A connection that does not wait for a server for ever."""

import time
from typing import TypeVar

import psycopg
from psycopg.abc import PQGen

RV = TypeVar("RV")

_LOOK_S = 0.1
"""So often a wait looks whether it was interrupted."""


class Connection(psycopg.Connection[tuple[object, ...]]):
    """A connection that ends when a statement has had no answer for `answer_s`.

    Keepalives do not notice a server, or something on the way to it, that is stopped
    while its machine still acknowledges what comes.
    """

    answer_s: float | None = None
    """None: it waits as long as it takes, as befits tools that read all of a log."""

    def wait(
        self, gen: PQGen[RV], interval: float = _LOOK_S, timeout: float | None = None
    ) -> RV:
        """Wait for the server, as psycopg's own connection does."""
        if timeout is not None or self.answer_s is None:
            return super().wait(gen, interval, timeout)
        until_s = time.monotonic() + self.answer_s
        try:
            return super().wait(gen, interval, self.answer_s)
        except psycopg.OperationalError as error:
            if time.monotonic() < until_s or self.pgconn.socket < 0:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(
                f"the server has not answered for {self.answer_s:g} s",
            ) from error
