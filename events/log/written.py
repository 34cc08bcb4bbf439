"""A log that one thread writes in groups and worker threads read."""

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar

import anyio
import anyio.to_thread

from ..registry import Registry
from .api import (
    Appended,
    Context,
    IdempotencyKey,
    Incarnation,
    Snapshot,
    StreamAppend,
)
from .archive import SegmentFolder
from .archive.event import EVENTS as ARCHIVES
from .archive.removal import Removal
from .archive.retention import Retention, RetentionPolicy
from .encoding import EventEncoder
from .encryption.event import EVENTS as ERASURES
from .engine import Engine, EngineReader
from .errors import LogError, LogUnavailableError
from .gathering import Gathering
from .listeners import Telling
from .outcomes import Outcome, Waiter, appended, deliver
from .pending import Backlog, Pending, encoded
from .read_beside import ReadBeside
from .reader_pool import ReaderPool
from .seal import EVENTS as SEALS
from .sealer import Sealer, SealPolicy
from .store import Store
from .writer import LoopSide, Token, Work, Writer

R = TypeVar("R", bound=EngineReader)

RETRY_S = (0.1, 5.0)
"""The first pause before a failed log is opened again, and the longest."""

UNWRITTEN_MAX = 20_000
"""From so many events in memory on the log is congested."""

SNAPSHOTS_MAX = 1000
"""So many snapshots wait for the next group; the oldest are dropped first."""

_CLOSING_S = 30.0
"""So long a closing log waits for its disk, then it leaves its thread behind."""


