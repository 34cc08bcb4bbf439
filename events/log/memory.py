"""A log in memory: the twin of the real one for tests, with its faults on command."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import islice
from types import TracebackType
from typing import Self

from ..registry import Registry
from ..wall import wall_us
from .api import (
    Appended,
    Context,
    IdempotencyKey,
    Incarnation,
    Recorded,
    Snapshot,
    StreamAppend,
    StreamHead,
)
from .encoding import EventEncoder
from .encryption import MemoryKeyring
from .encryption.engine import keyed
from .encryption.event import EVENTS as ERASURES
from .errors import (
    AppendRejectedError,
    LogError,
    LogUnavailableError,
    OutcomeUnknownError,
    StaleWriterError,
)
from .listeners import Telling
from .memory_store import MemoryStore, StoreCommitter
from .outcomes import Outcome, Waiter, appended, deliver
from .pending import Backlog, Pending, encoded
from .rows import RowDecoder


class MemoryLog(Telling):
    """An `EventLog` that keeps everything in memory and answers on the loop.

    Every tick's appends are one group, committed a moment after they were
    submitted. A test can `hold` commits back, make the log `fail` and `recover`,
    and go on with what was committed after a crash by `reopened`. Use it as it is
    or by `async with`. `now_us` is the wall clock in microseconds. With a `keyring`
    it encrypts as others do; one with a file would block the loop. `store` is what
    another log has left.
    """

    def __init__(  # noqa: PLR0913 - options by name, each with its default
        self,
        registry: Registry,
        *,
        node: str = "",
        unwritten_max: int = 20_000,
        now_us: Callable[[], int] = wall_us,
        keyring: MemoryKeyring | None = None,
        store: MemoryStore | None = None,
    ) -> None:
        super().__init__()
        self._registry = registry = registry.merged(Registry(ERASURES))
        self._keyring = keyring
        self._decode = RowDecoder(registry, keyring)
        self._backlog = Backlog(EventEncoder(registry), unwritten_max, self._congest)
        self._now_us = now_us
        self._unwritten_max = unwritten_max
        self._pending: deque[Pending] = deque()
        self._held = False
        self._scheduled = False
        self._fresh: list[Pending] = []
        """Those of this tick, which may take further decisions in."""
        self.node = node
        self.congested = False
        self._open(store or MemoryStore())

    def _open(self, store: MemoryStore) -> None:
        store.epoch += 1
        committer = StoreCommitter(store, self._now_us, self.node)
        self._committer = keyed(committer, self._keyring, "the log in memory")
        self._store = store
        self.epoch = store.epoch
        self.position = len(store.rows)
        self.available = True

    async def __aenter__(self) -> Self:
        """Return the log; there is nothing to open."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Write what is queued, and refuse whatever comes later."""
        if self.available:
            self.release()
        self.available = False

    # What a test does to it

    def hold(self) -> None:
        """Let appends queue up from now on, as on a disk that does not answer."""
        self._held = True

    def release(self, appends: int | None = None) -> None:
        """Commit what is queued; or its first `appends` alone, and go on holding."""
        if appends is None:
            self._held = False
        self._commit(len(self._pending) if appends is None else appends)

    def fail(self, *, unknown: bool = False, written: bool = False) -> None:
        """Make the log unavailable and refuse everything that is queued.

        With `unknown` the queued appends get an `OutcomeUnknownError`, as if the
        disk had failed in their commit; with `written` they are there all the same.
        """
        queued = len(self._pending)
        self._break_off(queued if unknown else 0, queued if written else 0)

    def _break_off(self, unknown: int, written: int) -> None:
        """Fail: of the first `unknown` appends nobody knows, the first `written` are there."""
        self._take()
        for pending in islice(self._pending, written):
            self._apply(pending)
        refused: list[Outcome] = []
        for number, pending in enumerate(self._pending):
            cls = OutcomeUnknownError if number < unknown else LogUnavailableError
            error = cls("the log was made to fail")
            pending.revoke_after(error)
            refused.append((pending.done, error))
        self._pending.clear()
        self._backlog.events = 0
        self.available = False
        self._availability.tell(self.available)
        self._settle(refused, self.position)

    def recover(self) -> None:
        """Make the log available again, in its next epoch."""
        before = self.position
        self._open(self._store)
        self._availability.tell(self.available)
        if self.position != before:
            self._commits.tell(self.position)

    def reopened(self) -> "MemoryLog":
        """Return a log over what is committed, as after a crash; this one is dead."""
        twin = MemoryLog(
            self._registry,
            node=self.node,
            unwritten_max=self._unwritten_max,
            now_us=self._now_us,
            keyring=self._keyring,
        )
        twin._backlog.encode = self._backlog.encode
        twin._open(self._left())
        return twin

    def _left(self) -> MemoryStore:
        """Be dead, and return what was committed."""
        self._take()
        self._pending.clear()
        self.available = False
        return self._store

    def look(self) -> MemoryStore:
        """Return what is committed, for a survey."""
        return self._store

    async def others(self) -> tuple[str, ...]:
        """Return nobody: nobody else can write it."""
        return ()

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
        loop = asyncio.get_running_loop()
        if not self.available:
            error = LogUnavailableError("the log is closed or was made to fail")
            if incarnation is not None:
                incarnation.revoked = True
            loop.call_soon(deliver, loop, ((done, error),))
            return None
        pending = encoded(self._backlog, streams, context, done, keys, incarnation)
        self._pending.append(pending)
        self._fresh.append(pending)
        if not self._scheduled:
            self._scheduled = True
            loop.call_soon(self._end_tick)
        return pending

    def _congest(self) -> None:
        """Say that too much waits."""
        if not self.congested:
            self.congested = True
            loop = asyncio.get_running_loop()
            tell = partial(self._congestion.tell, self.congested)
            loop.call_soon(deliver, loop, (), tell)  # in order with what relieves it

    def append(
        self,
        streams: Sequence[StreamAppend],
        context: Context | None = None,
        *,
        keys: Sequence[IdempotencyKey] = (),
    ) -> Awaitable[Appended]:
        """Append and wait until it is committed; see `EventLog.append`."""
        context = context or Context(at_us=self._now_us())
        return appended(self, streams, context, keys)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep a snapshot; see `EventLog.save_snapshot`."""
        if self.available:
            self._committer.commit([], [snapshot])

    def _end_tick(self) -> None:
        self._take()
        self._flush()

    def _take(self) -> None:
        """Let no append grow any more."""
        for pending in self._fresh:
            pending.backlog = None
        self._fresh.clear()

    def _flush(self) -> None:
        self._scheduled = False
        if not self._held:
            self._commit(len(self._pending))

    def _commit(self, appends: int) -> None:
        self._take()
        outcomes: list[Outcome] = []
        for _ in range(min(appends, len(self._pending))):
            pending = self._pending.popleft()
            self._backlog.events -= len(pending.datas)
            outcomes.append((pending.done, self._apply(pending)))
        self._settle(outcomes, len(self._store.rows))

    def _apply(self, pending: Pending) -> Appended | LogError:
        try:
            if pending.refused is not None:
                raise pending.refused
            if pending.incarnation is not None and pending.incarnation.revoked:
                raise StaleWriterError
            ((_, outcome),) = self._committer.commit([pending], [])
        except AppendRejectedError as error:
            return pending.refusal(error)
        return outcome

    def _settle(self, outcomes: list[Outcome], position: int) -> None:
        """Tell those who wait, on the loop and later."""
        if not outcomes:
            return
        moved = position != self.position
        self.position = position
        relieved = self.congested and self._backlog.events <= self._unwritten_max // 2
        self.congested = self.congested and not relieved

        def then() -> None:
            if moved:
                self._commits.tell(position)
            if relieved:
                self._congestion.tell(self.congested)

        loop = asyncio.get_running_loop()
        loop.call_soon(deliver, loop, outcomes, then)

    # Reading

    async def claim(self, name: str) -> None:
        """Return at once: nobody else can write it; see `EventLog.claim`."""

    def disclaim(self, name: str) -> None:
        """Do nothing: nobody else could write; see `EventLog.disclaim`."""

    async def read(
        self,
        after: int = 0,
        until: int | None = None,
        *,
        limit: int = 1000,
    ) -> list[Recorded]:
        """Read a page of all streams; see `EventLog.read`."""
        end = self.position if until is None else min(until, self.position)
        last = min(end, after + limit)
        return [self._recorded(position) for position in range(after + 1, last + 1)]

    async def read_stream(
        self,
        stream: str,
        *,
        after: int = 0,
        until: int | None = None,
    ) -> list[Recorded]:
        """Read one stream; see `EventLog.read_stream`."""
        positions = self._store.positions.get(stream, [])[after:until]
        return [self._recorded(position) for position in positions]

    def _recorded(self, position: int) -> Recorded:
        row = self._store.rows[position - 1]
        place = row.stream, row.version, row.event.tag
        event = self._decode.event(place, row.header, row.data)
        return Recorded(position, row.stream, row.version, event, row.header)

    async def head(self, stream: str) -> StreamHead | None:
        """Return where a stream ends; see `EventLog.head`."""
        return self._store.head(stream)

    async def open_streams(self, prefix: str = "") -> list[StreamHead]:
        """List the open streams by name; see `EventLog.open_streams`."""
        names = sorted(n for n in self._store.positions if n.startswith(prefix))
        heads = map(self._store.head, names)
        return [head for head in heads if head is not None and head.open]

    async def key_stream(self, scope: str, key: str) -> str | None:
        """Return the stream that used a key; see `EventLog.key_stream`."""
        return self._store.key_stream(scope, key, self._now_us())

    async def snapshot(
        self,
        stream: str,
        fold_version: int,
        *,
        at_version: int | None = None,
    ) -> Snapshot | None:
        """Return the newest snapshot; see `EventLog.snapshot`."""
        version = len(self._store.positions.get(stream, ()))
        if at_version is not None:
            version = min(version, at_version)
        found = self._store.snapshot(stream, fold_version, version)
        return found and self._decode.snapshot(found)
