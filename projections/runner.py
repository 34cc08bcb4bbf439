"""Runs a projection over a log: post mortem, live, and from where it stopped."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Generic, TypeVar

import anyio
import anyio.to_thread
import msgspec

from ..events.log import EventLog, Reader, Recorded, subscribe_pages
from ..events.log.errors import MALFORMED
from .checkpoints import Checkpoint, Checkpoints
from .paging import pages
from .projection import Projection

S = TypeVar("S")

CHECKPOINT_EVERY = 10_000
"""Events between two checkpoints while catching up."""


class Runner(Generic[S]):
    """One projection on its way through a log.

    `state` is the state after `position`. With `checkpoints` it starts where it
    stopped before, provided that the same version of the projection stopped there
    and that the log still has that event there; otherwise it starts from nothing
    and `rebuilding` says why. When `apply` raises, the event after `position` is
    the one that it could not take, and the runner is of no further use.
    """

    def __init__(
        self,
        projection: Projection[S],
        checkpoints: Checkpoints | None = None,
        *,
        checkpoint_every: int = CHECKPOINT_EVERY,
    ) -> None:
        self.projection = projection
        self.state = projection.initial()
        self.position = 0
        self.rebuilding = ""
        """Why an earlier checkpoint was not used; empty: it was, or there was none."""
        self._checkpoints = checkpoints
        self._every = checkpoint_every
        self._kept = 0
        self._last: Recorded | None = None
        self._started = False

    def catch_up(
        self,
        reader: Reader,
        until: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> S:
        """Read up to position `until`, or to the end as it is now, and return the state.

        `progress` is called after each page with the position reached and the goal.
        """
        if not self._started:
            checkpoint, at = self._loaded(), None
            if checkpoint is not None:
                at = _only(reader.read(checkpoint.position - 1, limit=1))
            self._start(checkpoint, at)
        end = reader.position if until is None else min(until, reader.position)
        for page in pages(reader, self.position, end):
            self.feed(page)
            if self.position - self._kept >= self._every:
                self.checkpoint()
            if progress is not None:
                progress(self.position, end)
        self.checkpoint()
        return self.state

    async def follow(self, log: EventLog) -> AsyncGenerator[S, None]:
        """Read on for ever, yielding the state after each page of events.

        The first state comes at once, as it was checkpointed. A checkpoint is kept
        every so many events and when the generator is closed.
        """
        if not self._started:
            checkpoint, at = await anyio.to_thread.run_sync(self._loaded), None
            if checkpoint is not None:
                at = _only(await log.read(checkpoint.position - 1, limit=1))
            self._start(checkpoint, at)
        yield self.state
        subscription = subscribe_pages(log, self.position)
        try:
            async with aclosing(subscription):
                async for page in subscription:
                    self.feed(page)
                    if self.position - self._kept >= self._every:
                        await anyio.to_thread.run_sync(self.checkpoint)
                    yield self.state
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(self.checkpoint)

    def feed(self, events: Sequence[Recorded]) -> None:
        """Apply the events that follow `position`, in order."""
        apply = self.projection.apply
        for recorded in events:
            self.state = apply(self.state, recorded)
            self.position = recorded.position
            self._last = recorded

    def checkpoint(self) -> None:
        """Keep state and position in one transaction, if there is anything new."""
        if self._checkpoints is None or self._last is None:
            return
        if self.position == self._kept:
            return
        checkpoint = Checkpoint(
            version=self.projection.version,
            position=self.position,
            anchor=_anchor(self._last),
            state=msgspec.json.encode(self.state),
        )
        self._checkpoints.save(self.projection.name, checkpoint)
        self._kept = self.position

    def _loaded(self) -> Checkpoint | None:
        if self._checkpoints is None:
            return None
        return self._checkpoints.load(self.projection.name)

    def _start(self, checkpoint: Checkpoint | None, at: Recorded | None) -> None:
        self._started = True
        if checkpoint is None:
            return
        if checkpoint.version != self.projection.version:
            self.rebuilding = (
                f"the checkpoint is of version {checkpoint.version}, the projection "
                f"of version {self.projection.version}"
            )
        elif at is None or at.position != checkpoint.position:
            self.rebuilding = f"the log ends before position {checkpoint.position}"
        elif _anchor(at) != checkpoint.anchor:
            self.rebuilding = f"another event stands at position {checkpoint.position}"
        else:
            self._resume(checkpoint)

    def _resume(self, checkpoint: Checkpoint) -> None:
        try:
            state = msgspec.json.decode(checkpoint.state, type=self.projection.state)
        except MALFORMED as error:
            self.rebuilding = f"the checkpoint does not fit the state: {error}"
            return
        self.state = state
        self.position = self._kept = checkpoint.position


def _anchor(recorded: Recorded) -> str:
    return f"{recorded.stream} {recorded.version} {recorded.header.committed}"


def _only(events: Sequence[Recorded]) -> Recorded | None:
    return events[0] if events else None
