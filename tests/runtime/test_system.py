"""A system lives inside a running loop, and leaves it as it was."""

import asyncio
import random
from typing import Any

import anyio
import pytest
from structlog.testing import capture_logs

from dramaturg.actors.runtime import (
    Actor,
    ActorError,
    ActorStoppedError,
    ActorSystem,
    Ask,
    ChildExistsError,
    ChildSpec,
    HandlerError,
    ManualClock,
    Message,
    NoSuchActorError,
    Origin,
    Ref,
    SystemClosedError,
    handles,
    pump,
)

from .actors import Add, Counter, Fail, Get, GetSlowly, spec


class Told(Actor):
    """Writes down what happens to it."""

    def __init__(self, name: str, told: list[str]) -> None:
        self.name = name
        self.told = told

    async def starting(self) -> None:
        await asyncio.sleep(0)
        self.told.append(f"{self.name} starts")

    async def stopping(self) -> None:
        await asyncio.sleep(0)
        self.told.append(f"{self.name} stops")

    async def restarting(self, error: BaseException | None) -> None:
        self.told.append(f"{self.name} restarts after {error!r}")

    @handles
    def fail(self, message: Fail) -> None:  # noqa: ARG002 - a handler takes its message
        raise ValueError(self.name)

    @handles
    async def leave(self, message: Add) -> None:  # noqa: ARG002 - likewise
        await self.ctx.stop()

    @handles
    async def have(self, message: Get) -> int:  # noqa: ARG002 - likewise
        child = await self.ctx.spawn(spec("child", lambda: Told("child", self.told)))
        await self.ctx.stop(child)
        return 1


def telling(name: str, told: list[str]) -> ChildSpec:
    return spec(name, lambda: Told(name, told))


