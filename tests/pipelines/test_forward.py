"""Items on their way forward: attempts, retries, time, breakers, order."""

import asyncio

import msgspec
import pytest

from dramaturg.actors.breakers import BreakerOpenError
from dramaturg.actors.pipelines import (
    DeclarationError,
    ItemNotOpenError,
    Pipeline,
    PipelineFullError,
    Stage,
    Work,
)
from dramaturg.actors.retries import InvalidInputError, RetryPolicy
from dramaturg.actors.runtime import Message

from .stand import HANG, Actions, by_tag, pipeline, stand

STEADY = RetryPolicy(strategy="fixed", base_s=10.0, jitter=False, attempts_max=3)


async def double(work: Work) -> int:
    return 2 * int(work.results.get("first", work.payload))


@pytest.mark.asyncio
async def test_an_item_goes_through_its_stages() -> None:
    async with stand() as s:
        await s.start(
            pipeline(Stage("first", double, progress=40), Stage("second", double)),
        )
        item = await s.submit(3, owner="ann")
        ended = await s.running.result(item)

        assert (ended.place, ended.percent, ended.owner) == ("done", 100, "ann")
        assert msgspec.json.decode(ended.results["second"]) == 12
        tags = ["submitted", "stage_done", "stage_done", "done"]
        assert await s.tags(item) == tags
        figures = await s.running.figures()
        assert figures.ended == {"done": 1}
        assert (figures.open, figures.stages["first"].done) == (0, 1)


@pytest.mark.asyncio
async def test_every_event_of_an_item_stands_under_its_correlation_id() -> None:
    async with stand() as s:
        slow = Actions(ConnectionError("reset"))
        await s.start(pipeline(Stage("read", slow, retry=STEADY)))
        item = await s.submit(corr="request-7", owner="ann", by="bob")
        await s.advance(11)

        stream = s.running.pipeline.prefix + item
        headers = [each.header for each in await s.log.read_stream(stream)]
        assert {header.corr for header in headers} == {"request-7"}
        assert {header.owner for header in headers} == {"ann"}
        assert headers[0].by == "bob"
        assert headers[1].cause == (stream, 1)


@pytest.mark.asyncio
async def test_work_tells_its_key_its_attempt_and_earlier_results() -> None:
    async with stand() as s:
        first, second = Actions({"pages": 3}), Actions()
        await s.start(pipeline(Stage("first", first), Stage("second", second)))
        item = await s.submit({"name": "a"}, key="k-1")
        await s.running.result(item)

        work = second.calls[0]
        assert work.effect_key == f"item/letters/{item}#second"
        assert (work.item, work.key, work.payload) == (item, "k-1", {"name": "a"})
        assert work.payload_as(dict[str, str]) == {"name": "a"}
        assert work.result_as("first", dict[str, int]) == {"pages": 3}


@pytest.mark.asyncio
async def test_a_failed_attempt_is_made_again_after_its_drawn_delay() -> None:
    async with stand() as s:
        flaky = Actions(ConnectionError("reset"), ConnectionError("reset"))
        await s.start(pipeline(Stage("read", flaky, retry=STEADY)))
        item = await s.submit()

        assert await s.place(item) == "waiting_to_retry"
        await s.advance(9)
        assert flaky.attempts == [1]
        await s.advance(2)
        assert flaky.attempts == [1, 2]
        await s.advance(11)
        assert flaky.attempts == [1, 2, 3]
        assert await s.place(item) == "done"
        retry = by_tag(await s.events(item), "retry_scheduled")[0]
        assert (retry.delay_us, retry.failure.kind) == (10_000_000, "connection")


@pytest.mark.asyncio
async def test_invalid_input_is_given_up_at_once() -> None:
    async with stand() as s:
        strict = Actions(InvalidInputError("no pages"))
        await s.start(pipeline(Stage("read", strict, retry=STEADY)))
        item = await s.submit()

        ended = await s.running.result(item)
        assert (ended.place, strict.attempts) == ("rolled_back", [1])
        assert ended.failure is not None
        assert ended.failure.message == "no pages"


@pytest.mark.asyncio
async def test_attempts_end_at_their_limit() -> None:
    async with stand() as s:
        broken = Actions(*[ConnectionError("reset")] * 9)
        await s.start(pipeline(Stage("read", broken, retry=STEADY)))
        item = await s.submit()
        await s.advance(100)

        assert broken.attempts == [1, 2, 3]
        assert await s.place(item) == "rolled_back"
        assert (await s.running.figures()).stages["read"].failed == 3


@pytest.mark.asyncio
async def test_an_attempt_over_its_time_is_cancelled_and_made_again() -> None:
    async with stand() as s:
        hangs = Actions(HANG)
        await s.start(pipeline(Stage("read", hangs, timeout_s=5, retry=STEADY)))
        item = await s.submit()
        await s.advance(4)
        assert hangs.running == 1
        await s.advance(2)

        retry = by_tag(await s.events(item), "retry_scheduled")[0]
        assert (retry.failure.kind, hangs.running) == ("timeout", 0)
        assert "after 5 s" in retry.failure.message
        await s.advance(11)
        assert await s.place(item) == "done"


