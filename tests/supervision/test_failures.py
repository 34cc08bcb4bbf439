"""Failures at every point of a life, and how far upwards they go."""

import asyncio
import contextlib
import logging
from collections.abc import Callable

import pytest
import structlog
from structlog.testing import capture_logs

from dramaturg.actors.runtime import (
    Actor,
    ActorFailed,
    ActorRestarted,
    ActorStopped,
    ActorSystem,
    AnySpec,
    Ask,
    Backoff,
    ChildSpec,
    IntensityExceededError,
    KilledError,
    ManualClock,
    Message,
    NoSuchActorError,
    StartTimeoutError,
    SupervisorSpec,
    UnrecoverableError,
    handles,
)


class Fail(Message):
    pass


class FailForEver(Message):
    pass


class Hang(Ask[None]):
    pass


class Get(Ask[int]):
    pass


class Count(Message):
    pass


async def ignoring(cancellations: int) -> None:
    """Hang and take no notice of so many cancellations."""
    for _ in range(cancellations):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
    await asyncio.Event().wait()


class Frail(Actor):
    """Fails where it is told to."""

    def __init__(self, number: int = 1, *, fails: str = "") -> None:
        self.number = number
        self.fails = fails
        self.counted = 0

    async def starting(self) -> None:
        if self.fails == "start":
            raise OSError(self.number)
        if self.fails == "hang":
            await asyncio.Event().wait()
        if self.fails == "defy":
            await ignoring(2)

    async def stopping(self) -> None:
        if self.fails == "stop":
            raise OSError(self.number)
        if self.fails == "hang in stop":
            await asyncio.Event().wait()

    async def restarting(self, error: BaseException | None) -> None:
        if self.fails == "restart":
            raise OSError(self.number) from error

    @handles
    def fail(self, message: Fail) -> None:
        raise ValueError(message)

    @handles
    def fail_for_ever(self, message: FailForEver) -> None:
        raise UnrecoverableError(message)

    @handles
    async def hang(self, _: Hang) -> None:
        await asyncio.Event().wait()

    @handles
    def get(self, _: Get) -> int:
        return self.number * 100 + self.counted

    @handles
    def count(self, _: Count) -> None:
        self.counted += 1


def lives(*fails: str) -> Callable[[], Frail]:
    """Make instances that fail as listed, the last for ever; numbered from 1."""
    made = 0

    def factory() -> Frail:
        nonlocal made
        made += 1
        return Frail(made, fails=fails[min(made, len(fails)) - 1])

    return factory


def spec(name: str, *fails: str) -> ChildSpec:
    return ChildSpec(id=name, factory=lives(*fails or ("",)))


async def fail_until_the_end(of: AnySpec, path: str) -> None:
    """Have an actor fail in a system that is not expected to survive it."""
    async with ActorSystem() as system:
        await system.spawn(of)
        system.ref(path).tell(Fail())
        await asyncio.Event().wait()


# In starting


@pytest.mark.asyncio
async def test_a_child_that_cannot_start_is_reported_to_the_spawner_and_gone() -> None:
    async with ActorSystem() as system:
        with pytest.raises(OSError, match="1"):
            await system.spawn(spec("a", "start"))

        with pytest.raises(NoSuchActorError):
            system.ref("/a")
        assert await (await system.spawn(spec("a"))).ask(Get()) == 100


@pytest.mark.asyncio
async def test_a_factory_that_raises_is_like_a_start_that_fails() -> None:
    def factory() -> Actor:
        raise OSError

    async with ActorSystem() as system:
        with pytest.raises(OSError):  # noqa: PT011 - it has no message
            await system.spawn(ChildSpec(id="a", factory=factory))


@pytest.mark.asyncio
async def test_a_supervisor_whose_child_cannot_start_stops_those_before_it() -> None:
    stopped: list[str] = []
    children = [spec("a"), spec("b"), spec("c", "start"), spec("d")]

    async with ActorSystem() as system:
        system.events.subscribe(ActorStopped, lambda each: stopped.append(each.path))
        with pytest.raises(OSError, match="1"):
            await system.spawn(SupervisorSpec(id="s", children=children))

        assert stopped == ["/s/b", "/s/a"]
        assert system.tree().children == ()


