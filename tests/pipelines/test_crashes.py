"""Workers, actors, the log and the process go down; items do not."""

import asyncio
from functools import partial

import pytest

from dramaturg.actors.dead_letters import DeadLetterActor
from dramaturg.actors.dead_letters.messages import TakeBack
from dramaturg.actors.pipelines import Stage, Work
from dramaturg.actors.pipelines.messages import Redrive
from dramaturg.actors.pipelines.tree import start_pipeline
from dramaturg.actors.retries import Classifier, InvalidInputError, RetryPolicy
from dramaturg.actors.runtime import ActorStoppedError, ActorSystem
from dramaturg.events.dead_letters import RedriveRequested
from dramaturg.events.log import LogUnavailableError, StreamAppend
from dramaturg.events.log.memory import MemoryLog
from dramaturg.events.pipelines import (
    CompensationFailed,
    Progressed,
    Resumed,
    RetryScheduled,
)
from dramaturg.events.vocabulary import vocabulary
from dramaturg.testing import run_seeded

from .stand import HANG, Actions, Stand, by_tag, pipeline, stand

STEADY = RetryPolicy(strategy="fixed", base_s=10.0, jitter=False, attempts_max=2)


async def after_a_crash(log: MemoryLog, *stages: Stage, **more: object) -> Stand:
    """Return a stand that is closed again: only its log is of use."""
    async with stand(log.reopened()) as s:
        await s.start(pipeline(*stages, **more))
        await s.advance(2)
    return s


@pytest.mark.asyncio
async def test_after_a_crash_an_item_goes_on_at_its_first_unfinished_stage() -> None:
    first, second = Actions(), Actions(HANG)
    stages = [Stage("first", first), Stage("second", second)]
    async with stand() as s:
        await s.start(pipeline(*stages))
        item = await s.submit()

    async with stand(s.log.reopened()) as again:
        await again.start(pipeline(*stages))
        await again.advance(2)
        ended = await again.running.result(item)

        assert ended.place == "done"
        assert (first.attempts, second.attempts) == ([1], [1, 2])
        retry = by_tag(await again.events(item), "retry_scheduled")[0]
        assert (retry.attempt, retry.failure.kind) == (1, "crash")


@pytest.mark.asyncio
async def test_work_that_kills_the_process_each_time_is_given_up() -> None:
    kills = Actions(*[HANG] * 9)
    stage = Stage("read", kills, retry=STEADY)
    async with stand() as s:
        await s.start(pipeline(stage))
        item = await s.submit()
    for _ in range(4):
        s = await after_a_crash(s.log, stage)

    assert kills.attempts == [1, 2]
    assert await s.place(item) == "rolled_back"


@pytest.mark.asyncio
async def test_a_stage_may_want_to_be_given_up_after_a_crash() -> None:
    stage = Stage("read", Actions(HANG), after_crash="give_up")
    async with stand() as s:
        await s.start(pipeline(stage))
        item = await s.submit()
    s = await after_a_crash(s.log, stage)

    assert await s.place(item) == "rolled_back"


@pytest.mark.asyncio
async def test_undoing_that_a_crash_interrupts_is_done_again() -> None:
    undo = Actions(HANG)
    stage = Stage("read", Actions(ValueError()), compensate=undo)
    async with stand() as s:
        await s.start(pipeline(stage))
        item = await s.submit()
        assert await s.place(item) == "running"
    s = await after_a_crash(s.log, stage)

    assert (await s.place(item), undo.attempts) == ("rolled_back", [1, 2])


@pytest.mark.asyncio
async def test_a_cancelled_item_is_not_run_again_after_a_crash() -> None:
    read = Actions(HANG)

    async def deaf(work: Work) -> None:
        try:
            await read(work)
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    stage = Stage("read", deaf)
    async with stand() as s:
        await s.start(pipeline(stage))
        item = await s.submit()
        await s.running.cancel(item, "unwanted")
        await s.system.settled()
        assert await s.place(item) == "running"
    s = await after_a_crash(s.log, stage)

    assert (await s.place(item), read.attempts) == ("cancelled", [1])


