"""A pipeline that is running: how callers submit items and wait for them."""

from typing import Any, TypeVar

import msgspec

from ...events.event import Erased, Event
from ...events.log import EventLog, KeyTakenError
from ..runtime import ActorSystem, Ask, Origin
from .board import CLOSED
from .crew import Crew
from .errors import ItemNotOpenError, PipelineFullError
from .ids import new_id
from .item import FOLD, Item
from .messages import (
    CancelItem,
    Figures,
    GetFigures,
    GetItem,
    PauseItem,
    PausePipeline,
    PauseStage,
    ResolveItem,
    ResumeItem,
    ResumePipeline,
    ResumeStage,
    Submit,
    Submitted,
)
from .pipeline import Pipeline

A = TypeVar("A")

ANSWER_S = 30.0
"""How long an answer may take; it waits for the disk."""


class RunningPipeline:
    """What callers in the same loop use of a pipeline; see `start_pipeline`."""

    def __init__(self, system: ActorSystem, pipeline: Pipeline, crew: Crew) -> None:
        self.pipeline = pipeline
        self._system = system
        self._crew = crew
        self._meets_duplicates = False

    async def submit(  # noqa: PLR0913 - an item has that many properties
        self,
        payload: Any = None,
        *,
        key: str = "",
        owner: str = "",
        priority: int = 0,
        due_us: int = 0,
        wait: bool = True,
        corr: str = "",
        by: str = "",
    ) -> Submitted:
        """Submit work and return where it is, once it is durable.

        `payload` is anything msgspec can write as JSON. Work with a `key` that was
        submitted before is not done again: the answer then names that item. If as
        many items are open as the pipeline admits, the call waits for room, or with
        `wait=False` raises `PipelineFullError`. `due_us` is the wall time before
        which it is not started, `owner` whose item it is, `by` who submits it.
        """
        if key and self._meets_duplicates:
            known = await self._log.key_stream(self.pipeline.stream, key)
            if known is not None:
                return Submitted(known.rpartition("/")[2], known, is_new=False)
        item = new_id(self._system.clock.now_us(), self._system.random)
        raw = msgspec.Raw(msgspec.json.encode(payload))
        command = Submit(item, key, raw, owner, priority, due_us, corr)
        origin = Origin(corr or item, by, owner)
        while True:
            try:
                ask = self._crew.pipeline.ask(command, ANSWER_S, origin=origin)
                return await ask
            except PipelineFullError:
                if not wait:
                    raise
                await self._crew.desk.room()
            except KeyTakenError as error:
                self._meets_duplicates = True
                stream = error.stream
                return Submitted(stream.rpartition("/")[2], stream, is_new=False)

    async def result(self, item: str) -> Item:
        """Wait until an item has ended or become a dead letter; return its state.

        Raises `ItemNotOpenError` if there never was such an item.
        """
        stream = self.pipeline.prefix + item
        desk = self._crew.desk
        while True:
            waiter = desk.waiter(stream)
            try:
                if stream not in self._crew.open:
                    found = await self._ask(GetItem(stream))
                    if found is None:
                        found = await self.item(item)
                    if found.phase in CLOSED:
                        return found
                ended = await waiter
                if ended is not None:
                    return ended
            finally:
                desk.dismiss(stream, waiter)

    async def item(self, item: str) -> Item:
        """Read an item from the log. Raises `ItemNotOpenError` if there never was one."""
        stream = self.pipeline.prefix + item
        state = FOLD.initial(stream)
        recorded = await self._log.read_stream(stream)
        if not recorded:
            raise ItemNotOpenError(item)
        for each in recorded:
            if isinstance(each.event, Event | Erased):
                state = FOLD.step(state, each.event)
        return state

    async def wait_idle(self) -> None:
        """Wait until no item goes on by itself: all are ended, paused or stuck."""
        while True:
            waiter = self._crew.desk.idle()
            figures = await self.figures()
            if not figures.busy:
                return
            await waiter

    async def figures(self) -> Figures:
        """Return what the pipeline does and has done since it was started."""
        return await self._ask(GetFigures())

    async def pause(self, reason: str, *, item: str = "", stage: str = "") -> None:
        """Start no further attempt: of an item, of a stage, or of any."""
        if item:
            await self._ask(PauseItem(item, reason))
        elif stage:
            await self._control(PauseStage(stage, reason))
        else:
            await self._control(PausePipeline(reason))

    async def resume(
        self, reason: str = "", *, item: str = "", stage: str = ""
    ) -> None:
        """Let an item, a stage or all of the pipeline go on."""
        if item:
            await self._ask(ResumeItem(item, reason))
        elif stage:
            await self._control(ResumeStage(stage, reason))
        else:
            await self._control(ResumePipeline(reason))

    async def cancel(self, item: str, reason: str) -> None:
        """Undo what an item did and end it; `result` tells when that is over."""
        await self._ask(CancelItem(item, reason))

    async def retry_stuck(self, item: str, reason: str) -> None:
        """Compensate a stuck item again."""
        await self._ask(ResolveItem(item, "retry", reason))

    async def skip_stuck(self, item: str, reason: str) -> None:
        """Count the stage that an item is stuck at as compensated: by hand."""
        await self._ask(ResolveItem(item, "skip", reason))

    async def _ask(self, message: Ask[A]) -> A:
        return await self._crew.pipeline.ask(message, ANSWER_S)

    async def _control(self, message: Ask[None]) -> None:
        await self._crew.control.ask(message, ANSWER_S)

    @property
    def _log(self) -> EventLog:
        return self._system.needed_log(self._crew.pipeline.path)