@pytest.mark.parametrize("result", [object(), "x" * 1_000_001])
@pytest.mark.asyncio
async def test_a_result_that_cannot_be_kept_is_a_failure(result: object) -> None:
    async with stand() as s:
        await s.start(pipeline(Stage("read", Actions(result))))
        item = await s.submit()

        assert (await s.running.result(item)).place == "rolled_back"


class Breaker:
    """Refuses so many calls."""

    def __init__(self, refused: int) -> None:
        self.name = "graph-db"
        self.refused = refused
        self.errors: list[BaseException] = []

    async def call(self, function: object, *args: object) -> object:
        if self.refused:
            self.refused -= 1
            raise BreakerOpenError(self.name, 30.0)
        try:
            return await function(*args)  # type: ignore[operator]  # a coroutine function
        except BaseException as error:
            self.errors.append(error)
            raise


@pytest.mark.asyncio
async def test_while_the_breaker_is_open_attempts_are_put_off_and_not_used_up() -> None:
    async with stand() as s:
        store, breaker = Actions(), Breaker(refused=1)
        stage = Stage("store", store, concurrency=1, retry=STEADY, breaker="graph-db")
        await s.start(pipeline(stage), breakers={"graph-db": breaker})
        first, second = await s.submit(), await s.submit()

        assert await s.place(first) == "waiting_to_retry"
        assert await s.place(second) == "waiting", "the stage asks its breaker later"
        figures = await s.running.figures()
        assert figures.stages["store"].is_blocked
        await s.advance(40)

        put_off = by_tag(await s.events(first), "put_off")[0]
        assert (put_off.breaker, store.attempts) == ("graph-db", [1, 1])
        assert await s.place(first) == await s.place(second) == "done"


@pytest.mark.asyncio
async def test_a_breaker_counts_an_attempt_over_its_time_as_a_failure() -> None:
    async with stand() as s:
        breaker = Breaker(refused=0)
        stage = Stage("store", Actions(HANG), timeout_s=5, breaker=breaker)
        await s.start(pipeline(stage))
        await s.submit()
        await s.advance(6)

        assert [type(error).__name__ for error in breaker.errors] == [
            "AttemptTimeoutError",
        ]


@pytest.mark.asyncio
async def test_an_item_is_not_put_off_for_ever() -> None:
    async with stand() as s:
        stage = Stage("store", Actions(), breaker=Breaker(refused=99))
        await s.start(pipeline(stage, put_offs_max=2))
        item = await s.submit()
        for _ in range(5):
            await s.advance(40)

        ended = await s.running.item(item)
        assert (ended.place, ended.begun) == ("rolled_back", ("store",))
        assert (await s.tags(item)).count("put_off") == 2


@pytest.mark.asyncio
async def test_no_more_attempts_run_than_a_stage_admits_and_urgent_items_go_first() -> (
    None
):
    async with stand() as s:
        read = Actions()
        read.shut()
        await s.start(pipeline(Stage("read", read, concurrency=2)))
        items = [await s.submit(n, priority=int(n == 4)) for n in range(5)]
        assert read.running == 2
        read.open()
        for item in items:
            await s.running.result(item)

        assert read.running_max == 2
        assert [work.payload for work in read.calls][:3] == [0, 1, 4]


@pytest.mark.asyncio
async def test_later_stages_go_first() -> None:
    async with stand() as s:
        first, second = Actions(), Actions()
        first.shut()
        await s.start(
            pipeline(Stage("first", first), Stage("second", second), running_max=1),
        )
        items = [await s.submit(n) for n in range(3)]
        first.open()
        for item in items:
            await s.running.result(item)

        stages = [work.payload for work in second.calls]
        assert stages == [0, 1, 2]
        assert (await s.tags(items[0])).count("stage_started") == 0


@pytest.mark.asyncio
async def test_an_item_is_not_started_before_it_is_due() -> None:
    async with stand() as s:
        read = Actions()
        await s.start(pipeline(Stage("read", read)))
        item = await s.submit(due_us=s.clock.now_us() + 60_000_000)
        await s.advance(59)
        assert (await s.place(item), read.calls) == ("waiting", [])
        await s.advance(2)
        assert await s.place(item) == "done"


@pytest.mark.asyncio
async def test_progress_is_written_at_most_once_a_second() -> None:
    async def tells(work: Work) -> None:
        for percent in (1, 2, 3, 120, 4):
            work.progress(percent)
        work.progress(2)
        await gate.wait()

    gate = asyncio.Event()
    async with stand() as s:
        await s.start(pipeline(Stage("read", tells)))
        item = await s.submit()
        await s.advance(0.5)
        told = [e.percent for e in by_tag(await s.events(item), "progressed")]
        assert told == [1]
        await s.advance(1)
        told = [e.percent for e in by_tag(await s.events(item), "progressed")]
        assert told == [1, 2]
        gate.set()
        await s.running.result(item)
        Work(pipeline="p", item="i", stream="s", stage="read", attempt=1).progress(5)


