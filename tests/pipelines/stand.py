"""A stand for pipelines: a log in memory, a clock, and stages that do as they are told."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio

from dramaturg.actors.pipelines import Pipeline, RunningPipeline, Stage, Work
from dramaturg.actors.pipelines.tree import start_pipeline
from dramaturg.actors.runtime import ActorSystem
from dramaturg.events import Event
from dramaturg.events.log.memory import MemoryLog
from dramaturg.events.vocabulary import vocabulary

Step = Exception | object


class Actions:
    """A stage function that does what was told to it, call by call, then succeeds."""

    def __init__(self, *steps: Step) -> None:
        self.steps = deque(steps)
        self.calls: list[Work] = []
        self.running = 0
        self.running_max = 0
        self.gate: anyio.Event | None = None
        """While set, calls wait for it."""

    async def __call__(self, work: Work) -> object:
        self.calls.append(work)
        self.running += 1
        self.running_max = max(self.running, self.running_max)
        try:
            step = self.steps.popleft() if self.steps else work.stage
            if self.gate is not None:
                await self.gate.wait()
            if step is HANG:
                await anyio.sleep_forever()
            if isinstance(step, Exception):
                raise step
            return step
        finally:
            self.running -= 1

    @property
    def attempts(self) -> list[int]:
        return [work.attempt for work in self.calls]

    def shut(self) -> None:
        self.gate = anyio.Event()

    def open(self) -> None:
        assert self.gate is not None
        self.gate.set()
        self.gate = None


HANG = object()


class Stand:
    """A running pipeline and what a test needs beside it."""

    def __init__(self, system: ActorSystem, log: MemoryLog) -> None:
        self.system = system
        self.clock = system.clock
        self.log = log
        self.running: RunningPipeline

    async def start(self, pipeline: Pipeline, **more: Any) -> RunningPipeline:
        self.running = await start_pipeline(self.system, pipeline, **more)
        await self.system.settled()
        return self.running

    async def submit(self, payload: object = None, **more: Any) -> str:
        submitted = await self.running.submit(payload, **more)
        await self.system.settled()
        return submitted.item

    async def advance(self, seconds: float) -> None:
        """Let time pass, and what it sets off come to an end."""
        await asyncio.sleep(seconds)
        await self.system.settled()

    async def place(self, item: str) -> str:
        return (await self.running.item(item)).place

    async def events(self, item: str) -> list[Event]:
        recorded = await self.log.read_stream(self.running.pipeline.prefix + item)
        events = [each.event for each in recorded]
        assert all(isinstance(event, Event) for event in events)
        return events  # type: ignore[return-value]  # just asserted

    async def tags(self, item: str) -> list[str]:
        return [event.tag.removeprefix("item.") for event in await self.events(item)]


@asynccontextmanager
async def stand(log: MemoryLog | None = None, seed: int = 1) -> AsyncGenerator[Stand]:
    own = log or MemoryLog(vocabulary())
    async with ActorSystem(log=own, seed=seed) as system:
        yield Stand(system, own)


def pipeline(*stages: Stage, **more: Any) -> Pipeline:
    return Pipeline("letters", stages, **more)


def by_tag(events: Sequence[Event], tag: str) -> list[Any]:
    return [event for event in events if event.tag == f"item.{tag}"]
