"""Has a log sealed by its owner, every so often and when it is closed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import anyio.to_thread
import msgspec
import structlog

from ..errors import DramaturgError
from .api import EventLog
from .lull import Lull
from .sealing import PAGE, DigestReader, Sealing

T = TypeVar("T")

_log = structlog.get_logger()


class SealPolicy(msgspec.Struct, frozen=True):
    """How often a log is sealed."""

    events_max: int = 10_000
    """After so many events."""
    within_s: float = 300.0
    """After so many seconds, if there was any event at all."""

    def __post_init__(self) -> None:
        """Refuse limits that would seal without an end, with a `ValueError`."""
        if self.events_max < 1 or not self.within_s > 0:
            raise ValueError(
                "seals need events_max of at least 1 and within_s above 0",
            )


SEALS = SealPolicy()
"""What a log does unless it is told otherwise."""

TOLD_MAX = 32_768
"""So many digests wait to be folded; if more do, they are read from the file."""

SLICE = 128
"""So many digests are folded in one commit, about a quarter of a millisecond's work."""

BACKLOG = 4 * PAGE
"""If so many wait, they come faster than commits leave time for them."""


class Read(Protocol):
    """Runs a blocking read beside the loop."""

    def __call__(self, read: Callable[[DigestReader], T], /) -> Awaitable[T]:
        """Return what `read` returns."""
        ...


class Sealer:
    """Follows a log and appends its seals, from `start` to `close`.

    It folds the digests of what is durable in a worker thread, a slice of them in each
    commit, so that neither the loop nor the writer waits for it. Those just written it
    is told; it reads from the file only what it was not, because there each row is a
    step for which a busy loop's lock is given away and waited for. While the log fails
    it waits; then it looks at what the log's last seal is, and goes on from there.
    """

    def __init__(
        self, log: EventLog, read: Read, policy: SealPolicy, lull: Lull
    ) -> None:
        self._log = log
        self._read = read
        self._lull = lull
        self._policy = policy
        self._news = asyncio.Event()
        self._sealing: Sealing | None = None
        self._told: list[bytes] = []
        """The digests of the last events before `_told_to`, as far as they are not folded."""
        self._told_to = 0
        self._since_s: float | None = None
        """When the first event after the last seal was noticed, on the loop's clock."""

    def start(self) -> None:
        """Begin to follow the log."""
        self._forget = self._log.on_commit(self._look)
        self._task = asyncio.create_task(self._run(), name="dramaturg-seals")

    async def close(self) -> None:
        """Seal what is left, once all that was submitted is written; then end."""
        self._forget()
        self._task.cancel()
        await asyncio.wait([self._task])
        if not self._log.available:
            return
        try:
            await self._log.append([])  # comes back after all that was submitted
            sealing = await self._begun()
            if sealing.unsealed(self._log.position):
                await self._seal(sealing)
        except DramaturgError as error:
            _log.warning("log.not_sealed", error=str(error))

    def written(self, digests: Sequence[bytes], position: int) -> None:
        """Take the digests of the events that are durable now, up to `position`."""
        if position - len(digests) != self._told_to or len(self._told) > TOLD_MAX:
            self._told = []
        self._told += digests
        self._told_to = position

    def _look(self, position: int) -> None:
        """Wake up for the first event after a seal, and for every page of them."""
        sealing = self._sealing
        if (
            self._since_s is None
            or sealing is None
            or position - sealing.position >= PAGE
        ):
            self._news.set()

    async def _run(self) -> None:
        while True:
            self._news.clear()
            try:
                wait_s = await self._work()
            except DramaturgError as error:
                self._sealing = None
                wait_s = self._policy.within_s
                _log.warning("log.not_sealed", error=str(error))
            try:
                async with asyncio.timeout(wait_s):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _work(self) -> float | None:
        """Fold and seal what is due; return for how long there is nothing to do."""
        sealing = await self._begun()
        while self._log.position - sealing.position >= PAGE:
            await self._advance(sealing)
        now_s = asyncio.get_running_loop().time()
        unsealed = sealing.unsealed(self._log.position)
        if not unsealed:
            self._since_s = None
            return None
        if self._since_s is None:
            self._since_s = now_s
        left_s = self._since_s + self._policy.within_s - now_s
        if unsealed < self._policy.events_max and left_s > 0:
            return left_s
        await self._seal(sealing)
        return 0

    async def _begun(self) -> Sealing:
        if self._sealing is None:
            self._sealing = await self._read(Sealing)
        return self._sealing

    async def _advance(self, sealing: Sealing) -> None:
        end = self._log.position
        told = len(self._told) - (self._told_to - sealing.position)
        if sealing.position >= self._told_to or told < 0:
            await self._read(lambda reader: sealing.advance(reader, end))
        else:
            del self._told[:told]
            lull = self._lull if PAGE <= len(self._told) < BACKLOG else None
            await anyio.to_thread.run_sync(_fold, sealing, self._told[:PAGE], lull)

    async def _seal(self, sealing: Sealing) -> None:
        end = self._log.position
        while sealing.position < end:
            await self._advance(sealing)
        self._sealing = None  # until it is known what became of the seal
        appended = await self._log.append([sealing.append])
        sealing.sealed(appended.position)
        self._sealing = sealing
        self._since_s = None


def _fold(sealing: Sealing, digests: Sequence[bytes], lull: Lull | None) -> None:
    """Fold digests, a slice in each lull, and all of them when no more lulls come."""
    for start in range(0, len(digests), SLICE):
        if lull is not None and not lull.wait():
            lull = None
        sealing.fold(digests[start : start + SLICE])