@pytest.mark.asyncio
async def test_a_spawn_that_is_cancelled_leaves_nothing() -> None:
    async with ActorSystem() as system:
        spawning = asyncio.create_task(system.spawn(spec("a", "hang")))
        await system.settled()
        spawning.cancel()
        with pytest.raises(asyncio.CancelledError):
            await spawning
        await system.settled()

        assert system.tree().children == ()


@pytest.mark.asyncio
async def test_a_start_that_hangs_does_not_keep_the_system_from_ending() -> None:
    async with ActorSystem() as system:
        spawning = asyncio.create_task(system.spawn(spec("a", "hang")))
        await system.settled()

    with pytest.raises(Exception, match="/a has stopped"):
        await spawning


@pytest.mark.asyncio
async def test_a_start_that_defies_its_cancellation_is_abandoned() -> None:
    clock = ManualClock()

    async with ActorSystem(clock=clock) as system:
        spawning = asyncio.create_task(system.spawn(spec("a", "defy")))
        await system.settled()
        stopping = asyncio.create_task(system.stop(system.ref("/a")))
        await system.settled()
        assert not stopping.done()
        with capture_logs() as lines:
            clock.advance(5.0)
            await stopping

        assert [line["event"] for line in lines] == ["actor.abandoned"]
        with pytest.raises(Exception, match="/a has stopped"):
            await spawning


@pytest.mark.asyncio
async def test_a_start_has_a_time_limit() -> None:
    clock = ManualClock()
    slow = ChildSpec(id="a", factory=spec("a", "hang").factory, start_max_s=3.0)

    async with ActorSystem(clock=clock) as system:
        spawning = asyncio.create_task(system.spawn(slow))
        await system.settled()
        clock.advance(3.0)
        with pytest.raises(StartTimeoutError, match="/a was not ready after 3 s"):
            await spawning

        assert system.tree().children == ()
        assert clock.next_s is None


@pytest.mark.asyncio
async def test_a_start_that_defies_its_time_limit_is_abandoned() -> None:
    clock = ManualClock()

    async with ActorSystem(clock=clock) as system:
        spawning = asyncio.create_task(system.spawn(spec("a", "defy")))
        await system.settled()
        clock.advance(60.0)
        await system.settled()
        assert not spawning.done()
        clock.advance(5.0)
        with pytest.raises(StartTimeoutError):
            await spawning


# In a handler


class Failing(Ask[int]):
    pass


class Child(Frail):
    @handles
    def failing(self, message: Failing) -> int:
        raise KeyError(message)


@pytest.mark.asyncio
async def test_the_asker_gets_the_error_and_the_actor_is_restarted() -> None:
    restarted: list[ActorRestarted] = []
    failed: list[ActorFailed] = []

    async with ActorSystem() as system:
        system.events.subscribe(ActorRestarted, restarted.append)
        system.events.subscribe(ActorFailed, failed.append)
        ref = await system.spawn(ChildSpec(id="a", factory=Child))
        with pytest.raises(KeyError):
            await ref.ask(Failing())
        await system.settled()

    assert restarted == [ActorRestarted("/a", 1)]
    assert [(each.path, each.message) for each in failed] == [("/a", Failing())]


@pytest.mark.asyncio
async def test_a_failing_actor_disturbs_nobody_else() -> None:
    async with ActorSystem() as system:
        a = await system.spawn(spec("a"))
        b = await system.spawn(spec("b"))
        b.tell(Count())
        a.tell(Fail())
        b.tell(Count())

        assert await b.ask(Get()) == 102
        assert await a.ask(Get()) == 200


@pytest.mark.asyncio
async def test_the_message_that_crashed_an_actor_becomes_a_dead_message() -> None:
    async with ActorSystem() as system:
        ref = await system.spawn(spec("a"))
        ref.tell(Fail())
        assert await ref.ask(Get()) == 200

        assert [d.message for d in system.dead_messages.latest] == [Fail()]
        assert system.dead_messages.counts == {"crashed": 1}


