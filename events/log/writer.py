"""The one thread that writes a log."""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import PurePath
from typing import NamedTuple

import msgspec
import structlog

from .api import Snapshot
from .engine import Committer, Engine
from .errors import LogError, LogUnavailableError, OutcomeUnknownError
from .outcomes import Outcome
from .pending import Pending

GROUP_MAX = 4096
"""So many events share a transaction, unless one tick of the loop has more."""

_log = structlog.get_logger()


class Work(msgspec.Struct):
    """What the loop hands over at the end of a tick."""

    appends: list[Pending]
    snapshots: list[Snapshot]
    size: int
    """How many events the appends have."""
    decisions: int = 0
    """How many decisions share them."""


class Token(Enum):
    """What else comes through the queue."""

    HEARD = "the loop knows of the failure and queues nothing more"
    STOP = "write what is queued, then end"


class LoopSide(NamedTuple):
    """What the writer calls, always on the loop."""

    opened: Callable[[int, int], None]
    """With epoch and position: the log can be written, for the first time or again."""
    not_opened: Callable[[Exception], None]
    """The log could not be opened at the first try."""
    committed: Callable[[Sequence[Outcome], int, int, int, Sequence[bytes]], None]
    """A group is durable: outcomes, number of events and of decisions, last position,
    digests."""
    failed: Callable[[LogError], None]
    """The log cannot be written; to be answered with `Token.HEARD`."""
    refused: Callable[[Sequence[Outcome], int], None]
    """With outcomes and number of events: appends of a failed epoch."""
    ended: Callable[[], None]
    """The file is closed and its lock released."""


class Writer:
    """Drains a queue of appends into a store, a group at a time.

    A group is what was queued while the one before it was written; there is no timer.
    The loop is woken once per group. When the disk fails, everything queued is
    refused, all connections are closed, and the store is opened again and again, with
    growing pauses, until it can be written.
    """

    def __init__(
        self,
        engine: Engine,
        side: LoopSide,
        loop: asyncio.AbstractEventLoop,
        close_readers: Callable[[], None],
        retry_s: tuple[float, float],
    ) -> None:
        self._engine = engine
        self._side = side
        self._loop = loop
        self._close_readers = close_readers
        self._retry_s = retry_s
        self._acknowledged: int | None = None
        self._pause_s = retry_s[0]
        self._stopping = False
        self._queue: queue.SimpleQueue[Work | Token] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._run,
            name=f"dramaturg-log {PurePath(engine.name).name}",
            daemon=True,
        )
        self.put = self._queue.put
        self.start = self._thread.start
        self.join = self._thread.join

    def _run(self) -> None:
        committer: Committer | None = None
        try:
            self._engine.lock()
            committer = self._open()
        except Exception as error:  # noqa: BLE001 - told to whoever opens the log
            self._tell(self._side.not_opened, self._engine.opening_error(error))
        while committer is not None:
            committer = self._turn(committer)
        self._close()
        self._engine.unlock()
        self._tell(self._side.ended)

    def _open(self) -> Committer:
        """Open the store, begin an epoch and tell the loop of it."""
        try:
            committer = self._engine.open(self._acknowledged)
        except BaseException:
            self._close()
            raise
        self._acknowledged = committer.position
        self._tell(self._side.opened, committer.epoch, committer.position)
        return committer

    def _close(self) -> None:
        """Close every connection, as a failed fsync demands."""
        self._close_readers()
        self._engine.close()

    def _turn(self, committer: Committer) -> Committer | None:
        """Write one group; return who writes the next, None at the end."""
        if self._stopping:
            return None
        work = self._next()
        try:
            if work.appends or work.snapshots:
                outcomes = committer.commit(work.appends, work.snapshots)
                self._acknowledged = committer.position
                self._pause_s = self._retry_s[0]
                self._tell(
                    self._side.committed,
                    outcomes,
                    work.size,
                    work.decisions,
                    committer.position,
                    committer.digests,
                )
                work = Work([], [], 0)
                committer.rest(idle=self._queue.empty())
            elif not self._stopping:
                committer.rest(idle=False)  # somebody wants it to look around
        except Exception as error:  # noqa: BLE001 - nobody else would answer the appends
            return self._survive(error, work)
        return committer

    def _next(self) -> Work:
        """Wait for work, and take what else is queued up to the limit of a group."""
        work = Work([], [], 0)
        item = self._queue.get()
        while isinstance(item, Work):
            work.appends += item.appends
            work.snapshots += item.snapshots
            work.size += item.size
            work.decisions += item.decisions
            if work.size >= GROUP_MAX:
                return work
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return work
        self._stopping = True
        return work

    def _survive(self, error: Exception, work: Work) -> Committer | None:
        """Refuse all that is queued, then open the file again, for as long as it takes.

        Returns None when the log is closed meanwhile.
        """
        if not isinstance(error, LogUnavailableError):
            error = OutcomeUnknownError(f"the log's writer failed: {error!r}")
        _log.error("log.failed", log=self._engine.name, error=str(error))
        self._tell(self._side.failed, error)
        self._refuse(work, error)
        self._close()
        unwritten = LogUnavailableError(str(error))
        while not self._stopping:
            item = self._queue.get()
            if isinstance(item, Work):
                self._refuse(item, unwritten)
            elif item is Token.HEARD:
                return self._reopen()
            else:
                self._stopping = True
        return None

    def _refuse(self, work: Work, error: LogUnavailableError) -> None:
        outcomes: list[Outcome] = []
        for pending in work.appends:
            own = type(error)(str(error))
            pending.revoke_after(own)
            outcomes.append((pending.done, own))
        self._tell(self._side.refused, outcomes, work.size)

    def _reopen(self) -> Committer | None:
        told = ""
        while True:
            with contextlib.suppress(queue.Empty):
                self._queue.get(timeout=self._pause_s)  # nothing but STOP can come
                self._stopping = True
                return None
            self._pause_s = min(self._pause_s * 2, self._retry_s[1])
            try:
                committer = self._open()
            except Exception as error:  # noqa: BLE001 - it is tried again
                if str(error) != told:
                    told = str(error)
                    _log.warning(
                        "log.not_reopened",
                        log=self._engine.name,
                        error=told,
                    )
            else:
                _log.info(
                    "log.reopened",
                    log=self._engine.name,
                    epoch=committer.epoch,
                )
                return committer

    def _tell(self, call: Callable[..., None], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:  # the loop is closed: nobody is left to write for
            self._stopping = True