@pytest.mark.asyncio
async def test_actors_stop_in_the_reverse_order_of_their_start() -> None:
    told: list[str] = []
    async with ActorSystem() as system:
        for name in "abc":
            await system.spawn(telling(name, told))

    assert told == [f"{n} starts" for n in "abc"] + [f"{n} stops" for n in "cba"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.asyncio
async def test_an_error_of_the_block_leaves_as_it_is_after_an_orderly_stop() -> None:
    told: list[str] = []
    with pytest.raises(KeyError, match="mine"):  # noqa: PT012 - the block is the point
        async with ActorSystem() as system:
            await system.spawn(telling("a", told))
            raise KeyError("mine")

    assert told == ["a starts", "a stops"]


@pytest.mark.asyncio
async def test_a_cancelled_block_stops_in_an_orderly_way() -> None:
    told: list[str] = []
    with anyio.CancelScope() as scope:
        async with ActorSystem() as system:
            await system.spawn(telling("a", told))
            scope.cancel()
            await anyio.sleep(60)

    assert scope.cancelled_caught
    assert told == ["a starts", "a stops"]


@pytest.mark.asyncio
async def test_a_system_that_is_cancelled_before_it_is_up_leaves_nothing() -> None:
    with anyio.move_on_after(0) as scope:
        async with ActorSystem():
            await anyio.sleep(60)

    assert scope.cancelled_caught
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.asyncio
async def test_a_cancelled_task_stops_its_system() -> None:
    told: list[str] = []
    up = asyncio.Event()

    async def host() -> None:
        async with ActorSystem() as system:
            await system.spawn(telling("a", told))
            up.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(host())
    await up.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert told == ["a starts", "a stops"]


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.asyncio
async def test_a_task_cancelled_as_its_system_comes_up_leaves_nothing(
    turns: int,
) -> None:
    async def host() -> None:
        async with ActorSystem():
            await asyncio.Event().wait()

    task = asyncio.ensure_future(host())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.asyncio
async def test_a_second_cancellation_cuts_the_orderly_stop_short() -> None:
    stopping = asyncio.Event()

    class Slow(Actor):
        async def stopping(self) -> None:
            stopping.set()
            await asyncio.Event().wait()

    async def host() -> None:
        async with ActorSystem() as system:
            await system.spawn(spec("slow", Slow))
            await asyncio.Event().wait()

    task = asyncio.ensure_future(host())
    await system_turns()
    task.cancel()
    await stopping.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.asyncio
async def test_a_cancellation_while_it_stops_waits_for_the_orderly_stop() -> None:
    ended: list[str] = []

    class Slow(Actor):
        async def stopping(self) -> None:
            stopping.set()
            await gate.wait()
            ended.append(self.ctx.self.path)

    stopping, gate = asyncio.Event(), asyncio.Event()

    async def host() -> None:
        async with ActorSystem() as system:
            await system.spawn(spec("a", Slow))
            await system.spawn(spec("b", Slow))

    task = asyncio.ensure_future(host())
    await stopping.wait()
    task.cancel()
    await system_turns()
    assert not task.done()
    gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert ended == ["/b", "/a"]


@pytest.mark.asyncio
async def test_what_is_cut_off_answers_whoever_waits_and_does_nothing_more() -> None:
    clock = ManualClock()
    rung: list[str] = []
    stopping = asyncio.Event()

    class Slow(Actor):
        async def stopping(self) -> None:
            stopping.set()
            await asyncio.Event().wait()

    class Clerk(Counter):
        async def starting(self) -> None:
            self.ctx.timers.every("ring", 1.0, Add())

        @handles
        def add(self, message: Add) -> None:
            rung.append(type(message).__name__)

    async def host() -> None:
        async with ActorSystem(clock=clock) as system:
            systems.append(system)
            refs.append(await system.spawn(spec("clerk", Clerk)))
            refs.append(await system.spawn(spec("slow", Slow)))
            await asyncio.Event().wait()

    systems: list[ActorSystem] = []
    refs: list[Ref] = []
    task = asyncio.ensure_future(host())
    await system_turns()
    asked = refs[0].ask(GetSlowly(1_000_000))
    unread = refs[0].ask(Get())
    stop = asyncio.ensure_future(systems[0].stop(refs[1]))
    await stopping.wait()
    task.cancel()
    await system_turns()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    for waiting in (asked, unread):
        with pytest.raises(ActorError):
            await waiting
    with pytest.raises(SystemClosedError, match="cut short"):
        await stop
    assert clock.next_s is None
    refs[0].tell(Add())
    with pytest.raises(ActorStoppedError):
        await refs[0].ask(Get())
    assert rung == []


@pytest.mark.parametrize("turns", range(8))
@pytest.mark.parametrize("eager", [True, False], ids=["stepped", "tasks"])
@pytest.mark.asyncio
async def test_a_loop_may_cancel_all_tasks_at_once(turns: int, *, eager: bool) -> None:
    """As `asyncio.run` does when its main task ends by Ctrl-C or an exit."""
    clock = ManualClock()

    async def host() -> None:
        async with ActorSystem(clock=clock, eager=eager) as system:
            refs.append(await system.spawn(spec("a", Counter)))
            await refs[0].ask(GetSlowly(1_000_000))

    refs: list[Ref] = []
    task = asyncio.ensure_future(host())
    for _ in range(turns):
        await asyncio.sleep(0)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for other in others:
        other.cancel()
    await asyncio.wait(others)
    await asyncio.sleep(0)

    assert task.cancelled()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert clock.next_s is None
    for ref in refs:
        with pytest.raises(ActorStoppedError):
            await ref.ask(Get())


@pytest.mark.asyncio
async def test_several_systems_live_side_by_side() -> None:
    async with ActorSystem(name="one") as one, ActorSystem(name="two") as two:
        a = await one.spawn(spec("counter", Counter))
        b = await two.spawn(spec("counter", Counter))
        a.tell(Add(1))
        b.tell(Add(2))

        assert (await a.ask(Get()), await b.ask(Get())) == (1, 2)


@pytest.mark.asyncio
async def test_a_system_is_entered_once() -> None:
    system = ActorSystem()
    with pytest.raises(SystemClosedError, match="use async with"):
        await system.spawn(spec("counter", Counter))
    async with system:
        with pytest.raises(SystemClosedError, match="make another"):
            await system.__aenter__()


@pytest.mark.asyncio
async def test_actors_are_looked_up_by_path() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter))

        assert system.ref("/counter") is counter
        assert counter.path == "/counter"
        assert repr(counter) == "<Ref /counter>"
        assert {counter: 1}[system.ref("/counter")] == 1
        with pytest.raises(NoSuchActorError, match="/counter/child"):
            system.ref("/counter/child")
        with pytest.raises(ChildExistsError):
            await system.spawn(spec("counter", Counter))


