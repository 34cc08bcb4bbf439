"""Connections that fail when a test says so."""

import sqlite3
import threading
from typing import Any

CODES = {
    "SQLITE_FULL": (sqlite3.SQLITE_FULL, "database or disk is full"),
    "SQLITE_IOERR_FSYNC": (sqlite3.SQLITE_IOERR_FSYNC, "disk I/O error"),
    "SQLITE_BUSY": (sqlite3.SQLITE_BUSY, "database is locked"),
}


class Faults:
    """Statements that fail, by how they begin, until told otherwise."""

    def __init__(self) -> None:
        self._failing: dict[str, tuple[str, bool]] = {}
        self.reached = threading.Event()
        """Set when a statement has come to the gate."""
        self.gate = threading.Event()
        """Failing statements wait for it."""
        self.gate.set()
        self.tried_again = threading.Event()
        """Set when statements have failed four times."""
        self._count = 0
        self.connection = _connection(self)

    def fail(self, statement: str, name: str, *, written: bool = False) -> None:
        """Let statements that begin so fail, after they took effect if `written`."""
        self._failing[statement] = (name, written)

    def mend(self) -> None:
        """Let everything work again."""
        self._failing = {}  # another one: the writer's thread may be going through it

    def of(self, statement: str) -> tuple[sqlite3.Error, bool] | None:
        for start, (name, written) in self._failing.items():
            if statement.startswith(start):
                self._count += 1
                if self._count == 4:
                    self.tried_again.set()
                self.reached.set()
                self.gate.wait(20)
                code, message = CODES[name]
                error = sqlite3.OperationalError(message)
                error.sqlite_errorname = name
                error.sqlite_errorcode = code
                return error, written
        return None


def _connection(faults: Faults) -> type[sqlite3.Connection]:
    class FaultyConnection(sqlite3.Connection):
        def execute(self, sql: str, /, *values: Any) -> sqlite3.Cursor:
            fault = faults.of(sql)
            if fault is None:
                return super().execute(sql, *values)
            error, written = fault
            if written:
                super().execute(sql, *values)
            raise error

    return FaultyConnection