@pytest.mark.asyncio
async def test_a_message_may_be_given_more_chances_and_keeps_its_place() -> None:
    poisoned = ChildSpec(id="a", factory=lives(""), crashes_max=3)

    async with ActorSystem() as system:
        ref = await system.spawn(poisoned)
        ref.tell(Count())
        ref.tell(Fail())
        ref.tell(Count())

        assert await ref.ask(Get()) == 401
        assert system.dead_messages.counts == {"crashed": 1}


@pytest.mark.asyncio
async def test_what_a_restart_cannot_mend_stops_the_actor() -> None:
    stopped: list[ActorStopped] = []

    async with ActorSystem() as system:
        system.events.subscribe(ActorStopped, stopped.append)
        ref = await system.spawn(spec("a"))
        ref.tell(FailForEver())
        await system.settled()

        assert [each.path for each in stopped] == ["/a"]
        assert isinstance(stopped[0].error, UnrecoverableError)


@pytest.mark.parametrize("directive", ["stop", "escalate", "resume"])
@pytest.mark.asyncio
async def test_a_directive_takes_the_place_of_the_restart(directive: str) -> None:
    child = ChildSpec(
        id="a",
        factory=lives(""),
        directives={ValueError: directive},  # type: ignore[dict-item]  # see above
    )
    alive: list[str] = []

    async def play() -> None:
        async with ActorSystem() as system:
            await system.spawn(child)
            system.ref("/a").tell(Count())
            system.ref("/a").tell(Fail())
            await system.settled()
            alive.extend(each.path for each in system.tree().children)
            if alive:
                assert await system.ref("/a").ask(Get()) == 101

    if directive == "escalate":
        with pytest.raises(ValueError, match="Fail"):
            await play()
    else:
        await play()
        assert alive == (["/a"] if directive == "resume" else [])


@pytest.mark.asyncio
async def test_a_killed_actor_fails_in_the_middle_of_its_handler() -> None:
    async with ActorSystem() as system:
        ref = await system.spawn(spec("a"))
        answer = ref.ask(Hang())
        ref.tell(Count())
        await system.settled()
        system.kill(ref)

        with pytest.raises(KilledError):
            await answer
        assert await ref.ask(Get()) == 201


@pytest.mark.asyncio
async def test_a_kill_while_starting_is_a_start_that_fails() -> None:
    async with ActorSystem() as system:
        spawning = asyncio.create_task(system.spawn(spec("a", "hang")))
        await system.settled()
        system.kill(system.ref("/a"))

        with pytest.raises(KilledError):
            await spawning


# While stopping


@pytest.mark.asyncio
async def test_a_failing_stop_hook_is_reported_and_keeps_nothing_alive() -> None:
    async with ActorSystem() as system:
        ref = await system.spawn(spec("a", "stop"))
        with capture_logs() as lines:
            await system.stop(ref)

        assert [line["event"] for line in lines] == ["actor.hook_failed"]
        assert system.tree().children == ()


@pytest.mark.asyncio
async def test_a_hanging_stop_hook_is_cancelled_after_its_time() -> None:
    clock = ManualClock()

    async with ActorSystem(clock=clock) as system:
        ref = await system.spawn(spec("a", "hang in stop"))
        stopping = asyncio.create_task(system.stop(ref))
        await system.settled()
        assert not stopping.done()
        clock.advance(5.0)
        await stopping

        assert system.tree().children == ()


# While being restarted


@pytest.mark.asyncio
async def test_a_failing_restart_hook_does_not_keep_it_from_coming_back() -> None:
    async with ActorSystem() as system:
        ref = await system.spawn(spec("a", "restart", ""))
        ref.tell(Fail())

        assert await ref.ask(Get()) == 200


@pytest.mark.asyncio
async def test_a_restart_that_fails_is_one_more_failure() -> None:
    async with ActorSystem() as system:
        ref = await system.spawn(spec("a", "", "start", "start", ""))
        ref.tell(Count())
        ref.tell(Fail())
        ref.tell(Count())

        assert await ref.ask(Get()) == 401
        assert system.tree().children[0].restarts == 3


