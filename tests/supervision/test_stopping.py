"""What becomes of an actor's work, children and messages when it stops."""

import asyncio

import pytest
from structlog.testing import capture_logs

from dramaturg.actors.runtime import (
    Actor,
    ActorStoppedError,
    ActorSystem,
    Ask,
    ChildSpec,
    HandlerCancelledError,
    ManualClock,
    Message,
    NoSuchActorError,
    Strategy,
    SupervisorSpec,
    SystemClosedError,
    handles,
)


class Add(Message):
    pass


class Get(Ask[int]):
    pass


class Wait(Ask[None]):
    """Answered once the worker's gate is opened."""


class Defy(Ask[None]):
    """Takes no notice of one cancellation."""


class Stop(Ask[None]):
    drain: bool = False


class Worker(Actor):
    def __init__(self, done: list[str] | None = None) -> None:
        self.done = [] if done is None else done
        self.gate = asyncio.Event()
        self.total = 0

    async def stopping(self) -> None:
        self.done.append(f"stopped at {self.total}")

    @handles
    def add(self, _: Add) -> None:
        self.total += 1

    @handles
    def get(self, _: Get) -> int:
        return self.total

    @handles
    async def wait(self, _: Wait) -> None:
        await self.gate.wait()
        self.done.append("waited")

    @handles
    async def defy(self, _: Defy) -> None:
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            await self.gate.wait()

    @handles
    async def stop(self, message: Stop) -> None:
        await self.ctx.stop(drain=message.drain)
        self.done.append("still here")


def worker(done: list[str], name: str = "a") -> ChildSpec:
    return ChildSpec(id=name, factory=lambda: Worker(done))


@pytest.mark.asyncio
async def test_a_stop_lets_the_current_message_end_and_buries_the_rest() -> None:
    done: list[str] = []

    async with ActorSystem(clock=ManualClock()) as system:
        ref = await system.spawn(worker(done))
        waits = ref.ask(Wait())
        await system.settled()
        ref.tell(Add())
        unread = ref.ask(Get())
        stopping = asyncio.create_task(system.stop(ref))
        await system.settled()
        assert unread.done()  # who will not be read need not wait for the others
        assert ref.ask(Get()).done()
        actor = system.cell("/a").actor
        assert isinstance(actor, Worker)
        actor.gate.set()
        await stopping

        await waits
        with pytest.raises(ActorStoppedError, match="/a has stopped"):
            await unread
        assert done == ["waited", "stopped at 0"]
        dead = [each.message for each in system.dead_messages.latest]
        assert dead == [Add(), Get(), Get()]
        with pytest.raises(NoSuchActorError):
            system.ref("/a")


@pytest.mark.asyncio
async def test_what_comes_after_the_end_is_dead_and_asks_are_told() -> None:
    async with ActorSystem() as system:
        ref = await system.spawn(worker([]))
        await system.stop(ref)
        ref.tell(Add())

        with pytest.raises(ActorStoppedError):
            await ref.ask(Get())
        assert system.dead_messages.counts == {"stopped": 2}


@pytest.mark.asyncio
async def test_a_drained_actor_works_off_what_waits() -> None:
    done: list[str] = []

    async with ActorSystem() as system:
        ref = await system.spawn(worker(done))
        for _ in range(100):
            ref.tell(Add())
        await system.stop(ref, drain=True)
        await system.stop(ref, drain=True)

        assert done == ["stopped at 100"]
        assert system.dead_messages.count == 0


@pytest.mark.parametrize("drain", [False, True])
@pytest.mark.asyncio
async def test_an_actor_may_stop_itself(drain: bool) -> None:  # noqa: FBT001 - a column
    done: list[str] = []

    async with ActorSystem() as system:
        ref = await system.spawn(worker(done))
        before = await system.spawn(ChildSpec(id="before", factory=Actor))
        before.tell(Add())  # its turn comes first, so that all three wait
        ref.tell(Add())
        answer = ref.ask(Stop(drain))
        ref.tell(Add())
        await answer
        await system.settled()

        assert done == ["still here", f"stopped at {1 + drain}"]
        assert [each.path for each in system.tree().children] == ["/before"]


