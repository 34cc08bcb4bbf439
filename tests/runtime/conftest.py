"""Every test of the runtime runs on asyncio's loop and on uvloop's."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

import pytest
import uvloop

from dramaturg.events import Registry
from dramaturg.events.log import EventLog
from dramaturg.events.log.memory import MemoryLog
from dramaturg.events.log.sqlite import SqliteLog

from .actors import REGISTRY


def pytest_asyncio_loop_factories() -> dict[
    str, Callable[[], asyncio.AbstractEventLoop]
]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Logs(Protocol):
    """Opens one log, and opens it again when it was closed."""

    def open(self) -> AbstractAsyncContextManager[EventLog]: ...


class InMemory:
    def __init__(self) -> None:
        self._log: MemoryLog | None = None

    def open(self) -> AbstractAsyncContextManager[EventLog]:
        log = MemoryLog(REGISTRY) if self._log is None else self._log.reopened()
        self._log = log
        return log


class OnDisk:
    def __init__(self, path: Path, registry: Registry) -> None:
        self._path = path
        self._registry = registry

    def open(self) -> AbstractAsyncContextManager[EventLog]:
        return SqliteLog(self._path, self._registry)


@pytest.fixture(params=["memory", "sqlite"])
def logs(request: pytest.FixtureRequest, tmp_path: Path) -> Logs:
    return (
        InMemory()
        if request.param == "memory"
        else OnDisk(tmp_path / "log.sqlite", REGISTRY)
    )
