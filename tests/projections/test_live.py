"""A projection that follows a living log ends where one that reads it later does."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dramaturg.events import Event, Registry
from dramaturg.events.log import EventLog, MemoryLog, Reader, Recorded, StreamAppend
from dramaturg.projections import Checkpoints, Projection, Runner

Play = Callable[..., Reader]


class Spoke(Event, tag="test.spoke"):
    line: str


class Script(msgspec.Struct):
    lines: list[tuple[int, str]] = []


def write_down(script: Script, recorded: Recorded) -> Script:
    if isinstance(recorded.event, Spoke):
        script.lines.append((recorded.position, recorded.event.line))
    return script


SCRIPT = Projection(name="script", state=Script, initial=Script, apply=write_down)


async def say(log: EventLog, lines: Sequence[str]) -> None:
    for line in lines:
        append = StreamAppend("part/hamlet", log.position, (Spoke(line),))
        await log.append([append])


async def follow(runner: Runner[Script], log: EventLog, until: int) -> None:
    async with aclosing(runner.follow(log)) as states:
        async for _ in states:
            if runner.position >= until:
                return


@settings(deadline=None, max_examples=50)
@given(
    lives=st.lists(st.lists(st.text(max_size=3), max_size=10), max_size=4),
    every=st.integers(1, 5),
)
def test_live_is_post_mortem(play: Play, lives: list[list[str]], every: int) -> None:
    said = [line for life in lives for line in life]
    whole = Runner(SCRIPT).catch_up(play([("part/hamlet", Spoke(s)) for s in said]))

    log = MemoryLog(Registry([Spoke]))
    state = Script()

    async def live(runner: Runner[Script], life: list[str]) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(follow(runner, log, log.position + len(life)))
            group.create_task(say(log, life))

    with TemporaryDirectory() as folder, asyncio.Runner() as loop:
        for life in lives:
            with Checkpoints(Path(folder) / "checkpoints.sqlite") as checkpoints:
                runner = Runner(SCRIPT, checkpoints, checkpoint_every=every)
                loop.run(live(runner, life))
                assert not runner.rebuilding
                state = runner.state
    assert state == whole


@pytest.mark.asyncio
async def test_the_first_state_comes_before_anything_happens() -> None:
    log = MemoryLog(Registry([Spoke]))

    async with aclosing(Runner(SCRIPT).follow(log)) as states:
        assert await anext(states) == Script()


@pytest.mark.asyncio
async def test_a_cancelled_follower_keeps_how_far_it_got(tmp_path: Path) -> None:
    checkpoints = await asyncio.to_thread(Checkpoints, tmp_path / "c.sqlite")
    runner = Runner(SCRIPT, checkpoints)
    caught_up = asyncio.Event()

    async def watch(log: EventLog) -> None:
        async for _ in runner.follow(log):
            if runner.position == 2:
                caught_up.set()

    async with MemoryLog(Registry([Spoke])) as log:
        await say(log, ["To be", "or not"])
        watcher = asyncio.ensure_future(watch(log))
        await caught_up.wait()
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)

    checkpoint = await asyncio.to_thread(checkpoints.load, "script")
    await asyncio.to_thread(checkpoints.close)
    assert checkpoint is not None
    assert checkpoint.position == 2