@pytest.mark.asyncio
async def test_an_actor_stops_itself_after_its_message() -> None:
    told: list[str] = []
    async with ActorSystem() as system:
        ref = await system.spawn(
            ChildSpec(id="a", factory=lambda: Told("a", told), restart="transient"),
        )
        ref.tell(Add())
        await system.settled()

        assert told == ["a starts", "a stops"]
        with pytest.raises(ActorStoppedError):
            await ref.ask(Get())


@pytest.mark.asyncio
async def test_hooks_are_called_around_a_restart() -> None:
    told: list[str] = []
    async with ActorSystem() as system:
        ref = await system.spawn(telling("a", told))
        ref.tell(Fail())
        await system.settled()

        assert told == [
            "a starts",
            "a restarts after ValueError('a')",
            "a starts",
        ]


@pytest.mark.asyncio
async def test_an_actor_starts_and_stops_children() -> None:
    told: list[str] = []
    async with ActorSystem() as system:
        ref = await system.spawn(telling("a", told))

        assert await ref.ask(Get()) == 1
        assert told == ["a starts", "child starts", "child stops"]


@pytest.mark.asyncio
async def test_what_cannot_start_is_not_there() -> None:
    class Broken(Actor):
        async def starting(self) -> None:
            raise OSError("no")

    async with ActorSystem() as system:
        with pytest.raises(OSError, match="no"):
            await system.spawn(spec("broken", Broken))
        with pytest.raises(NoSuchActorError):
            system.ref("/broken")
        await system.spawn(spec("broken", Counter))


@pytest.mark.asyncio
async def test_a_suspended_handler_is_cancelled_when_its_time_to_stop_is_up() -> None:
    clock = ManualClock()
    async with ActorSystem(clock=clock) as system:
        ref = await system.spawn(spec("counter", Counter))
        slow = ref.ask(GetSlowly(10**9), timeout_s=10**6)
        stop = asyncio.ensure_future(system.stop(ref))
        await system_turns()
        assert not slow.done()
        clock.advance(5)
        await stop

        assert slow.exception() is not None


async def system_turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Where(Ask[tuple[str, str, Any]]):
    pass


class Pass(Message):
    ref: Ref


