"""Supervisors at the edges: children that come, go, finish and wait."""

from typing import Any

import pytest

from dramaturg.actors.runtime import (
    Actor,
    ActorSystem,
    Ask,
    Backoff,
    ChildExistsError,
    ChildSpec,
    ManualClock,
    Message,
    StartChild,
    SupervisorSpec,
    handles,
)
from dramaturg.events.log import LogUnavailableError


class Fail(Message):
    log: bool = False


class Exit(Message):
    pass


class Get(Ask[str]):
    pass


class Plain(Actor):
    @handles
    def fail(self, message: Fail) -> None:
        if message.log:
            raise LogUnavailableError
        raise ValueError(message)

    @handles
    def leave(self, _: Exit) -> None:
        self.ctx.exit()

    @handles
    def get(self, _: Get) -> str:
        return self.ctx.self.path


def plain(name: str, **more: Any) -> ChildSpec:
    return ChildSpec(id=name, factory=Plain, **more)


def children(system: ActorSystem) -> dict[str, str]:
    return {c.path: c.state for c in system.tree().children[0].children}


@pytest.mark.parametrize(
    "more",
    [
        {"id": ""},
        {"id": "a/b"},
        {"id": "a", "crashes_max": 0},
        {"id": "a", "shutdown_s": -1.0},
        {"id": "a", "handler_max_s": 0.0},
        {"id": "a", "significant": True},
    ],
)
def test_a_spec_that_cannot_work_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"take|idle"):
        ChildSpec(factory=Plain, **more)


@pytest.mark.asyncio
async def test_a_supervisor_starts_more_children_when_asked() -> None:
    async with ActorSystem() as system:
        top = await system.spawn(SupervisorSpec(id="s", strategy="dynamic"))
        ref = await top.ask(StartChild(plain("a")))
        other = await system.spawn(plain("b"), under=top)
        with pytest.raises(ChildExistsError):
            await system.spawn(plain("b"), under=top)

        assert await ref.ask(Get()) == "/s/a"
        assert await other.ask(Get()) == "/s/b"


class Unable(Actor):
    async def starting(self) -> None:
        raise ZeroDivisionError


@pytest.mark.asyncio
async def test_a_child_that_cannot_be_added_is_the_askers_concern_alone() -> None:
    unable = ChildSpec(id="u", factory=Unable)

    async with ActorSystem() as system:
        top = await system.spawn(SupervisorSpec(id="s", children=[plain("a")]))
        with pytest.raises(ZeroDivisionError):
            await top.ask(StartChild(unable))
        with pytest.raises(ChildExistsError):
            await top.ask(StartChild(plain("a")))
        top.tell(StartChild(unable))
        await system.settled()

        assert children(system) == {"/s/a": "running"}
        family = system.tree().children[0]
        assert (family.restarts, family.children[0].restarts) == (0, 0)


@pytest.mark.asyncio
async def test_a_finished_child_is_started_again_with_its_group() -> None:
    group = [plain("a"), plain("b", restart="transient"), plain("c")]
    spec = SupervisorSpec(id="s", strategy="one_for_all", children=group)

    async with ActorSystem() as system:
        await system.spawn(spec)
        system.ref("/s/b").tell(Exit())
        await system.settled()
        assert children(system)["/s/b"] == "stopped"
        system.ref("/s/c").tell(Fail())
        await system.settled()

        assert list(children(system)) == ["/s/a", "/s/b", "/s/c"]
        assert await system.ref("/s/b").ask(Get()) == "/s/b"


@pytest.mark.asyncio
async def test_a_group_restart_ends_temporary_children() -> None:
    group = [plain("a"), plain("b", restart="temporary")]
    spec = SupervisorSpec(id="s", strategy="one_for_all", children=group)

    async with ActorSystem() as system:
        await system.spawn(spec)
        system.ref("/s/a").tell(Fail())
        await system.settled()

        assert children(system) == {"/s/a": "running"}


@pytest.mark.asyncio
async def test_an_earlier_failure_brings_back_a_group_that_backs_off() -> None:
    group = [plain("a"), plain("b", backoff=Backoff(min_s=9.0)), plain("c")]
    spec = SupervisorSpec(id="s", strategy="rest_for_one", children=group)

    async with ActorSystem(clock=ManualClock()) as system:
        await system.spawn(spec)
        system.ref("/s/b").tell(Fail())
        await system.settled()
        assert children(system)["/s/b"] == "backing_off"
        system.ref("/s/a").tell(Fail())
        await system.settled()

        assert set(children(system).values()) == {"running"}


@pytest.mark.asyncio
async def test_a_child_stopped_while_it_backs_off_stays_away() -> None:
    clock = ManualClock()
    spec = SupervisorSpec(id="s", children=[plain("a", backoff=Backoff(min_s=9.0))])

    async with ActorSystem(clock=clock) as system:
        await system.spawn(spec)
        ref = system.ref("/s/a")
        ref.tell(Fail())
        await system.settled()
        await system.stop(ref)
        clock.advance(60.0)
        await system.settled()

        assert children(system) == {}


@pytest.mark.asyncio
async def test_failures_for_want_of_the_log_do_not_count() -> None:
    spec = SupervisorSpec(id="s", children=[plain("a")], restarts_max=0)

    async with ActorSystem(clock=ManualClock()) as system:
        await system.spawn(spec)
        for _ in range(5):
            system.ref("/s/a").tell(Fail(log=True))
        await system.settled()

        assert system.tree().children[0].restarts == 0
        assert await system.ref("/s/a").ask(Get()) == "/s/a"


@pytest.mark.asyncio
async def test_exiting_too_often_makes_the_supervisor_give_up() -> None:
    spec = SupervisorSpec(id="s", children=[plain("a")], restarts_max=1)

    async with ActorSystem() as system:
        await system.spawn(spec)
        for _ in range(2):
            system.ref("/s/a").tell(Exit())
            await system.settled()

        assert system.tree().children[0].restarts == 1
        assert "gives up" in system.tree().children[0].failure
