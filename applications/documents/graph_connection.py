"""One connection to a ladybug database: statements, transactions, errors told apart."""

import contextlib
import os
import re
import shutil
from collections.abc import Generator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ladybug
import msgspec
import structlog

from ...events.durable import sync_folder
from .errors import GraphError, GraphUnavailableError

Parameters = Mapping[str, Any]

BUFFER_BYTES = 256 * 1024 * 1024
"""What the database may keep in memory; its own default is most of the machine."""
SIZE_BYTES_MAX = 64 * 1024 * 1024 * 1024
"""Address space reserved for the file; the default of 8 TB fails in small containers."""
CHECKPOINT_BYTES = 4 * 1024 * 1024
"""The log of the database is folded into its file at this size."""

_OURS = ("Parser exception", "Binder exception", "Catalog exception", "Conversion")
_READ_ONLY = "read-only"
_LOCKED = re.compile(r"Lock is held by PID (\d+)")


_TORN = re.compile(
    r"Checksum verification failed, the WAL|Reading past the end of .*\.wal"
)

_log = structlog.get_logger(__name__)


class Rows(msgspec.Struct, frozen=True, gc=False):
    """The answer to a question: names of columns, and rows of plain values."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    more: bool = False
    """There were more rows than were asked for."""


class GraphConnection:
    """A database and one connection to it, for one thread. Blocks.

    Raises `GraphUnavailableError` for what may go away by itself, and `GraphError`
    for wrong statements and files that are no graph.
    """

    def __init__(
        self, path: Path, *, statement_timeout_s: float, read_only: bool = False
    ) -> None:
        self._path = path
        if not read_only:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._database = _opened(path, read_only=read_only)
            self._connection = ladybug.Connection(self._database, num_threads=1)
            self._connection.set_query_timeout(int(statement_timeout_s * 1000))
        except RuntimeError as error:
            raise self._refusal(error) from error

    def run(
        self, cypher: str, parameters: Parameters | None = None
    ) -> list[tuple[Any, ...]]:
        """Run one statement of our own and return all its rows."""
        return list(self.query(cypher, parameters, rows_max=1_000_000).rows)

    def query(
        self, cypher: str, parameters: Parameters | None = None, *, rows_max: int
    ) -> Rows:
        """Run one statement and return at most `rows_max` of its rows."""
        try:
            result = self._connection.execute(cypher, dict(parameters or {}))
            if isinstance(result, list):
                for each in result:
                    each.close()
                raise GraphError("several statements at once: give one at a time")
            try:
                rows: list[tuple[Any, ...]] = []
                while result.has_next() and len(rows) < rows_max:
                    rows.append(tuple(result.get_next()))
                columns = tuple(result.get_column_names())
                return Rows(columns, tuple(rows), result.has_next())
            finally:
                result.close()
        except RuntimeError as error:
            raise self._translated(error) from error

    @contextlib.contextmanager
    def transaction(self) -> Generator[None]:
        """Commit what is run inside, wholly or not at all."""
        self.run("BEGIN TRANSACTION")
        try:
            yield
        except BaseException:
            self._roll_back()
            raise
        self.run("COMMIT")

    def close(self) -> None:
        """Close the connection and let others have the file."""
        self._connection.close()
        self._database.close()

    def _roll_back(self) -> None:
        # A statement that fails has ended its transaction by itself.
        with contextlib.suppress(GraphError, GraphUnavailableError):
            self.run("ROLLBACK")

    def _translated(self, error: RuntimeError) -> GraphError | GraphUnavailableError:
        message = " ".join(str(error).split())
        if message.startswith(_OURS):
            return GraphError(f"the graph refuses the statement: {message}")
        if _READ_ONLY in message:
            return GraphError("the graph is open for reading only: ask, do not change")
        if message.startswith("Interrupted"):
            return GraphUnavailableError("the graph took too long and was interrupted")
        return GraphUnavailableError(f"the graph at {self._path} failed: {message}")

    def _refusal(self, error: RuntimeError) -> GraphError | GraphUnavailableError:
        """Say why the database cannot be opened."""
        message = " ".join(str(error).split())
        locked = _LOCKED.search(message)
        if locked:
            return GraphUnavailableError(
                f"{self._path} is in use by process {locked[1]}: stop it first"
            )
        if "not a valid" in message:
            return GraphError(
                f"{self._path} is no graph: restore it from a backup, or ingest into "
                "another data folder",
            )
        return GraphUnavailableError(
            f"{self._path} cannot be opened by process {os.getpid()}: {message}"
        )


def torn_wal(path: Path) -> Path:
    """Return where the log of the graph at `path` is kept that had a torn end."""
    return path.with_name(f"{path.name}.wal.torn")


def _opened(path: Path, *, read_only: bool) -> ladybug.Database:
    """Open the database; if the end of its log is torn, without what was not committed.

    A crash or a full disk in the middle of a commit leaves half of its record, which the
    database refuses as it would refuse damage. Since from outside they look the same,
    what there was is kept (`torn_wal`), until somebody has seen that nothing is
    missing. Raises `RuntimeError`.
    """
    open_database = partial(
        ladybug.Database,
        str(path),
        buffer_pool_size=BUFFER_BYTES,
        max_num_threads=1,
        max_db_size=SIZE_BYTES_MAX,
        checkpoint_threshold=CHECKPOINT_BYTES,
        read_only=read_only,
    )
    try:
        return open_database()
    except RuntimeError as error:
        if read_only or not _TORN.search(str(error)):
            raise
        _log.warning("graph.log_torn", path=str(path), error=str(error))
    kept = torn_wal(path)
    if not kept.exists():
        part = kept.with_suffix(".part")
        shutil.copyfile(path.with_name(f"{path.name}.wal"), part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.rename(kept)
        sync_folder(kept.parent)
    return open_database(throw_on_wal_replay_failure=False)
