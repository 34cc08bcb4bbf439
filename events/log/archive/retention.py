"""Has a log archive by itself what ended long ago, every so often."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec
import structlog

from ...errors import DramaturgError
from ..api import StreamAppend
from ..errors import VersionConflictError
from .archiving import Archiving, ArchivingLog, archive_log
from .event import RETENTION, RetentionRan

FAILED_S = 60.0
"""At the latest after so long it is tried again after a failure."""

_log = structlog.get_logger()


class RetentionPolicy(msgspec.Struct, frozen=True):
    """What leaves the log's table for its archive, and how often that is looked for."""

    older_than_s: float
    """So long ago a stream must have ended."""
    every_s: float = 3600.0
    """The time from one run to the next."""
    events_max: int = 1000
    """So many events are moved in one transaction, for which appends wait: a thousand
    take some ten milliseconds. Each makes a segment of its own."""

    def __post_init__(self) -> None:
        """Refuse what cannot work, with a `ValueError`."""
        if not self.older_than_s >= 0 or not self.every_s > 0 or self.events_max < 1:
            raise ValueError(
                "retention needs older_than_s of at least 0, every_s above 0 and "
                "events_max of at least 1",
            )


class RetainedLog(ArchivingLog, Protocol):
    """What retention asks of a log; a `WrittenLog` is one."""

    def append(self, streams: Sequence[StreamAppend]) -> Awaitable[object]:
        """Append and wait until it is durable."""
        ...


class Retention:
    """Archives from `start` to `close`, first at once and then every so often.

    Between two portions it rests as long as the last one took, so that it takes half
    of a thread at most. A run says so in an event if it has moved something or failed, and
    the first one in any case; a run that fails is tried again.
    """

    def __init__(
        self, log: RetainedLog, policy: RetentionPolicy, now_us: Callable[[], int]
    ) -> None:
        self._log = log
        self._now_us = now_us
        self._policy = policy
        self._told: str | None = None
        """The last failure that was told; None: nothing was."""

    def start(self) -> None:
        """Begin to archive."""
        self._task = asyncio.create_task(self._run(), name="dramaturg-retention")

    async def close(self) -> None:
        """End; what is being moved is moved wholly or not at all."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self) -> None:
        every_s = self._policy.every_s
        while True:
            ok = await self._once()
            await asyncio.sleep(every_s if ok else min(every_s, FAILED_S))

    async def _once(self) -> bool:
        policy, began_s = self._policy, time.monotonic()
        done, failure = Archiving(), ""

        async def rest(archiving: Archiving, took_s: float) -> None:
            nonlocal done
            done = archiving
            await asyncio.sleep(took_s)

        try:
            done = await archive_log(
                self._log,
                policy.older_than_s,
                now_us=self._now_us,
                events_max=policy.events_max,
                between=rest,
            )
        except (DramaturgError, OSError) as error:
            failure = f"{type(error).__name__}: {error}"
            _log.warning("log.not_archived", error=str(error))
        if done.events or failure != (self._told or "") or self._told is None:
            await self._tell(done, failure, time.monotonic() - began_s)
        return not failure

    async def _tell(self, done: Archiving, failure: str, took_s: float) -> None:
        policy = self._policy
        event = RetentionRan(
            older_than_us=round(policy.older_than_s * 1e6),
            every_us=round(policy.every_s * 1e6),
            streams=done.streams,
            events=done.events,
            segments=done.segments,
            size_bytes=done.segment_bytes,
            took_us=round(took_s * 1e6),
            failure=failure,
        )
        while True:
            try:
                head = await self._log.head(RETENTION)
                version = head.version if head else 0
                await self._log.append([StreamAppend(RETENTION, version, (event,))])
            except VersionConflictError:
                continue  # another node has just told of a run of its own
            except DramaturgError as error:
                _log.warning("log.not_archived", error=str(error))
            else:
                self._told = failure
            return
