"""The log in a file keeps the contract, and what only a file can keep."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from dramaturg.events.log import EventLog
from dramaturg.events.log.sqlite import SqliteLog

from .contract import LogContract
from .vocabulary import REGISTRY


class SqliteEngine:
    def __init__(self, path: Path) -> None:
        self.now_us = 1_000
        self._path = path

    def open(
        self, *, unwritten_max: int = 1000
    ) -> AbstractAsyncContextManager[EventLog]:
        return SqliteLog(
            self._path,
            REGISTRY,
            node="n1",
            unwritten_max=unwritten_max,
            now_us=lambda: self.now_us,
        )


class TestSqliteLog(LogContract):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> SqliteEngine:
        return SqliteEngine(tmp_path / "log.db")