@pytest.mark.asyncio
async def test_a_handler_that_does_not_end_is_cancelled_then_abandoned() -> None:
    clock = ManualClock()

    async with ActorSystem(clock=clock) as system:
        ref = await system.spawn(worker([]))
        answer = ref.ask(Defy(), timeout_s=60.0)
        await system.settled()
        stopping = asyncio.create_task(system.stop(ref))
        await system.settled()
        with capture_logs() as lines:
            clock.advance(5.0)
            await system.settled()
            assert not stopping.done()
            clock.advance(5.0)
            await stopping

        assert lines[0]["event"] == "actor.abandoned"
        with pytest.raises(Exception, match="abandoned"):
            await answer


@pytest.mark.asyncio
async def test_a_stop_goes_on_when_whoever_waits_for_it_is_cancelled() -> None:
    clock = ManualClock()

    async with ActorSystem(clock=clock) as system:
        ref = await system.spawn(worker([]))
        answer = ref.ask(Wait(), timeout_s=60.0)
        await system.settled()
        stopping = asyncio.create_task(system.stop(ref))
        await system.settled()
        stopping.cancel()
        await system.settled()
        clock.advance(5.0)
        await system.settled()

        assert system.tree().children == ()
        with pytest.raises(HandlerCancelledError):
            await answer


@pytest.mark.asyncio
async def test_two_stops_at_once_are_one() -> None:
    done: list[str] = []

    async with ActorSystem() as system:
        ref = await system.spawn(worker(done))
        await asyncio.gather(*(system.stop(ref) for _ in range(3)))

    assert done == ["stopped at 0"]


@pytest.mark.asyncio
async def test_nobody_is_born_under_a_parent_that_goes_down() -> None:
    async with ActorSystem() as system:
        top = await system.spawn(SupervisorSpec(id="s"))
        await system.stop(top)

        with pytest.raises(SystemClosedError, match="/s is stopped"):
            await system.spawn(worker([]), under=top)


@pytest.mark.asyncio
async def test_a_thousand_lives_leave_no_task_and_no_cell() -> None:
    before = asyncio.all_tasks()
    async with ActorSystem() as system:
        watched = await system.spawn(worker([], "watched"))
        resting = len(asyncio.all_tasks())
        for _ in range(1000):
            ref = await system.spawn(worker([]))
            system.watch(system.cell("/a"), watched)
            answer = ref.ask(Wait())
            system.kill(ref)
            with pytest.raises(Exception, match="killed"):
                await answer
            await system.stop(ref)
        await system.settled()

        assert len(asyncio.all_tasks()) <= resting
        assert [each.path for each in system.tree().children] == ["/watched"]
        assert system.tree().children[0].watchers == 0

    assert asyncio.all_tasks() == before


@pytest.mark.asyncio
async def test_without_time_to_shut_down_a_handler_is_cancelled_at_once() -> None:
    spec = ChildSpec(id="a", factory=Worker, shutdown_s=0.0)

    async with ActorSystem(clock=ManualClock()) as system:
        ref = await system.spawn(spec)
        answer = ref.ask(Wait())
        await system.settled()
        await system.stop(ref)

        with pytest.raises(HandlerCancelledError):
            await answer


@pytest.mark.asyncio
async def test_a_kill_ends_the_handler_that_a_stop_waits_for() -> None:
    done: list[str] = []

    async with ActorSystem(clock=ManualClock()) as system:
        ref = await system.spawn(worker(done))
        answer = ref.ask(Wait())
        await system.settled()
        stopping = asyncio.create_task(system.stop(ref))
        await system.settled()
        system.kill(ref)
        await stopping

        with pytest.raises(HandlerCancelledError):
            await answer
        assert done == ["stopped at 0"]


@pytest.mark.parametrize("strategy", ["one_for_one", "dynamic"])
@pytest.mark.asyncio
async def test_the_children_of_a_dynamic_supervisor_stop_beside_one_another(
    strategy: Strategy,
) -> None:
    clock = ManualClock()
    spec = SupervisorSpec(
        id="s", strategy=strategy, children=[worker([], name) for name in "abc"]
    )

    async with ActorSystem(clock=clock) as system:
        top = await system.spawn(spec)
        for name in "abc":
            system.ref(f"/s/{name}").ask(Wait(), timeout_s=60.0)
        await system.settled()
        stopping = asyncio.create_task(system.stop(top))
        await system.settled()
        clock.advance(5.0)
        await system.settled()

        assert stopping.done() == (strategy == "dynamic")
        for _ in range(2):
            clock.advance(5.0)
            await system.settled()
        await stopping
