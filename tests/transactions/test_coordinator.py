"""The coordinator's actor over a made-up world, with time in the test's hands."""

import asyncio

import msgspec
import pytest

from dramaturg.actors.dead_letters.messages import HasRoom, TakeBack
from dramaturg.actors.transactions.errors import (
    FencedError,
    TransactionFailedError,
    TransactionNotFoundError,
    TransactionRefusedError,
    UnknownStepError,
)
from dramaturg.actors.transactions.messages import Report
from dramaturg.actors.transactions.news import Undone
from dramaturg.actors.transactions.step import Do, Nothing, Steps
from dramaturg.events.log.memory import MemoryLog
from dramaturg.events.vocabulary import vocabulary

from .made_up import Args, MadeUp, World, do, house, transaction

pytestmark = pytest.mark.asyncio


def new_log() -> MemoryLog:
    return MemoryLog(vocabulary())


async def test_all_steps_happen_in_order_and_their_results_are_told() -> None:
    world = World()
    async with house(new_log(), world) as one:
        outcome = await one.run(transaction("a", "b"))

        assert outcome.committed
        outcome.require_committed()
        assert [msgspec.json.decode(r) for r in outcome.results] == ["A", "B"]
        assert world.there == ["a", "b"]
        await one.until(lambda: world.tidied == ["a", "b"])
        assert await one.coordinator.active() == ()


async def test_a_failure_takes_everything_back_in_reverse_order() -> None:
    world = World()
    world.fail("run c")
    async with house(new_log(), world) as one:
        outcome = await one.run(transaction("a", "b", "c"))

        assert outcome.end == "rolled_back"
        assert world.there == []
        assert [name for name in world.order if name.startswith("undo")] == [
            *("undo c", "undo b", "undo a")
        ]
        with pytest.raises(TransactionFailedError, match="rolled back: step 2"):
            outcome.require_committed()


async def test_a_group_runs_side_by_side() -> None:
    world = World()
    gates = [world.gate("run a"), world.gate("run b")]
    async with house(new_log(), world) as one:
        stream = await one.begin(transaction(do("a", group=1), do("b", group=1), "c"))
        await world.reached["run a"].wait()
        await world.reached["run b"].wait()
        assert "run c" not in world.order

        for gate in gates:
            gate.set()

        assert (await one.finish(stream)).committed


async def test_a_failing_sibling_cancels_what_runs_beside_it() -> None:
    world = World()
    world.gate("run a")
    world.fail("run b")
    async with house(new_log(), world) as one:
        outcome = await one.run(transaction(do("a", group=1), do("b", group=1)))

        assert outcome.end == "rolled_back"
        assert world.there == []


async def test_a_hanging_step_is_cut_off_by_its_time() -> None:
    world = World()
    world.gate("run a")
    async with house(new_log(), world) as one:
        outcome = await one.run(transaction(do("a", timeout_s=5.0)))

        assert outcome.end == "rolled_back"
        assert "TimeoutError" in outcome.reason
        assert one.clock.now_s() >= 5


async def test_a_step_is_tried_again_as_often_as_it_says() -> None:
    world = World()
    world.fail("prepare a", times=1)
    world.fail("run a", times=1)
    async with house(new_log(), world) as one:
        assert (await one.run(transaction(do("a", attempts_max=3)))).committed
        assert world.order.count("run a") == 2


async def test_the_deadline_turns_it_back() -> None:
    world = World()
    world.gate("run b")
    async with house(new_log(), world) as one:
        outcome = await one.run(transaction("a", "b", deadline_s=10.0))

        assert outcome.reason == "deadline exceeded"
        assert world.there == []


async def test_after_the_pivot_it_goes_forward_until_it_is_stuck() -> None:
    world = World()
    world.fail("run b", times=4)
    async with house(new_log(), world) as one:
        outcome = await one.run(transaction(do("a", pivot=True), "b"))
        assert outcome.end == "stuck"
        assert "run b fails" in outcome.reason
        assert world.there == ["a"]

        await one.coordinator.resolve(outcome.stream, "retry", "it is back")
        assert (await one.finish(outcome.stream)).committed
        assert world.there == ["a", "b"]


async def test_a_compensation_that_keeps_failing_is_visibly_stuck() -> None:
    world = World()
    world.fail("run b")
    world.fail("undo a", times=3)
    async with house(new_log(), world) as one:
        outcome = await one.run(transaction("a", "b"))

        assert outcome.end == "stuck"
        assert await one.coordinator.wait(outcome.stream) == outcome
        (summary,) = await one.coordinator.active()
        assert (summary.phase, summary.done, summary.steps) == ("stuck", 0, 2)

        await one.coordinator.resolve(outcome.stream, "retry", "again")
        assert (await one.finish(outcome.stream)).end == "rolled_back"
        assert world.there == []


async def test_an_end_can_be_declared_by_hand() -> None:
    world = World()
    world.fail("run b")
    world.fail("undo a", times=99)
    async with house(new_log(), world) as one:
        outcome = await one.run(transaction("a", "b"))
        await one.coordinator.resolve(outcome.stream, "roll_back", "cleaned by hand")

        assert (await one.finish(outcome.stream)).end == "rolled_back"
        state = await one.coordinator.state(outcome.stream)
        assert state.phase == "rolled_back"


