"""The steps of the simulation's transactions."""

import asyncio
from typing import Any

import msgspec

from dramaturg.actors.transactions.news import Answered
from dramaturg.actors.transactions.step import Call, Step

from .world import Gone, Process, World


class Args(msgspec.Struct, frozen=True, gc=False):
    what: str
    deaf: bool = False
    """Whether an attempt that is cancelled goes on for a while."""


class Act(Step[Args, Args]):
    """Makes an effect in the world."""

    name = "act"
    arguments = Args
    undo = Args
    timeout_s = 5.0
    attempts_max = 2

    def __init__(self, world: World, process: Process) -> None:
        self._world = world
        self._process = process

    def _law(self, call: Call, status: str, what: str) -> None:
        world = self._world
        if self._process.dead:
            raise Gone
        known = world.book.transactions.get(call.transaction)
        about = f"{what} of step {call.step} of {call.transaction}"
        world.law(known, 1, f"{about} runs before it is durable")
        assert known is not None
        step = known.steps[call.step]
        count = step.undos if status == "undoing" else step.attempts
        now = (step.status, count)
        logged = now == (status, call.attempt)
        world.law(logged, 1, f"{about}: attempt {call.attempt}, the log says {now}")
        world.begin(step.announced, about)

    async def prepare(self, args: Args, call: Call) -> Args:
        del call
        if self._process.dead:
            raise Gone
        await self._world.pass_by(self._process)
        return args

    async def run(self, args: Args, undo: Args, call: Call) -> msgspec.Raw:
        assert undo == args
        self._law(call, "started", "an attempt")
        world, process = self._world, self._process
        try:
            how = await world.pass_by(process)
        except asyncio.CancelledError:
            if not args.deaf or process.dead:
                raise
            await asyncio.sleep(world.chance.random() * 6)
            how = "fail"
        with call.fence.held():
            world.make(process, call.key)
        await world.leave(process, how)
        return msgspec.Raw(msgspec.json.encode(args.what))

    async def compensate(self, args: Args, undo: Args, call: Call) -> None:
        assert undo == args
        self._law(call, "undoing", "a compensation")
        how = await self._world.pass_by(self._process)
        self._world.unmake(self._process, call.key)
        await self._world.leave(self._process, how)

    async def query(self, args: Args, undo: Args, call: Call) -> Answered:
        assert undo == args
        await self._world.pass_by(self._process)
        there = self._world.effects.get(call.key, False)
        null: Any = msgspec.Raw(b"null")
        return Answered(call.step, "done" if there else "absent", null)
