"""A chronicle tells what happens to actors, within bounds, and concerns nobody."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from dramaturg.actors.chronicle import (
    FOLD,
    ChronicleLimits,
    LiveActors,
    SystemState,
    chronicled,
)
from dramaturg.actors.chronicle.state import BURIED_MAX, changes, evolve
from dramaturg.actors.runtime import (
    Actor,
    ActorSystem,
    ChildSpec,
    Mailbox,
    MailboxFullError,
    ManualClock,
    Message,
    SupervisorSpec,
    handles,
)
from dramaturg.events import Event, vocabulary
from dramaturg.events.actors import (
    ActorCount,
    ActorFailed,
    ActorRestarted,
    ActorsCounted,
    ActorStopped,
    SystemStarted,
    SystemStopped,
)
from dramaturg.events.log import EventLog
from dramaturg.events.log.memory import MemoryLog

PATHS = st.sampled_from(["/", "/a", "/a/b", "/a-b", "/c"])
COUNTS = st.builds(
    ActorCount,
    path=PATHS,
    depth=st.integers(0, 2),
    handled=st.integers(0, 3),
    restarts=st.integers(0, 2),
)
TIMES = st.integers(0, 10**9)
EVENTS = st.one_of(
    st.builds(SystemStarted, at_us=TIMES, pid=st.just(1)),
    st.builds(ActorFailed, at_us=TIMES, path=PATHS, error=st.just("KeyError")),
    st.builds(ActorRestarted, at_us=TIMES, path=PATHS, restarts=st.integers(1, 3)),
    st.builds(ActorStopped, at_us=TIMES, path=PATHS, error=st.just("KeyError")),
    st.builds(SystemStopped, at_us=TIMES),
)


class Work(Message):
    pass


class Fail(Message):
    pass


class Worker(Actor):
    @handles
    def work(self, message: Work) -> None:
        pass

    @handles
    def fail(self, message: Fail) -> None:  # noqa: ARG002 - a handler takes its message
        raise ValueError("x" * 500)


async def told(log: EventLog) -> list[Event]:
    events = [recorded.event for recorded in await log.read_stream("system/plant")]
    assert all(isinstance(event, Event) for event in events)
    return events  # type: ignore[return-value]  # just asserted


async def folded(log: EventLog) -> SystemState:
    state = FOLD.initial("system/plant")
    for event in await told(log):
        state = FOLD.evolve(state, event)
    return state


def plant(log: EventLog | None, clock: ManualClock) -> ActorSystem:
    return ActorSystem(log=log, clock=clock, name="plant")


def spec(name: str = "worker") -> ChildSpec:
    return ChildSpec(id=name, factory=Worker)


async def pass_time(system: ActorSystem, clock: ManualClock, seconds: float) -> None:
    await system.settled()
    clock.advance(seconds)
    await system.settled()


@given(st.lists(EVENTS), st.lists(COUNTS), TIMES)
def test_after_a_census_the_state_says_what_the_look_has_found(
    before: list[Event], found: list[ActorCount], at_us: int
) -> None:
    state = SystemState("plant")
    for event in before:
        state = evolve(state, event)
    counts = {count.path: count for count in found}

    changed, gone = changes(state, counts)
    after = evolve(state, ActorsCounted(at_us, changed, gone))

    assert {path: actor.count for path, actor in after.actors.items()} == counts
    assert changes(after, counts) == ((), ())


def test_actors_stand_in_the_order_of_the_tree() -> None:
    paths = ("/a-b", "/a", "/a/b", "/")
    counts = tuple(ActorCount(path) for path in paths)

    state = evolve(SystemState("plant"), ActorsCounted(1, counts))

    assert list(state.actors) == ["/", "/a", "/a/b", "/a-b"]


def test_only_the_latest_dead_are_remembered() -> None:
    state = SystemState("plant")
    for number in range(BURIED_MAX + 1):
        state = evolve(state, ActorStopped(number, f"/{number}", "KeyError"))

    assert len(state.dead) == BURIED_MAX
    assert "/0" not in state.dead


@pytest.mark.asyncio
async def test_failures_and_restarts_are_told_at_once_and_work_by_the_next_census() -> (
    None
):
    clock = ManualClock()
    async with MemoryLog(vocabulary()) as log, plant(log, clock) as system:
        async with chronicled(system):
            worker = await system.spawn(spec())
            await pass_time(system, clock, 1.0)
            worker.tell(Fail())
            await system.settled()

            state = await folded(log)
            assert (state.running, state.pid) == (True, os.getpid())
            actor = state.actors["/worker"]
            assert actor.failure == f"ValueError: {'x' * 200}"
            assert (actor.failures, actor.count.restarts) == (1, 1)
            assert actor.count.handled == 0

            for _ in range(20):
                worker.tell(Work())
            await pass_time(system, clock, 10.0)
            actor = (await folded(log)).actors["/worker"]
            assert (actor.count.handled, actor.rate_per_s) == (21, 2.1)

            await pass_time(system, clock, 10.0)
            assert (await folded(log)).actors["/worker"].rate_per_s == 0
            written = len(await told(log))
            await pass_time(system, clock, 10.0)
            assert len(await told(log)) == written, "an idle system writes nothing"

        assert isinstance((await told(log))[-1], SystemStopped)
        assert not (await folded(log)).running


@pytest.mark.asyncio
async def test_an_actor_that_dies_is_remembered_and_one_that_stops_is_gone() -> None:
    clock = ManualClock()
    async with (
        MemoryLog(vocabulary()) as log,
        plant(log, clock) as system,
        chronicled(system),
    ):
        dying = ChildSpec(id="dying", factory=Worker, restart="temporary")
        ref = await system.spawn(dying)
        other = await system.spawn(spec())
        await pass_time(system, clock, 1.0)

        ref.tell(Fail())
        await system.settled()
        await system.stop(other)
        await pass_time(system, clock, 10.0)

        state = await folded(log)
        assert set(state.actors) == {"/"}
        assert state.dead["/dying"].count.state == "stopped"
        assert state.dead["/dying"].failure.startswith("ValueError")


@pytest.mark.asyncio
async def test_a_storm_of_restarts_is_counted_and_not_written() -> None:
    clock = ManualClock()
    limits = ChronicleLimits(told_max=4)
    async with (
        MemoryLog(vocabulary()) as log,
        plant(log, clock) as system,
        chronicled(system, limits),
    ):
        stormy = SupervisorSpec(id="top", children=[spec()], restarts_max=100)
        await system.spawn(stormy)
        for _ in range(10):
            system.ref("/top/worker").tell(Fail())
            await system.settled()
        await pass_time(system, clock, 1.0)

        events = await told(log)
        news = [e for e in events if isinstance(e, ActorFailed | ActorRestarted)]
        assert len(news) == 4
        state = await folded(log)
        assert state.untold == 16
        assert state.actors["/top/worker"].count.restarts == 10


@pytest.mark.asyncio
async def test_a_census_is_bounded_and_says_how_many_it_leaves_out() -> None:
    clock = ManualClock()
    limits = ChronicleLimits(actors_max=4)
    async with (
        MemoryLog(vocabulary()) as log,
        plant(log, clock) as system,
        chronicled(system, limits),
    ):
        for number in range(5):
            await system.spawn(spec(f"worker-{number}"))
        await pass_time(system, clock, 1.0)

        state = await folded(log)
        assert state.omitted == 3
        assert len(state.actors) == 3  # and the chronicle, which is left out


@pytest.mark.asyncio
async def test_a_chronicle_that_fails_goes_on_after_its_backoff() -> None:
    clock = ManualClock()
    async with (
        MemoryLog(vocabulary()) as log,
        plant(log, clock) as system,
        chronicled(system) as ref,
    ):
        worker = await system.spawn(spec())
        system.kill(ref)
        await pass_time(system, clock, 1.5)
        worker.tell(Fail())
        await pass_time(system, clock, 1.0)

        assert (await folded(log)).actors["/worker"].failures == 1
        names = [type(event).__name__ for event in await told(log)]
        assert names.count("SystemStarted") == 1
        assert "/chronicle" not in (await folded(log)).actors


@pytest.mark.asyncio
async def test_a_system_ends_also_when_its_end_cannot_be_written() -> None:
    clock = ManualClock()
    async with MemoryLog(vocabulary()) as log, plant(log, clock) as system:
        with capture_logs() as lines:
            async with chronicled(system) as ref:
                await system.stop(ref)
        assert [line["event"] for line in lines] == ["chronicle.unfinished"]

        async with chronicled(system) as ref:
            system.kill(ref)
            await system.settled()
        assert not isinstance((await told(log))[-1], SystemStopped)


@pytest.mark.asyncio
async def test_a_new_life_begins_with_nothing_of_the_one_before() -> None:
    clock = ManualClock()
    async with MemoryLog(vocabulary()) as log:
        for names in (["one"], ["two"]):
            async with plant(log, clock) as system, chronicled(system):
                for name in names:
                    await system.spawn(spec(name))
                await pass_time(system, clock, 1.0)
                assert set((await folded(log)).actors) == {"/", f"/{names[0]}"}


@pytest.mark.asyncio
async def test_in_the_process_the_same_state_is_there_without_a_log() -> None:
    clock = ManualClock()
    async with (
        MemoryLog(vocabulary()) as log,
        plant(log, clock) as system,
        chronicled(system),
    ):
        with LiveActors(system) as live:
            worker = await system.spawn(spec())
            worker.tell(Fail())
            worker.tell(Work())
            await pass_time(system, clock, 1.0)
            seen = live.look()
            seen.actors.pop("/chronicle")
            assert seen == await folded(log)
        worker.tell(Fail())
        await system.settled()
        assert live.look().actors["/worker"].failures == 1, "it hears no more"


@pytest.mark.asyncio
@pytest.mark.parametrize("policy", ["reject", "drop_new", "drop_oldest"])
async def test_messages_that_find_no_room_are_counted(policy: str) -> None:
    async with ActorSystem() as system:
        mailbox = Mailbox(capacity=2, policy=policy)  # type: ignore[arg-type]  # one of them
        ref = await system.spawn(
            ChildSpec(id="narrow", factory=Worker, mailbox=mailbox)
        )
        refused = 0
        for _ in range(5):
            try:
                ref.tell(Work())
            except MailboxFullError:
                refused += 1
        (narrow,) = system.tree().children

        assert (narrow.depth, narrow.capacity, narrow.dropped) == (2, 2, 3)
        assert refused == (3 if policy == "reject" else 0)


@pytest.mark.parametrize(
    "wrong", [{"interval_s": 0}, {"first_s": -1}, {"actors_max": 0}, {"told_max": 0}]
)
def test_limits_that_mean_nothing_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
        ChronicleLimits(**wrong)


@pytest.mark.asyncio
async def test_a_turn_without_a_message_is_not_counted_as_one() -> None:
    async with ActorSystem() as system:
        ref = await system.spawn(spec())
        cell = system.cell(ref.path)
        cell.hold()
        cell.release()
        await system.settled()

        assert system.tree().children[0].handled == 0


@pytest.mark.asyncio
async def test_a_chronicle_does_not_care_for_what_it_does_not_know() -> None:
    async with (
        MemoryLog(vocabulary()) as log,
        plant(log, ManualClock()) as system,
        chronicled(system) as ref,
    ):
        ref.tell(Work())
        await system.settled()

        assert system.dead_messages.counts == {"unhandled": 1}
        assert len(await told(log)) == 1
