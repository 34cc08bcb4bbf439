"""Items on their way back: compensation, cancelling, stuck items, dead letters."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from dramaturg.actors.breakers import BreakerOpenError
from dramaturg.actors.dead_letters.messages import Adopt, HasRoom, TakeBack
from dramaturg.actors.pipelines import ItemNotOpenError, ItemStateError, Stage, Work
from dramaturg.actors.pipelines.actor import PipelineActor
from dramaturg.actors.retries import InvalidInputError, RetryPolicy
from dramaturg.actors.runtime import Actor, ActorStoppedError, ChildSpec, handles
from dramaturg.events.dead_letters import Parked

from .stand import HANG, Actions, Stand, by_tag, pipeline, stand

STEADY = RetryPolicy(strategy="fixed", base_s=10.0, jitter=False, attempts_max=2)
INVALID = InvalidInputError("no pages")


def three(undone: list[str], last: Actions) -> list[Stage]:
    """Return three stages of which the first and the last can be undone."""

    def undo(name: str) -> Callable[[Work], Awaitable[None]]:
        async def compensate(work: Work) -> None:
            assert work.stage == name
            undone.append(name)

        return compensate

    return [
        Stage("store", Actions(), compensate=undo("store")),
        Stage("parse", Actions()),
        Stage("index", last, compensate=undo("index"), undo_retry=STEADY),
    ]


@pytest.mark.asyncio
async def test_what_a_failed_item_did_is_undone_in_reverse() -> None:
    async with stand() as s:
        undone: list[str] = []
        await s.start(pipeline(*three(undone, Actions(INVALID))))
        item = await s.submit()
        ended = await s.running.result(item)

        assert undone == ["index", "store"]
        assert (ended.place, ended.results) == ("rolled_back", {})
        assert (await s.tags(item))[-5:] == [
            "rollback_started",
            "compensation_started",
            "stage_compensated",
            "stage_compensated",
            "rolled_back",
        ]


@pytest.mark.asyncio
async def test_undoing_is_tried_again_and_then_stuck_for_all_to_see() -> None:
    async with stand() as s:
        undo = Actions(*[ConnectionError("reset")] * 3)
        stage = Stage("store", Actions(INVALID), compensate=undo, undo_retry=STEADY)
        await s.start(pipeline(stage))
        item = await s.submit()
        await s.advance(30)

        assert await s.place(item) == "stuck"
        assert undo.attempts == [1, 2]
        await s.running.wait_idle()
        with pytest.raises(ItemStateError, match="stuck"):
            await s.running.pause("x", item=item)
        with pytest.raises(ItemStateError, match="stuck"):
            await s.running.resume(item=item)
        with pytest.raises(ItemStateError, match="stuck"):
            await s.running.cancel(item, "x")
        await s.running.retry_stuck(item, "the store is back")
        await s.advance(30)
        assert undo.attempts == [1, 2, 1, 2]
        assert await s.place(item) == "rolled_back"


@pytest.mark.asyncio
async def test_a_stuck_stage_can_be_skipped_by_hand() -> None:
    async with stand() as s:
        undone: list[str] = []
        store, parse, index = three(undone, Actions(INVALID))
        fails = Actions(INVALID)
        stages = (store, parse, Stage("index", index.function, compensate=fails))
        await s.start(pipeline(*stages))
        item = await s.submit()
        assert await s.place(item) == "stuck"
        with pytest.raises(ItemNotOpenError):
            await s.running.skip_stuck(await s.submit(), "x")
        await s.running.skip_stuck(item, "removed by hand")

        assert (await s.running.result(item)).place == "rolled_back"
        assert undone[-1:] == ["store"]


class Breaker:
    """Refuses the second call alone."""

    name = "graph-db"
    calls = 0

    async def call(self, function: object, *args: object) -> object:
        self.calls += 1
        if self.calls == 2:
            raise BreakerOpenError(self.name, 30.0)
        return await function(*args)  # type: ignore[operator]  # a coroutine function


@pytest.mark.asyncio
async def test_undoing_is_put_off_too_while_the_breaker_is_open() -> None:
    async with stand() as s:
        undo = Actions()
        stage = Stage("store", Actions(INVALID), compensate=undo, breaker=Breaker())
        await s.start(pipeline(stage))
        item = await s.submit()
        assert (await s.tags(item))[-1] == "compensation_put_off"
        await s.advance(40)

        assert undo.attempts == [1]
        assert await s.place(item) == "rolled_back"


# Cancelling and pausing


@pytest.mark.asyncio
async def test_cancelling_stops_the_attempt_and_undoes_what_was_done() -> None:
    async with stand() as s:
        undone: list[str] = []
        hangs = Actions(HANG)
        await s.start(pipeline(*three(undone, hangs)))
        item = await s.submit()
        assert hangs.running == 1
        await s.running.cancel(item, "not wanted any more")
        ended = await s.running.result(item)

        assert (ended.place, ended.reason) == ("cancelled", "not wanted any more")
        assert undone == ["index", "store"]
        assert hangs.running == 0
        assert "attempt_aborted" in await s.tags(item)


@pytest.mark.asyncio
async def test_an_item_that_waits_is_cancelled_at_once() -> None:
    async with stand() as s:
        await s.start(pipeline(Stage("read", Actions(ConnectionError()), retry=STEADY)))
        item = await s.submit()
        await s.running.cancel(item, "unwanted")

        assert await s.place(item) == "cancelled"
        assert (await s.tags(item))[-2:] == ["cancel_requested", "cancelled"]
        with pytest.raises(ItemNotOpenError):
            await s.running.cancel(item, "again")


@pytest.mark.asyncio
async def test_a_function_that_ends_all_the_same_when_cancelled_is_believed() -> None:
    async def stubborn(_: Work) -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "done all the same"
        return ""

    async with stand() as s:
        await s.start(pipeline(Stage("read", stubborn)))
        item = await s.submit()
        await s.running.cancel(item, "unwanted")
        await s.running.cancel(item, "unwanted, really")
        ended = await s.running.result(item)

        assert ended.place == "cancelled"
        assert (await s.tags(item))[-3:] == [
            "cancel_requested",
            "stage_done",
            "cancelled",
        ]


@pytest.mark.asyncio
async def test_a_cancelled_attempt_that_fails_is_not_made_again() -> None:
    async def fails(_: Work) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError from None

    async with stand() as s:
        await s.start(pipeline(Stage("read", fails)))
        item = await s.submit()
        await s.running.cancel(item, "unwanted")

        assert (await s.running.result(item)).place == "cancelled"


@pytest.mark.asyncio
async def test_an_attempt_that_fails_as_it_is_stopped_is_reported() -> None:
    """Start and stop reach the worker in one turn, and the function fails at once."""
    async with stand() as s:
        await s.start(pipeline(Stage("read", Actions(ConnectionError()))))
        s.log.hold()
        submitting = asyncio.create_task(s.running.submit())
        await s.system.settled()
        items = s.system.cell("/pipelines/letters/items").actor
        assert isinstance(items, PipelineActor)
        (stream,) = items.states
        item = stream.rpartition("/")[2]
        cancelling = asyncio.create_task(s.running.cancel(item, "unwanted"))
        await s.system.settled()
        s.log.release()
        await asyncio.gather(submitting, cancelling)

        assert (await s.running.result(item)).place == "cancelled"


@pytest.mark.asyncio
async def test_a_paused_item_finishes_its_attempt_and_starts_no_other() -> None:
    async with stand() as s:
        first, second = Actions(), Actions()
        first.shut()
        await s.start(pipeline(Stage("first", first), Stage("second", second)))
        item = await s.submit()
        await s.running.pause("look", item=item)
        assert await s.place(item) == "running"
        first.open()
        await s.system.settled()

        assert (await s.place(item), second.calls) == ("paused", [])
        await s.running.resume(item=item)
        assert (await s.running.result(item)).place == "done"


@pytest.mark.asyncio
async def test_a_paused_pipeline_or_stage_stays_paused_over_a_restart() -> None:
    async with stand() as s:
        read = Actions()
        stages = [Stage("read", read), Stage("index", Actions())]
        await s.start(pipeline(*stages))
        await s.running.pause("maintenance")
        await s.running.pause("maintenance")
        await s.running.pause("too slow", stage="index")
        with pytest.raises(Exception, match="no stage 'wrong'"):
            await s.running.pause("x", stage="wrong")
        item = await s.submit()
        assert (await s.running.figures()).is_paused

    async with stand(s.log.reopened()) as again:
        await again.start(pipeline(*stages))
        assert (await again.place(item), read.calls) == ("waiting", [])
        await again.running.resume("done")
        await again.system.settled()
        assert len(read.calls) == 1
        assert await again.place(item) == "waiting"
        assert (await again.running.figures()).stages["index"].is_paused
        await again.running.resume("done", stage="index")
        assert (await again.running.result(item)).place == "done"
        tags = [e.event.tag for e in await again.log.read_stream("pipeline/letters")]
        assert tags.count("pipeline.paused") == 1


# Dead letters


class Queue(Actor):
    """Stands in for the actor of a dead letter queue."""

    def __init__(self, *, room: bool = True) -> None:
        self.room = room
        self.asked: list[str] = []
        self.adopted: list[Adopt] = []

    @handles
    def has_room(self, message: HasRoom) -> bool:
        self.asked.append(message.item)
        return self.room

    @handles
    def adopt(self, message: Adopt) -> None:
        self.adopted.append(message)


async def with_queue(s: Stand, queue: Queue, *stages: Stage, **more: object) -> None:
    ref = await s.system.spawn(ChildSpec(id="queue", factory=lambda: queue))
    declared = pipeline(*stages, dead_letters="mail", **more)
    await s.start(declared, dead_letters=ref)


@pytest.mark.asyncio
async def test_giving_up_and_parking_are_one_append() -> None:
    async with stand() as s:
        queue = Queue()
        read = Actions(INVALID)
        read.shut()
        await with_queue(s, queue, Stage("read", read))
        item = await s.submit({"name": "a"}, key="k", priority=3)
        s.log.hold()
        read.open()
        await s.system.settled()
        assert (await s.place(item), queue.adopted) == ("running", [])
        s.log.release(1)
        await s.system.settled()

        assert await s.place(item) == "dead_lettered"
        entry = f"dead-letter/mail/{item}"
        parked = (await s.log.read_stream(entry))[0].event
        assert isinstance(parked, Parked)
        assert queue.adopted == [Adopt(entry, (parked,))]
        version = (await s.log.head(parked.item)).version  # type: ignore[union-attr]
        assert parked.item_version == version
        assert (parked.priority, parked.key, parked.category) == (3, "k", "validation")
        assert queue.asked == []
        s.log.release()


@pytest.mark.asyncio
async def test_with_a_full_queue_the_item_is_paused_until_there_is_room() -> None:
    async with stand() as s:
        queue = Queue(room=False)
        undone: list[str] = []
        stages = three(undone, Actions(INVALID))
        await with_queue(s, queue, *stages, asks_for_room=True)
        item = await s.submit()
        assert (await s.place(item), undone) == ("paused", ["index", "store"])
        await s.advance(31)
        assert len(queue.asked) == 2

    async with stand(s.log.reopened()) as again:
        queue = Queue(room=False)
        await with_queue(again, queue, *stages, asks_for_room=True)
        assert len(queue.asked) == 1
        queue.room = True
        await again.advance(31)

        assert await again.place(item) == "dead_lettered"
        assert len(queue.adopted) == 1


@pytest.mark.asyncio
async def test_a_person_may_have_a_full_queue_asked_again() -> None:
    async with stand() as s:
        queue = Queue(room=False)
        await with_queue(s, queue, Stage("read", Actions(INVALID)), asks_for_room=True)
        item = await s.submit()
        queue.room = True
        await s.running.resume(item=item)
        await s.system.settled()

        assert await s.place(item) == "dead_lettered"


@pytest.mark.asyncio
async def test_a_queue_that_does_not_answer_counts_as_full() -> None:
    async with stand() as s:
        queue = Queue()
        await with_queue(s, queue, Stage("read", Actions(INVALID)), asks_for_room=True)
        await s.system.stop(s.system.ref("/queue"))
        item = await s.submit()

        assert await s.place(item) == "paused"


async def parked(s: Stand, read: Actions, queue: Queue) -> tuple[str, TakeBack]:
    await with_queue(s, queue, Stage("store", Actions()), Stage("read", read))
    item = await s.submit({"name": "a"})
    await s.running.result(item)
    entry = f"dead-letter/mail/{item}"
    return item, TakeBack(entry, 1, f"item/letters/{item}", 4)


@pytest.mark.asyncio
async def test_a_dead_letter_goes_on_where_it_failed_and_once_only() -> None:
    async with stand() as s:
        read = Actions(INVALID)
        item, take_back = await parked(s, read, Queue())
        items = s.system.ref("/pipelines/letters/items")
        taken = await asyncio.gather(items.ask(take_back), items.ask(take_back))
        assert all(taken)
        ended = await s.running.result(item)

        assert (ended.place, ended.redrives) == ("done", 1)
        assert read.attempts == [1, 1]
        tags = await s.tags(item)
        assert (tags.count("redriven"), tags.count("stage_done")) == (1, 2)
        entry = [each.event for each in await s.log.read_stream(take_back.entry)]
        assert [type(event).__name__ for event in entry] == ["Parked", "Returned"]
        assert await items.ask(take_back) is True
        assert len(await s.tags(item)) == len(tags)


@pytest.mark.asyncio
async def test_a_dead_letter_with_an_edited_payload_starts_anew() -> None:
    async with stand() as s:
        read = Actions(INVALID)
        item, take_back = await parked(s, read, Queue())
        edited = msgspec.structs.replace(take_back, payload=msgspec.Raw(b'"b"'))
        assert await s.system.ref("/pipelines/letters/items").ask(edited)
        ended = await s.running.result(item)

        assert (ended.place, read.calls[-1].payload) == ("done", "b")
        assert (await s.tags(item)).count("stage_done") == 3


@pytest.mark.asyncio
async def test_a_redriven_item_that_fails_again_gets_an_entry_of_its_own() -> None:
    async with stand() as s:
        queue = Queue()
        item, take_back = await parked(s, Actions(INVALID, INVALID), queue)
        assert await s.system.ref("/pipelines/letters/items").ask(take_back)
        await s.running.result(item)

        streams = [adopt.stream for adopt in queue.adopted]
        assert streams == [take_back.entry, f"{take_back.entry}.1"]


@pytest.mark.asyncio
async def test_what_is_no_dead_letter_of_this_entry_is_not_taken_back() -> None:
    async with stand() as s:
        item, take_back = await parked(s, Actions(INVALID), Queue())
        before = await s.tags(item)
        wrong = msgspec.structs.replace(take_back, entry="dead-letter/mail/other")

        assert await s.system.ref("/pipelines/letters/items").ask(wrong) is False
        assert await s.tags(item) == before


@pytest.mark.asyncio
async def test_a_dead_letter_is_not_taken_back_while_the_log_is_down() -> None:
    async with stand() as s:
        item, take_back = await parked(s, Actions(INVALID), Queue())
        ask = s.system.ref("/pipelines/letters/items").ask(take_back)
        s.log.fail()
        s.log.recover()
        with pytest.raises(ActorStoppedError):
            await ask
        await s.system.settled()

        assert await s.system.ref("/pipelines/letters/items").ask(take_back)
        assert (await s.running.result(item)).place == "done"
        assert by_tag(await s.events(item), "redriven")