# Submitting


@pytest.mark.asyncio
async def test_a_key_is_used_once_whether_its_item_is_open_or_ended() -> None:
    async with stand() as s:
        read = Actions()
        read.shut()
        await s.start(pipeline(Stage("read", read)))
        first = await s.running.submit(key="a")
        again = await s.running.submit(key="a")
        assert (first.is_new, again.is_new) == (True, False)
        assert again.item == first.item
        read.open()
        await s.running.result(first.item)
        after = [await s.running.submit(key="a") for _ in range(2)]

        assert [each.item for each in after] == [first.item] * 2
        assert not any(each.is_new for each in after)
        assert len(read.calls) == 1


@pytest.mark.asyncio
async def test_producers_wait_for_room_or_are_told_that_there_is_none() -> None:
    async with stand() as s:
        read = Actions()
        read.shut()
        await s.start(pipeline(Stage("read", read), in_flight_max=2))
        for _ in range(2):
            await s.submit()
        with pytest.raises(PipelineFullError, match="its limit"):
            await s.running.submit(wait=False)
        waiting = [asyncio.create_task(s.running.submit(n)) for n in range(3)]
        await s.system.settled()
        waiting[0].cancel()
        await s.system.settled()
        assert not waiting[1].done()
        read.open()
        submitted = [await task for task in waiting[1:]]
        for each in submitted:
            await s.running.result(each.item)

        assert (await s.running.figures()).open == 0


@pytest.mark.asyncio
async def test_the_end_of_everything_can_be_awaited() -> None:
    async with stand() as s:
        read = Actions()
        read.shut()
        await s.start(pipeline(Stage("read", read)))
        items = [await s.submit(n) for n in range(6)]
        await s.running.pause("look", item=items[5])
        idle = asyncio.create_task(s.running.wait_idle())
        await s.system.settled()
        assert not idle.done()
        read.open()
        await idle

        assert [await s.place(item) for item in items] == ["done"] * 5 + ["paused"]
        await s.running.wait_idle()


@pytest.mark.asyncio
async def test_an_item_that_never_was_is_no_item() -> None:
    async with stand() as s:
        await s.start(pipeline(Stage("read", Actions())))
        with pytest.raises(ItemNotOpenError):
            await s.running.result("0192")
        with pytest.raises(ItemNotOpenError):
            await s.running.cancel("0192", "unwanted")


@pytest.mark.asyncio
async def test_a_message_that_is_no_command_concerns_its_sender_only() -> None:
    async with stand() as s:
        await s.start(pipeline(Stage("read", Actions())))
        for part in ("items", "control"):
            s.system.ref(f"/pipelines/letters/{part}").tell(Message())
        await s.system.settled()

        assert (await s.running.result(await s.submit())).place == "done"
        await s.running.pause("x")


# Declaring


@pytest.mark.parametrize(
    ("stages", "more", "what"),
    [
        ([], {}, "no stages"),
        ([Stage("a/b", double)], {}, "without a slash"),
        ([Stage("a", double), Stage("a", double)], {}, "declared twice"),
        ([Stage("items", double)], {}, "no names for stages"),
        ([Stage("a", double, concurrency=0)], {}, "a.concurrency is 0"),
        ([Stage("a", double, timeout_s=0)], {}, "a.timeout_s is 0"),
        ([Stage("a", double)], {"in_flight_max": 0}, "in_flight_max is 0"),
    ],
)
def test_a_pipeline_that_cannot_run_is_refused(
    stages: list[Stage],
    more: dict[str, int],
    what: str,
) -> None:
    with pytest.raises(DeclarationError, match=what):
        Pipeline("letters", stages, **more)  # type: ignore[arg-type]  # limits


@pytest.mark.asyncio
async def test_a_stage_behind_a_breaker_that_is_not_there_is_refused() -> None:
    async with stand() as s:
        with pytest.raises(DeclarationError, match="graph-db"):
            await s.start(pipeline(Stage("read", Actions(), breaker="graph-db")))


@pytest.mark.asyncio
async def test_the_declaration_is_in_the_log_once_per_change() -> None:
    async with stand() as s:
        await s.start(pipeline(Stage("read", Actions()), dead_letters="mail"))
        recorded = await s.log.read_stream("pipeline/letters")
        assert [each.version for each in recorded] == [1]

    async with stand(s.log.reopened()) as again:
        await again.start(pipeline(Stage("read", Actions()), dead_letters="mail"))
        assert len(await again.log.read_stream("pipeline/letters")) == 1

    async with stand(again.log.reopened()) as third:
        await third.start(pipeline(Stage("read", Actions(), breaker=Breaker(0))))
        last = (await third.log.read_stream("pipeline/letters"))[-1].event
        assert last.stages[0].breaker == "graph-db"  # type: ignore[union-attr]
