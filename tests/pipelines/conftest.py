"""Pipelines over a log in memory are tested in virtual time, those on a disk in real."""

import asyncio
from collections.abc import Callable

import pytest

from dramaturg.testing import SeededLoop

ON_DISK = {"test_freed", "test_killed", "test_on_disk"}


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.path.stem in ON_DISK:
        return {"asyncio": asyncio.new_event_loop}
    return {"seeded": lambda: SeededLoop(None)}
