"""A log that fails as told: by plan, or as the dice fall."""

import asyncio
from collections.abc import Callable
from functools import partial

from ..actors.runtime import Clock, SystemClock
from ..events import Registry
from ..events.log import (
    AppendRejectedError,
    LogUnavailableError,
    MemoryLog,
    Recorded,
    Snapshot,
    StreamHead,
)
from ..events.wall import wall_us
from .faults import (
    AnswerLost,
    ConnectionLost,
    Crash,
    DiskFull,
    Fault,
    Faults,
    Rejected,
    Slow,
    Torn,
    never,
)

AT_ONCE = Slow()


class FaultyLog(MemoryLog):
    """A log in memory whose writes go wrong as `faults` says.

    It keeps the contract of every log: an append is written wholly or not at all, in
    order, and whoever waits is told the truth, which may be that nobody knows. What
    is appended within a turn of the loop is one write, and while it takes its time
    the next ones queue up for the write after it. Time is `clock`'s, so that a test
    owns it. `reads`, if given, says how many seconds each reading takes.

    After a `Crash` whoever waits gets `OutcomeUnknownError`, nothing can be written
    any more, and `reopened` returns a log on what survived, as a new process would
    find it.
    """

    def __init__(  # noqa: PLR0913 - all but the registry has its default
        self,
        registry: Registry,
        faults: Faults = never,
        *,
        clock: Clock | None = None,
        node: str = "",
        unwritten_max: int = 20_000,
        reads: Callable[[], float] | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._faults = faults
        self._reads = reads
        self._write: object = None
        """The write under way, if one is."""
        self._writing = 0
        """How many appends it has."""
        self._away: Fault | None = None
        """Why the log is not available."""
        self._outage = 0
        """Counts how often it was not."""
        self.writes = 0
        """How many writes have begun, those before a crash included."""
        self.crashed = asyncio.Event()
        """Set when the process has died."""
        self.on_crash: Callable[[], None] = self.crashed.set
        """Called at a crash; a simulation has it drop everything else."""
        super().__init__(
            registry,
            node=node,
            unwritten_max=unwritten_max,
            now_us=wall_us if clock is None else clock.now_us,
        )

    @property
    def is_full(self) -> bool:
        """Whether the disk is full."""
        return isinstance(self._away, DiskFull)

    def free(self) -> None:
        """Make room on a full disk: the log is available again."""
        if self.is_full:
            self.recover()

    def crash(self, written: int = 0) -> None:
        """Have the process die now; `written` appends of the write under way survive."""
        group = self._writing
        self._lose(Crash(), group, min(written, group), None)
        self.on_crash()

    def recover(self) -> None:
        """Make the log available again, in its next epoch."""
        self._away = None
        super().recover()

    def release(self, appends: int | None = None) -> None:
        """Commit what is queued, or the first `appends`, at once and without a fault."""
        self._put_down()
        super().release(appends)

    def _put_down(self) -> None:
        """Have nothing more come of the write under way."""
        self._write, self._writing = None, 0

    def _break_off(self, unknown: int, written: int) -> None:
        self._put_down()
        super()._break_off(unknown, written)

    def reopened(self) -> "FaultyLog":
        """Return a log on what survived a crash; this one is dead."""
        return self.moved(self._clock)

    def moved(self, clock: Clock, faults: Faults | None = None) -> "FaultyLog":
        """Return a log on what survived, that goes by another clock and other faults."""
        twin = self.twin(clock, faults or self._faults)
        twin.writes = self.writes
        twin._backlog.encode = self._backlog.encode  # noqa: SLF001 - of the same kind
        self._put_down()
        twin._open(self._left())  # noqa: SLF001 - likewise
        return twin

    def twin(self, clock: Clock, faults: Faults) -> "FaultyLog":
        """Return an empty log like this one; for subclasses with other parameters."""
        return FaultyLog(
            self._registry,
            faults,
            clock=clock,
            node=self.node,
            unwritten_max=self._unwritten_max,
            reads=self._reads,
        )

    # One write after the other

    def _flush(self) -> None:
        self._scheduled = False
        if self._held or self._write is not None or not self._pending:
            return
        self.writes += 1
        group = len(self._pending)
        fault = self._faults(self.writes, group) or AT_ONCE
        self._write = write = object()
        self._writing = group

        def end() -> None:
            if self._write is write:
                self._put_down()
                self._happen(fault, group)

        if fault.after_s > 0:
            self._clock.call_later(fault.after_s, end)
        else:
            end()

    def _happen(self, fault: Fault, group: int) -> None:
        """Bring about what becomes of a write of so many appends."""
        match fault:
            case ConnectionLost():
                self._lose(fault, 0, 0, fault.for_s)
            case DiskFull():
                self._lose(fault, 0, 0, None)
            case Torn():
                self._lose(fault, group, min(fault.written, group), fault.for_s)
            case AnswerLost():
                written = group if fault.written else 0
                self._lose(fault, group, written, fault.for_s)
            case Crash():
                self._lose(fault, group, min(fault.written, group), None)
                self.on_crash()
            case _:
                if isinstance(fault, Rejected):
                    self._pending[0].refused = AppendRejectedError(
                        "the log was told to refuse this append",
                    )
                self._commit(group)
                self._flush()

    def _lose(
        self, fault: Fault, unknown: int, written: int, for_s: float | None
    ) -> None:
        """Be gone: the appends of the write may be there, the queued ones are not."""
        self._away = fault
        self._outage += 1
        self._break_off(unknown, written)
        if for_s is not None:
            self._clock.call_later(for_s, partial(self._back_from, self._outage))

    def _back_from(self, outage: int) -> None:
        if self._away is not None and self._outage == outage:
            self.recover()

    # Reading takes time, and a connection

    async def _reach(self) -> None:
        if self._reads is not None and (delay_s := self._reads()) > 0:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def wake() -> None:
                if not waiter.done():
                    waiter.set_result(None)

            self._clock.call_later(delay_s, wake)
            await waiter
        if isinstance(self._away, ConnectionLost):
            raise LogUnavailableError("the connection to the log is lost: read later")

    async def read(
        self, after: int = 0, until: int | None = None, *, limit: int = 1000
    ) -> list[Recorded]:
        """Read a page of all streams; see `EventLog.read`."""
        await self._reach()
        return await super().read(after, until, limit=limit)

    async def read_stream(
        self, stream: str, *, after: int = 0, until: int | None = None
    ) -> list[Recorded]:
        """Read one stream; see `EventLog.read_stream`."""
        await self._reach()
        return await super().read_stream(stream, after=after, until=until)

    async def head(self, stream: str) -> StreamHead | None:
        """Return where a stream ends; see `EventLog.head`."""
        await self._reach()
        return await super().head(stream)

    async def open_streams(self, prefix: str = "") -> list[StreamHead]:
        """List the open streams by name; see `EventLog.open_streams`."""
        await self._reach()
        return await super().open_streams(prefix)

    async def key_stream(self, scope: str, key: str) -> str | None:
        """Return the stream that used a key; see `EventLog.key_stream`."""
        await self._reach()
        return await super().key_stream(scope, key)

    async def snapshot(
        self, stream: str, fold_version: int, *, at_version: int | None = None
    ) -> Snapshot | None:
        """Return the newest snapshot; see `EventLog.snapshot`."""
        await self._reach()
        return await super().snapshot(stream, fold_version, at_version=at_version)