@pytest.mark.asyncio
async def test_timers_go_on_after_a_restart_and_overdue_ones_are_spread() -> None:
    read = Actions(ConnectionError(), ConnectionError(), ConnectionError())
    stage = Stage("read", read, retry=STEADY)
    async with stand() as s:
        await s.start(pipeline(stage))
        for n in range(3):
            await s.submit(n)
        due = await s.submit(3, due_us=s.clock.now_us() + 5_000_000)

    async with stand(s.log.reopened()) as again:
        await asyncio.sleep(60)
        await again.start(pipeline(stage, spread_s=10.0))
        assert len(read.calls) == 3
        await again.advance(5)
        some = len(read.calls)
        await again.advance(6)
        assert 3 < some < len(read.calls) == 7
        assert await again.place(due) == "done"


@pytest.mark.asyncio
async def test_a_stage_that_was_taken_out_holds_nobody_up() -> None:
    async with stand() as s:
        hangs = Stage("old", Actions(HANG))
        await s.start(pipeline(Stage("read", Actions()), hangs))
        item = await s.submit()
    s = await after_a_crash(s.log, Stage("read", Actions()), Stage("new", Actions()))

    ended = await s.running.item(item)
    assert (ended.place, list(ended.results)) == ("done", ["read", "new"])


@pytest.mark.asyncio
async def test_a_compensation_that_was_taken_out_is_passed_over() -> None:
    fails = Actions(ValueError())
    stage = Stage("read", fails, compensate=Actions(ConnectionError()))
    async with stand() as s:
        await s.start(pipeline(stage))
        item = await s.submit()
        assert await s.place(item) == "waiting_to_retry"

    async with stand(s.log.reopened()) as again:
        await again.start(pipeline(Stage("read", fails)))
        await again.advance(100)
        assert await again.place(item) == "rolled_back"


class CrashError(Exception):
    """Nobody expects it."""


def crashes(error: BaseException) -> bool:
    assert not isinstance(error, CrashError)
    return False


@pytest.mark.asyncio
async def test_what_a_crashed_worker_ran_is_lost_and_made_again() -> None:
    async with stand() as s:
        gate = asyncio.Event()
        attempts: list[tuple[object, int]] = []

        async def read(work: Work) -> None:
            attempts.append((work.payload, work.attempt))
            if work.payload == "bad" and work.attempt == 1:
                await gate.wait()
                raise CrashError
            if work.attempt == 1:
                await asyncio.Event().wait()

        classifier = Classifier(("transient", crashes))
        await s.start(pipeline(Stage("read", read, classifier=classifier)))
        items = [await s.submit(what) for what in ("good", "bad")]
        gate.set()
        await s.advance(2)

        assert [await s.place(item) for item in items] == ["done", "done"]
        assert sorted(attempts, key=str) == [
            ("bad", 1),
            ("bad", 2),
            ("good", 1),
            ("good", 2),
        ]


@pytest.mark.asyncio
async def test_the_owner_of_the_items_finds_its_attempts_again_after_a_failure() -> (
    None
):
    """A foreign event makes its next append conflict."""
    async with stand() as s:
        read, index = Actions(), Actions()
        read.shut()
        await s.start(pipeline(Stage("read", read), Stage("index", index)))
        items = [await s.submit(n) for n in range(3)]
        stream = s.running.pipeline.prefix + items[0]
        waiting = asyncio.create_task(s.running.result(items[0]))
        await s.log.append([StreamAppend(stream, 1, (Progressed(percent=7),))])
        with pytest.raises(Exception, match=r".+"):
            await s.running.pause("x", item=items[0])
        await s.system.settled()
        assert s.system.cell("/pipelines/letters/items").restarts == 1
        read.open()
        await s.advance(2)

        assert (await waiting).place == "done"
        assert [await s.place(item) for item in items] == ["done"] * 3
        assert read.attempts == [1, 1, 1]


@pytest.mark.parametrize("ends", ["during", "after"])
@pytest.mark.asyncio
async def test_while_the_log_is_down_attempts_go_on(ends: str) -> None:
    async with stand() as s:
        read = Actions()
        read.shut()
        await s.start(pipeline(Stage("read", read)))
        item = await s.submit()
        s.log.fail()
        await s.system.settled()
        with pytest.raises(LogUnavailableError):
            await s.running.submit()
        if ends == "during":
            read.open()
            await s.system.settled()
        s.log.recover()
        await s.system.settled()
        if ends == "after":
            read.open()
        ended = await s.running.result(item)

        assert (ended.place, read.attempts) == ("done", [1])