@pytest.mark.asyncio
async def test_restarts_that_fail_too_often_go_upwards() -> None:
    with pytest.raises(IntensityExceededError, match=r"/ gives up.*3 times in 5 s"):
        await fail_until_the_end(spec("a", "", "start"), "/a")


@pytest.mark.asyncio
async def test_a_failing_restart_in_a_group_stops_and_starts_the_group_again() -> None:
    children = [spec("a"), spec("b", "", "start", ""), spec("c")]

    async with ActorSystem() as system:
        await system.spawn(
            SupervisorSpec(id="s", strategy="rest_for_one", children=children)
        )
        system.ref("/s/a").tell(Fail())
        await system.settled()

        numbers = [await system.ref(f"/s/{name}").ask(Get()) for name in "abc"]
        assert numbers == [200, 300, 200]


@pytest.mark.asyncio
async def test_a_stop_interrupts_a_restart() -> None:
    async with ActorSystem() as system:
        ref = await system.spawn(spec("a", "", "hang"))
        ref.tell(Fail())
        await system.settled()
        await system.stop(ref)

        assert system.tree().children == ()


# Supervisors


@pytest.mark.asyncio
async def test_a_supervisor_that_gives_up_is_restarted_with_its_children() -> None:
    async with ActorSystem() as system:
        await system.spawn(SupervisorSpec(id="s", children=[spec("a"), spec("b")]))
        old = system.ref("/s/a")
        for _ in range(4):
            old.tell(Fail())
        await system.settled()

        assert system.tree().children[0].restarts == 1
        assert await system.ref("/s/a").ask(Get()) == 500
        assert await system.ref("/s/b").ask(Get()) == 200


@pytest.mark.asyncio
async def test_failures_climb_to_the_root_and_end_the_system_with_their_error() -> None:
    inner = SupervisorSpec(id="inner", children=[spec("a")], restarts_max=0)
    outer = SupervisorSpec(id="outer", children=[inner], restarts_max=0)
    top = SupervisorSpec(
        id="top",
        children=[outer],
        restarts_max=0,
        directives={IntensityExceededError: "escalate"},
    )

    with pytest.raises(IntensityExceededError, match=r"^/top gives up") as caught:
        await fail_until_the_end(top, "/top/outer/inner/a")

    chain: list[str] = []
    error: BaseException | None = caught.value
    while error is not None:
        chain.append(getattr(error, "path", type(error).__name__))
        error = error.__cause__
    assert chain == ["/top", "/top/outer", "/top/outer/inner", "ValueError"]


@pytest.mark.asyncio
async def test_a_parent_that_fails_takes_its_children_down_first() -> None:
    stopped: list[str] = []

    class Parent(Frail):
        async def starting(self) -> None:
            await self.ctx.spawn(spec("x"))
            await self.ctx.spawn(spec("y"))

    async with ActorSystem() as system:
        ref = await system.spawn(ChildSpec(id="p", factory=Parent))
        system.events.subscribe(ActorStopped, lambda each: stopped.append(each.path))
        ref.tell(Fail())
        assert await ref.ask(Get()) == 100

        assert stopped == ["/p/y", "/p/x"]
        assert [c.path for c in system.tree().children[0].children] == ["/p/x", "/p/y"]


class Brief(Frail):
    """Stops itself at the first count."""

    @handles
    async def done(self, _: Count) -> None:
        await self.ctx.stop()


@pytest.mark.asyncio
async def test_the_last_significant_child_ends_its_supervisor() -> None:
    brief = ChildSpec(id="a", factory=Brief, restart="transient", significant=True)
    auto = SupervisorSpec(
        id="s",
        restart="transient",
        children=[brief, spec("b")],
        auto_shutdown="all_significant",
    )

    async with ActorSystem() as system:
        await system.spawn(auto)
        system.ref("/s/a").tell(Count())
        await system.settled()

        assert system.tree().children == ()