class WrittenLog(Telling, ReadBeside[R]):
    """What the engines have in common: an `EventLog`, used by `async with`.

    One thread writes it and commits in groups. Whatever `done` reports is durable.
    Reads run in worker threads, each with a reader of its own. When the engine fails
    the log is not `available` until it could be opened and written again, which is
    tried by itself after pauses from the first to the second of `retry_s`. It seals
    itself as `seals` says; None: never. With `retention` it archives by itself what
    ended long ago.
    """

    folder: SegmentFolder | None = None
    """Where segments are made durable before their events go; None: with them."""

    def __init__(  # noqa: PLR0913 - options by name
        self,
        registry: Registry,
        *,
        engine: Engine,
        reader: Callable[[Registry], R],
        node: str,
        unwritten_max: int,
        now_us: Callable[[], int],
        retry_s: tuple[float, float],
        seals: SealPolicy | None,
        retention: RetentionPolicy | None,
    ) -> None:
        registry = registry.merged(Registry((*SEALS, *ARCHIVES, *ERASURES)))
        super().__init__()
        self._readers = ReaderPool(lambda: reader(registry))
        self._now_us = now_us
        self.node = node
        self.epoch = 0
        self.position = 0
        self.available = False
        self.congested = False
        self._engine = engine
        self._retry_s = retry_s
        self._backlog = Backlog(EventEncoder(registry), unwritten_max, self._congest)
        self._unwritten_max = unwritten_max
        self._why = "it is not open"
        self._tick: list[Pending] = []
        """What was gathered for the writer."""
        self._gathering = Gathering()
        self._snapshots: dict[tuple[str, int, int], Snapshot] = {}
        self._closing = False
        self._seals = seals
        self._sealer: Sealer | None = None
        self.archiving = asyncio.Lock()
        """Held by whoever archives in this process."""
        self._retention: Retention | None = None
        if retention is not None:
            self._retention = Retention(self, retention, now_us)

    async def __aenter__(self) -> Self:
        """Lock and open the log, or make it; nothing blocks the loop."""
        self._closing = False
        self._loop = asyncio.get_running_loop()
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()
        side = LoopSide(
            opened=self._on_opened,
            not_opened=self._on_not_opened,
            committed=self._on_committed,
            failed=self._on_failed,
            refused=self._on_refused,
            ended=self._ended.set,
        )
        self._writer = Writer(
            self._engine, side, self._loop, self._readers.close, self._retry_s
        )
        self._writer.start()
        try:
            await self._opened
        except BaseException:
            await self._stop()
            raise
        if self._seals is not None:
            self._sealer = Sealer(
                self, self._readers.run, self._seals, self._engine.lull
            )
            self._sealer.start()
        if self._retention is not None:
            self._retention.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write and seal what is queued, refuse whatever comes later, close the log."""
        if self._retention is not None:
            await self._retention.close()
        await self._stop()

    async def _stop(self) -> None:
        if self._sealer is not None:
            with anyio.move_on_after(_CLOSING_S, shield=True):
                await self._sealer.close()
        self._closing = True
        self._flush()
        self._close("it is closed")
        self._writer.put(Token.STOP)
        with anyio.move_on_after(_CLOSING_S, shield=True):
            await self._ended.wait()
            await anyio.to_thread.run_sync(self._writer.join)

    @abstractmethod
    def look(self) -> Store:
        """Open it to see what is in it. Blocking."""

    async def claim(self, name: str) -> None:
        """Return at once: one process writes this log; see `EventLog.claim`."""

    def disclaim(self, name: str) -> None:
        """Do nothing: nobody else could write; see `EventLog.disclaim`."""

    # Writing

    def submit(
        self,
        streams: Sequence[StreamAppend],
        context: Context,
        done: Waiter,
        *,
        keys: Sequence[IdempotencyKey] = (),
        incarnation: Incarnation | None = None,
    ) -> Pending | None:
        """Queue an append; see `EventLog.submit`."""
        if not self.available:
            if incarnation is not None:
                incarnation.revoked = True
            error = LogUnavailableError(
                f"{self._engine.name} cannot be written: {self._why}"
            )
            self._loop.call_soon(deliver, self._loop, ((done, error),))
            return None
        pending = encoded(self._backlog, streams, context, done, keys, incarnation)
        self._queue(pending)
        return pending

    def remove(self, removal: Removal) -> None:
        """Queue an append with the removal of the rows that it says are archived."""
        if self.available:
            self._engine.removals.append(removal)
        context = Context(at_us=self._now_us())
        self.submit([removal.append], context, removal.done)

    def _queue(self, pending: Pending) -> None:
        if not self._tick:
            self._loop.call_soon(self._look)
        self._tick.append(pending)

    def _congest(self) -> None:
        """Say that too much is not written yet."""
        if not self.congested:
            self.congested = True
            self._loop.call_soon(self._congestion.tell, self.congested)

    def append(
        self,
        streams: Sequence[StreamAppend],
        context: Context | None = None,
        *,
        keys: Sequence[IdempotencyKey] = (),
    ) -> Awaitable[Appended]:
        """Append and wait until it is durable; see `EventLog.append`.

        What it returns is a future wherever it can, for a coroutine would cost a frame
        at every wake-up.
        """
        if context is None:
            context = Context(at_us=self._now_us())
        if self.congested or not self.available:
            return appended(self, streams, context, keys)
        future: asyncio.Future[Appended] = self._loop.create_future()
        self._queue(encoded(self._backlog, streams, context, future, keys, None))
        return future

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Queue a snapshot for the next group; see `EventLog.save_snapshot`."""
        if not self.available:
            return
        name = snapshot.stream, snapshot.version, snapshot.fold_version
        self._snapshots.pop(name, None)
        self._snapshots[name] = snapshot
        if len(self._snapshots) > SNAPSHOTS_MAX:
            del self._snapshots[next(iter(self._snapshots))]

    def _look(self) -> None:
        """Hand what was gathered to the writer, unless more is about to come."""
        if not self._tick:
            return
        if self._gathering.is_complete(self._backlog.decisions, self._loop.time()):
            self._flush()
        else:
            self._loop.call_soon(self._look)

    def _flush(self) -> None:
        """Hand what was gathered to the writer."""
        if self._tick or (self._snapshots and self._closing):
            decisions, self._backlog.decisions = self._backlog.decisions, 0
            self._gathering.sent(decisions, self._loop.time())
            size = 0
            for pending in self._tick:
                pending.backlog = None
                size += len(pending.datas)
            self._writer.put(
                Work(self._tick, [*self._snapshots.values()], size, decisions)
            )
            self._tick = []
            self._snapshots.clear()

    # What the writer tells, on the loop

    def _on_opened(self, epoch: int, position: int) -> None:
        moved = position > self.position
        self.epoch = epoch
        self.position = max(position, self.position)
        if self._closing:
            return
        self.available = True
        if not self._opened.done():
            self._opened.set_result(None)
            return
        self._availability.tell(self.available)
        if moved:
            self._commits.tell(position)

    def _on_not_opened(self, error: Exception) -> None:
        if not self._opened.done():
            self._opened.set_exception(error)

    def _on_committed(
        self,
        outcomes: Sequence[Outcome],
        size: int,
        decisions: int,
        position: int,
        digests: Sequence[bytes],
    ) -> None:
        moved = position > self.position
        self.position = max(position, self.position)  # of other nodes' it may know more
        if self._sealer is not None:
            self._sealer.written(digests, position)
        relieved = self._relieved(size)
        self._gathering.answered(decisions, self._loop.time())

        def then() -> None:
            if moved:
                self._commits.tell(position)
            if relieved:
                self._congestion.tell(self.congested)

        deliver(self._loop, outcomes, then)

    def _on_failed(self, error: LogError) -> None:
        self._flush()
        self._snapshots.clear()
        self._close(str(error))
        self._writer.put(Token.HEARD)
        self._availability.tell(self.available)

    def _on_refused(self, outcomes: Sequence[Outcome], size: int) -> None:
        relieved = self._relieved(size)

        def then() -> None:
            if relieved:
                self._congestion.tell(self.congested)

        deliver(self._loop, outcomes, then)

    def _close(self, why: str) -> None:
        self.available = False
        self._why = why

    def _relieved(self, size: int) -> bool:
        """Take off what is written; tell whether that ends the congestion."""
        self._backlog.events -= size
        if not self.congested or self._backlog.events > self._unwritten_max // 2:
            return False
        self.congested = False
        return True
