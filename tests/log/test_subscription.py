"""Following a log: each event once, in order, from any position."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dramaturg.events.log import (
    MemoryLog,
    Recorded,
    StreamAppend,
    subscribe,
    subscribe_pages,
)

from .vocabulary import REGISTRY, Counted


async def grow(log: MemoryLog, events: int) -> None:
    """Append one after the other to one stream."""
    for _ in range(events):
        at = log.position
        await log.append([StreamAppend("a/1", at, (Counted(at + 1),))])


def numbers(events: list[Recorded]) -> list[int]:
    found = [e.event.by for e in events if isinstance(e.event, Counted)]
    assert [event.position for event in events] == found
    return found


async def take(log: MemoryLog, after: int, count: int) -> list[Recorded]:
    taken: list[Recorded] = []
    async with aclosing(subscribe(log, after, page=3)) as events:
        while len(taken) < count:
            taken.append(await anext(events))
    return taken


@pytest.mark.asyncio
async def test_a_subscription_catches_up_and_then_follows() -> None:
    async with MemoryLog(REGISTRY) as log:
        await grow(log, 5)
        async with asyncio.TaskGroup() as group:
            early = group.create_task(take(log, 0, 12))
            late = group.create_task(take(log, 7, 5))
            await grow(log, 7)

    assert numbers(early.result()) == list(range(1, 13))
    assert numbers(late.result()) == list(range(8, 13))


@pytest.mark.asyncio
async def test_pages_are_bounded() -> None:
    async with MemoryLog(REGISTRY) as log:
        await grow(log, 8)
        async with aclosing(subscribe_pages(log, page=3)) as pages:
            sizes = [len(await anext(pages)) for _ in range(3)]

    assert sizes == [3, 3, 2]


@pytest.mark.asyncio
async def test_what_is_not_durable_yet_is_not_handed_out() -> None:
    async with MemoryLog(REGISTRY) as log:
        await grow(log, 2)
        log.hold()
        async with asyncio.TaskGroup() as group:
            taking = group.create_task(take(log, 0, 3))
            growing = group.create_task(grow(log, 1))
            for _ in range(20):
                await asyncio.sleep(0)
            assert not taking.done()
            log.release()

    assert growing.done()
    assert numbers(taking.result()) == [1, 2, 3]


class Forgetful(MemoryLog):
    """Never says that something was committed."""

    def on_commit(self, listener: Callable[[int], None]) -> Callable[[], None]:
        return super().on_commit(lambda position: None if position else listener(0))


@pytest.mark.asyncio
async def test_a_missed_wake_up_delays_a_subscription_and_does_not_stop_it() -> None:
    log = Forgetful(REGISTRY)

    async with aclosing(subscribe(log, wait_s=0.0)) as events:
        first = asyncio.ensure_future(anext(events))
        for _ in range(20):
            await asyncio.sleep(0)
        await grow(log, 1)

        assert (await first).position == 1


@pytest.mark.asyncio
async def test_a_closed_subscription_is_told_nothing_more() -> None:
    removed: list[MemoryLog] = []

    class Watched(MemoryLog):
        def on_commit(self, listener: Callable[[int], None]) -> Callable[[], None]:
            remove = super().on_commit(listener)

            def removing() -> None:
                remove()
                removed.append(self)

            return removing

    log = Watched(REGISTRY)
    await grow(log, 1)
    await take(log, 0, 1)

    assert removed == [log]


@settings(deadline=None)
@given(
    steps=st.lists(st.sampled_from(["append", "take", "resume"]), max_size=40),
    page=st.integers(1, 4),
)
def test_every_event_comes_once_and_in_order_however_often_one_resumes(
    steps: list[str],
    page: int,
) -> None:
    async def run() -> list[Recorded]:
        taken: list[Recorded] = []
        async with MemoryLog(REGISTRY) as log:
            events = subscribe(log, page=page)
            for step in (*steps, "resume"):
                if step == "append":
                    await grow(log, 1)
                elif step == "resume":
                    await events.aclose()
                    events = subscribe(log, len(taken), page=page)
                elif log.position > len(taken):
                    taken.append(await anext(events))
            while log.position > len(taken):
                taken.append(await anext(events))
            await events.aclose()
            assert len(taken) == steps.count("append")
        return taken

    taken = asyncio.run(run())
    assert numbers(taken) == list(range(1, len(taken) + 1))