async def test_it_is_turned_back_by_hand_after_a_preview() -> None:
    world = World()
    world.gate("run b")
    async with house(new_log(), world) as one:
        stream = await one.begin(transaction("a", "b"))
        await world.reached["run b"].wait()

        preview = await one.coordinator.roll_back(
            stream, "changed my mind", dry_run=True
        )
        assert preview == ("1 do", "0 do")
        assert (await one.coordinator.get(stream)) is not None
        assert world.there == ["a"]

        assert await one.coordinator.roll_back(stream, "really") == preview
        outcome = await one.finish(stream)
        assert (outcome.end, outcome.reason) == ("rolled_back", "really")
        assert await one.coordinator.get(stream) is None


async def test_one_key_is_one_transaction() -> None:
    world = World()
    gate = world.gate("run a")
    async with house(new_log(), world) as one:
        first = await one.begin(transaction("a", key="k"))
        again = await one.begin(transaction("a", key="k"))
        assert first == again

        gate.set()
        ended = await one.finish(first)
        assert await one.run(transaction("a", key="k")) == ended
        assert world.order.count("run a") == 1


async def test_what_cannot_begin_leaves_nothing() -> None:
    world = World()
    async with house(new_log(), world) as one:
        with pytest.raises(UnknownStepError, match="known: do"):
            await one.begin(transaction(Do("nope", Args("a"))))
        with pytest.raises(TransactionRefusedError, match="takes Args"):
            await one.begin(transaction(Do("do", Nothing())))
        with pytest.raises(TransactionRefusedError, match="6 steps"):
            await one.begin(transaction(*"abcdef"))
        world.fail("check a")
        with pytest.raises(OSError, match="check a"):
            await one.begin(transaction("a"))
        for _ in range(5):
            world.gate("run g")
            await one.begin(transaction("g"))
        with pytest.raises(TransactionRefusedError, match="active_max"):
            await one.begin(transaction("a"))
        with pytest.raises(TransactionNotFoundError):
            await one.coordinator.roll_back("transaction/main/none", "no")
        stream = (await one.coordinator.active())[0].stream
        with pytest.raises(TransactionRefusedError, match="not stuck"):
            await one.coordinator.resolve(stream, "retry", "no")


async def test_two_steps_of_one_name_are_refused() -> None:
    world = World()
    with pytest.raises(TransactionRefusedError, match="two steps"):
        Steps([MadeUp(world), MadeUp(world)])
    assert len(Steps([MadeUp(world), MadeUp(world, "other")])) == 2
    assert list(Steps([MadeUp(world)])) == ["do"]


async def test_what_cannot_be_tidied_does_no_harm() -> None:
    world = World()
    world.fail("tidy a")
    async with house(new_log(), world) as one:
        assert (await one.run(transaction("a"))).committed
        assert (await one.run(transaction("b"))).committed
        await one.until(lambda: world.tidied == ["b"])


async def test_a_caller_waits_through_a_restart_of_the_actor() -> None:
    world = World()
    world.gate("run a")
    async with house(new_log(), world) as one:
        stream = await one.begin(transaction("a"))
        waiting = asyncio.create_task(one.coordinator.wait(stream))
        await world.reached["run a"].wait()
        await one.system.settled()
        del world.gates["run a"]
        one.ref.tell(Report(stream, Undone(99, 1)))  # it has no such step
        await one.until(waiting.done)

        assert (await waiting).end == "rolled_back"
        (call,) = world.calls
        with pytest.raises(FencedError), call.fence.held():
            pytest.fail("a thread of the first life makes its effect now")


async def test_what_ends_well_lets_no_late_attempt_through_either() -> None:
    world = World()
    async with house(new_log(), world) as one:
        assert (await one.run(transaction("a"))).committed
        (call,) = world.calls
        with pytest.raises(FencedError), call.fence.held():
            pytest.fail("an attempt that was given up makes its effect now")


async def test_a_caller_waits_through_a_failure_of_the_log() -> None:
    world = World()
    world.gate("run a")
    log = new_log()
    async with house(log, world) as one:
        stream = await one.begin(transaction(do("a", in_doubt="redo")))
        waiting = asyncio.create_task(one.coordinator.wait(stream))
        await world.reached["run a"].wait()
        await one.system.settled()
        world.gates.clear()
        log.fail()
        await one.system.settled()
        log.recover()
        await one.until(waiting.done)

        assert (await waiting).committed


async def test_a_message_for_somebody_else_is_refused() -> None:
    async with house(new_log(), World()) as one:
        with pytest.raises(TransactionRefusedError, match="no use"):
            await one.ref.ask(HasRoom("x"))
        assert not await one.ref.ask(TakeBack("e", 1, "transaction/main/x", 1))
        with pytest.raises(TransactionNotFoundError):
            await one.coordinator.wait("transaction/main/never")