@pytest.mark.asyncio
async def test_a_cancelled_attempt_is_stopped_even_if_the_log_failed_meanwhile() -> (
    None
):
    async with stand() as s:
        read = Actions(HANG)
        await s.start(pipeline(Stage("read", read)))
        item = await s.submit()
        s.log.hold()
        cancelling = asyncio.create_task(s.running.cancel(item, "unwanted"))
        await s.system.settled()
        s.log.fail(unknown=True, written=True)
        s.log.recover()
        s.log.release()
        with pytest.raises(LogUnavailableError):
            await cancelling
        await s.system.settled()  # the owner of the items is built anew
        ended = await s.running.result(item)

        assert (ended.place, read.attempts) == ("cancelled", [1])


@pytest.mark.asyncio
async def test_an_attempt_that_never_reached_its_worker_is_counted_and_made_again() -> (
    None
):
    async with stand() as s:
        read = Actions()
        await s.start(pipeline(Stage("read", read)))
        s.log.hold()
        submitting = asyncio.create_task(s.running.submit())
        await s.system.settled()
        s.log.fail(unknown=True, written=True)
        s.log.recover()
        with pytest.raises(LogUnavailableError):
            await submitting
        s.log.release()
        await s.advance(2)
        stream = (await s.log.read(1))[0].stream

        item = stream.rpartition("/")[2]
        assert (await s.place(item), read.attempts) == ("done", [2])


@pytest.mark.asyncio
async def test_a_lost_attempt_is_not_made_beside_its_own_compensation() -> None:
    """The worker goes down while the event that starts the attempt is written."""
    async with stand() as s:
        read, undo = Actions(), Actions()
        once = RetryPolicy(attempts_max=1)
        await s.start(pipeline(Stage("read", read, compensate=undo, retry=once)))
        s.log.hold()
        submitting = asyncio.create_task(s.running.submit())
        await s.system.settled()
        s.system.kill(s.system.ref("/pipelines/letters/read"))
        await s.system.settled()
        s.log.release()
        item = (await submitting).item
        ended = await s.running.result(item)

        assert (ended.place, read.attempts, undo.attempts) == ("rolled_back", [], [1])


def test_an_attempt_found_lost_twice_does_not_take_the_next_one_with_it() -> None:
    """Its worker is restarted while the log is down: both say that it is lost."""

    async def main() -> None:
        async with stand() as s:
            read, undo = Actions(HANG), Actions()
            stage = Stage("read", read, compensate=undo, after_crash="give_up")
            await s.start(pipeline(stage))
            item = await s.submit()
            s.log.fail()
            s.system.kill(s.system.ref("/pipelines/letters/read"))
            s.log.recover()
            ended = await s.running.result(item)

            assert (ended.place, undo.attempts) == ("rolled_back", [1])

    for seed in range(20):
        run_seeded(seed, main)


def test_an_attempt_is_not_lost_because_its_worker_is_heard_of_once_more() -> None:
    """The owner of the items is restarted before it has heard of its workers."""

    async def main() -> None:
        read, undo = Actions(HANG), Actions()
        stage = Stage("read", read, compensate=undo, after_crash="give_up")
        async with stand() as s:
            await s.start(pipeline(stage))
            item = await s.submit()
        async with stand(s.log.reopened()) as s:
            starting = asyncio.create_task(s.start(pipeline(stage)))
            for _ in range(50):
                await asyncio.sleep(0)
                if "letters/read" in str(s.system.tree()):
                    s.system.kill(s.system.ref("/pipelines/letters/items"))
                    break
            await starting
            ended = await s.running.result(item)
            events = await s.events(item)

        lost = {e.attempt for e in events if isinstance(e, CompensationFailed)}
        assert ended.place == "rolled_back"
        assert not lost & set(undo.attempts)

    for seed in range(30):
        run_seeded(seed, main)