class Curious(Actor):
    """Tells what it knows of the message at work."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, Any]] = []

    @handles
    async def where(self, message: Where) -> tuple[str, str, Any]:  # noqa: ARG002 - it takes its message
        await asyncio.sleep(0)
        return self.ctx.corr, self.ctx.by, self.ctx.cause

    @handles
    async def on(self, message: Pass) -> None:
        await asyncio.sleep(0)
        message.ref.tell(Add())

    @handles
    def add(self, message: Add) -> None:  # noqa: ARG002 - it takes its message
        self.heard.append((self.ctx.corr, self.ctx.by, self.ctx.cause))
        self.ctx.log.info("message.heard")

    @handles
    def get(self, message: Get) -> int:  # noqa: ARG002 - it takes its message
        assert self.ctx.self is self.ctx.system.ref(self.ctx.self.path)
        return round(self.ctx.now_s) + self.ctx.now_us + self.ctx.random.randint(1, 9)


ORIGIN = Origin(corr="c-1", by="ada", cause=("item/1", 7))


@pytest.mark.asyncio
async def test_an_origin_travels_with_all_that_a_message_causes() -> None:
    async with ActorSystem() as system:
        a = await system.spawn(spec("a", Curious))
        b = await system.spawn(spec("b", Curious))
        with capture_logs() as lines:
            a.tell(Pass(b), origin=ORIGIN)
            await system.settled()

        actor = system.cell("/b").actor
        assert isinstance(actor, Curious)
        assert actor.heard == [("c-1", "ada", ("item/1", 7))]
        assert lines == [
            {
                "actor": "/b",
                "corr": "c-1",
                "by": "ada",
                "cause": "item/1@7",
                "event": "message.heard",
                "log_level": "info",
            },
        ]


@pytest.mark.asyncio
async def test_an_origin_ends_with_its_message() -> None:
    async with ActorSystem() as system:
        a = await system.spawn(spec("a", Curious))
        assert await a.ask(Where(), origin=ORIGIN) == ("c-1", "ada", ("item/1", 7))
        assert await a.ask(Where()) == ("", "", None)
        a.tell(Add(), origin=ORIGIN)
        a.tell(Add())
        with capture_logs() as lines:
            await system.settled()

        assert lines[1] == {
            "actor": "/a",
            "event": "message.heard",
            "log_level": "info",
        }


@pytest.mark.asyncio
async def test_time_and_chance_are_the_system_s() -> None:
    clock = ManualClock(now_us=1_000)
    async with ActorSystem(clock=clock, seed=3) as system:
        a = await system.spawn(spec("a", Curious))
        clock.advance(2)
        draw = random.Random(3).randint(1, 9)

        assert await a.ask(Get()) == 2 + 2_001_000 + draw


@pytest.mark.asyncio
async def test_a_turn_that_took_too_long_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pump, "SLICE_S", -1.0)
    monkeypatch.setattr(pump, "SLOW_S", 0.0)
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter))
        with capture_logs() as lines:
            for _ in range(20):
                counter.tell(Add())
            await system.settled()

    assert lines[0]["event"] == "actor.turn_slow"
    assert lines[0]["actor"] == "/counter"


@pytest.mark.asyncio
async def test_a_handler_that_wants_the_process_to_end_is_let() -> None:
    class Last(Actor):
        @handles
        def quit(self, message: Add) -> None:
            raise SystemExit(message.n)

    loop = asyncio.new_event_loop()

    async def host() -> None:
        async with ActorSystem() as system:
            ref = await system.spawn(spec("last", Last))
            ref.tell(Add(3))
            await asyncio.Event().wait()

    def run() -> int | str | None:
        try:
            loop.run_until_complete(host())
        except SystemExit as end:
            for task in asyncio.all_tasks(loop):
                task.cancel()
                loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
            return end.code
        finally:
            loop.close()
        return None

    assert await asyncio.to_thread(run) == 3


def test_a_handler_says_what_it_handles() -> None:
    with pytest.raises(HandlerError, match=r"Silent\.handle does not say"):

        class Silent(Actor):  # pyright: ignore[reportUnusedClass]  # defining it fails
            @handles  # pyright: ignore[reportUnknownArgumentType]  # on purpose
            def handle(self, message):  # type: ignore[no-untyped-def]  # on purpose
                pass

    with pytest.raises(HandlerError, match=r"Deaf\.handle does not say"):

        class Deaf(Actor):  # pyright: ignore[reportUnusedClass]  # likewise
            @handles
            def handle(self) -> None:
                pass


@pytest.mark.asyncio
async def test_the_nearest_class_s_handler_takes_a_message() -> None:
    class Narrow(Get):
        pass

    class Wide(Counter):
        @handles
        def get(self, message: Get) -> int:
            return super().get(message) + 100

    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Wide))

        assert await counter.ask(Narrow()) == 100
        assert await counter.ask(Narrow()) == 100