@pytest.mark.asyncio
async def test_a_group_backs_off_together_and_stays_down_meanwhile() -> None:
    clock = ManualClock()
    backoff = Backoff(min_s=2.0, jitter=0.0)
    children = [
        ChildSpec(id="a", factory=lives(""), backoff=backoff),
        ChildSpec(id="b", factory=lives("")),
    ]

    async with ActorSystem(clock=clock) as system:
        await system.spawn(
            SupervisorSpec(id="s", strategy="one_for_all", children=children)
        )
        system.ref("/s/a").tell(Fail())
        await system.settled()
        states = [child.state for child in system.tree().children[0].children]
        assert states == ["backing_off", "down"]
        clock.advance(2.0)
        await system.settled()

        assert await system.ref("/s/a").ask(Get()) == 200
        assert await system.ref("/s/b").ask(Get()) == 200


@pytest.mark.asyncio
async def test_a_supervisor_that_stops_forgets_who_was_backing_off() -> None:
    clock = ManualClock()
    child = ChildSpec(id="a", factory=lives(""), backoff=Backoff(min_s=2.0))

    async with ActorSystem(clock=clock) as system:
        sup = await system.spawn(SupervisorSpec(id="s", children=[child]))
        system.ref("/s/a").tell(Fail())
        await system.settled()
        await system.stop(sup)
        clock.advance(60.0)
        await system.settled()

        assert system.tree().children == ()


class ShyError(Exception):
    """An error that tells who wants to see it."""

    seen = 0

    def __repr__(self) -> str:
        type(self).seen += 1
        return "ShyError()"


class Shying(Actor):
    @handles
    def fail(self, message: Fail) -> None:  # noqa: ARG002 - a handler takes its message
        raise ShyError


@pytest.mark.parametrize(("level", "seen"), [(logging.ERROR, 0), (logging.INFO, 1)])
@pytest.mark.asyncio
async def test_a_line_about_a_failure_is_put_together_only_if_it_comes_out(
    level: int, seen: int
) -> None:
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(level))
    ShyError.seen = 0
    try:
        with capture_logs() as lines:
            async with ActorSystem() as system:
                ref = await system.spawn(ChildSpec(id="shy", factory=Shying))
                ref.tell(Fail())
                await system.settled()
                assert system.cell("/shy").restarts == 1
                assert ShyError.seen == seen
    finally:
        structlog.configure(wrapper_class=before)
    names = ["actor.failed", "message.dead", "actor.restarted"]
    assert [line["event"] for line in lines] == names * seen


@pytest.mark.asyncio
async def test_a_logger_that_knows_no_levels_gets_every_line() -> None:
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.BoundLogger)
    try:
        with capture_logs() as lines:
            async with ActorSystem() as system:
                ref = await system.spawn(ChildSpec(id="shy", factory=Shying))
                ref.tell(Fail())
                await system.settled()
    finally:
        structlog.configure(wrapper_class=before)
    assert [line["event"] for line in lines][::2] == ["actor.failed", "actor.restarted"]


@pytest.mark.asyncio
async def test_a_new_instance_is_up_before_other_actors_have_their_turns() -> None:
    seen: list[int] = []

    class Looking(Actor):
        @handles
        def count(self, message: Count) -> None:  # noqa: ARG002 - a handler takes its message
            seen.append(self.ctx.system.cell("/frail").restarts)

    async with ActorSystem() as system:
        frail = await system.spawn(ChildSpec(id="frail", factory=Frail))
        looking = await system.spawn(ChildSpec(id="looking", factory=Looking))
        frail.tell(Fail())
        frail.tell(Count())
        looking.tell(Count())
        await system.settled()

    assert seen == [1]


@pytest.mark.asyncio
async def test_a_fault_of_supervision_is_a_failure_of_the_child(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed: list[BaseException] = []

    async with ActorSystem() as system:
        ref = await system.spawn(ChildSpec(id="shy", factory=Shying))
        system.events.subscribe(ActorFailed, lambda each: failed.append(each.error))
        supervision = system.cell("/shy").supervision

        def faulty(*_: object) -> None:
            raise RuntimeError

        with monkeypatch.context() as patch:
            patch.setattr(type(supervision), "failed", faulty)
            ref.tell(Fail())
            await system.settled()
    assert [type(each) for each in failed] == [ShyError, RuntimeError]