def test_an_attempt_about_to_be_counted_as_lost_is_not_made() -> None:
    """Its worker is restarted while the event that starts it is being written."""

    async def main(turns: int) -> None:
        read = Actions()
        async with stand() as s:
            await s.start(pipeline(Stage("read", read, retry=STEADY)))
            s.log.hold()
            submitting = asyncio.create_task(s.running.submit())
            await s.system.settled()
            s.system.kill(s.system.ref("/pipelines/letters/read"))
            for _ in range(turns):
                await asyncio.sleep(0)
            s.log.release()
            item = (await submitting).item
            await s.running.result(item)
            events = await s.events(item)

        lost = [e.attempt for e in events if isinstance(e, RetryScheduled)]
        assert sorted(lost + read.attempts) == [1, 2]

    for turns in range(4):
        for seed in range(15):
            run_seeded(seed, partial(main, turns))


@pytest.mark.asyncio
async def test_a_dead_letter_is_taken_back_once_though_its_queue_asked_twice() -> None:
    async with stand() as s:
        read = Actions(InvalidInputError("no pages"))
        queue = await s.system.spawn(DeadLetterActor.spec("mail"))
        await s.start(
            pipeline(Stage("read", read), dead_letters="mail"), dead_letters=queue
        )
        item = await s.submit()
        events = tuple(await s.events(item))
        entry = f"dead-letter/mail/{item}"
        requested = (RedriveRequested(at_us=1),)
        await s.log.append([StreamAppend(entry, 2, requested)])  # after `Escalated`
        stream = s.running.pipeline.prefix + item
        owner = s.system.cell("/pipelines/letters/items")
        for _ in range(2):
            owner.tell(Redrive(TakeBack(entry, 3, stream, len(events)), events))
        await s.system.settled()

        assert await s.place(item) == "done"
        assert owner.restarts == 0
        assert len(by_tag(await s.events(item), "redriven")) == 1


@pytest.mark.asyncio
async def test_who_waits_when_the_system_stops_gets_an_error() -> None:
    async with stand() as s:
        await s.start(pipeline(Stage("read", Actions(HANG)), in_flight_max=1))
        item = await s.submit()
        tasks = [
            asyncio.create_task(each)
            for each in (
                s.running.wait_idle(),
                s.running.result(item),
                s.running.submit(),
            )
        ]
        await s.system.settled()

    for task in tasks:
        with pytest.raises(ActorStoppedError):
            await task


def test_a_time_out_is_noticed_once_however_times_are_rounded() -> None:
    async def hang() -> list[str]:
        async with ActorSystem(log=MemoryLog(vocabulary())) as system:
            once = RetryPolicy(attempts_max=1)
            stage = Stage("read", Actions(*[HANG] * 40), timeout_s=0.7, retry=once)
            running = await start_pipeline(system, pipeline(stage))
            items: list[str] = []
            for n in range(40):
                await asyncio.sleep(0.1 + n / 7)
                items.append((await running.submit()).item)
            return [(await running.result(item)).place for item in items]

    assert run_seeded(None, hang, steps_max=20_000) == ["rolled_back"] * 40


@pytest.mark.asyncio
async def test_waiting_callers_are_woken_when_the_owner_starts_anew() -> None:
    async with stand() as s:
        read = Actions()
        read.shut()
        await s.start(pipeline(Stage("read", read), in_flight_max=1))
        item = await s.submit()
        tasks = [
            asyncio.create_task(each)
            for each in (
                s.running.wait_idle(),
                s.running.result(item),
                s.running.submit(),
            )
        ]
        await s.system.settled()
        s.log.fail()
        s.log.recover()
        await s.system.settled()
        read.open()
        for task in tasks:
            await task


@pytest.mark.asyncio
async def test_an_item_paused_at_a_crash_is_paused_afterwards() -> None:
    stage = Stage("read", Actions(ConnectionError()), retry=STEADY)
    async with stand() as s:
        await s.start(pipeline(stage))
        item = await s.submit()
        await s.running.pause("look", item=item)
    async with stand(s.log.reopened()) as again:
        await again.start(pipeline(stage))
        await again.advance(60)
        assert await again.place(item) == "paused"
        await again.running.resume("seen", item=item)
        await again.advance(60)
        assert await again.place(item) == "done"
        assert Resumed(reason="seen") in await again.events(item)
