"""What people who know OTP expect, said in its words."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from dramaturg.actors.runtime import (
    Actor,
    ActorContext,
    ActorStoppedError,
    ActorSystem,
    Ask,
    ChildSpec,
    Decision,
    EventSourced,
    EvolveError,
    Ref,
    Restart,
    StartChild,
    SupervisorSpec,
    Terminated,
    handles,
)
from dramaturg.events import Event, Fold, Registry
from dramaturg.events.log.memory import MemoryLog


class End(Ask[None]):
    """End as told: `exit`, `stop` or `fail`."""

    how: str


class Ping(Ask[str]):
    pass


class Watch(Ask[None]):
    ref: Ref


class Member(Actor):
    """Keeps a diary, and takes a turn of the loop to stop."""

    def __init__(self, name: str = "", diary: list[str] | None = None) -> None:
        self.name = name
        self.diary = [] if diary is None else diary
        self.heard: list[str] = []

    async def starting(self) -> None:
        self.diary.append(f"+{self.name}")

    async def stopping(self) -> None:
        await asyncio.sleep(0)
        self.diary.append(f"-{self.name}")

    async def restarting(self, error: BaseException | None) -> None:
        self.diary.append(f"!{self.name}" if error else f"-{self.name}")

    @handles
    async def end(self, message: End) -> None:
        match message.how:
            case "exit":
                self.ctx.exit()
            case "stop":
                await self.ctx.stop()
            case _:
                raise ValueError(message.how)

    @handles
    def ping(self, _: Ping) -> str:
        return self.ctx.self.path

    @handles
    def watch(self, message: Watch) -> None:
        self.ctx.watch(message.ref)

    @handles
    def hear(self, message: Terminated) -> None:
        self.heard.append(message.path)


def member(name: str, diary: list[str] | None = None, **rule: Any) -> ChildSpec:
    return ChildSpec(id=name, factory=lambda: Member(name, diary), **rule)


def living(system: ActorSystem) -> list[str]:
    [family] = system.tree().children
    return [each.path for each in family.children if each.state == "running"]


@pytest.mark.parametrize(
    ("restart", "how", "comes_back"),
    [
        ("permanent", "exit", True),
        ("permanent", "fail", True),
        ("permanent", "stop", False),  # as terminate_child: somebody wants it gone
        ("transient", "exit", False),
        ("transient", "fail", True),
        ("transient", "stop", False),
        ("temporary", "exit", False),
        ("temporary", "fail", False),
        ("temporary", "stop", False),
    ],
)
@pytest.mark.asyncio
async def test_the_restart_word_and_the_way_of_ending_say_whether_it_comes_back(
    restart: Restart, how: str, *, comes_back: bool
) -> None:
    diary: list[str] = []
    family = SupervisorSpec(id="s", children=[member("a", diary, restart=restart)])
    async with ActorSystem() as system:
        await system.spawn(family)
        await asyncio.gather(system.ref("/s/a").ask(End(how)), return_exceptions=True)
        await system.settled()

        assert (living(system) == ["/s/a"]) == comes_back
        assert diary.count("+a") == 1 + comes_back


@pytest.mark.asyncio
async def test_rest_for_one_restarts_those_after_it_and_no_temporary_ones() -> None:
    diary: list[str] = []
    family = SupervisorSpec(
        id="s",
        strategy="rest_for_one",
        children=[
            member("a", diary),
            member("b", diary),
            member("c", diary, restart="temporary"),
            member("d", diary, restart="transient"),
            member("e", diary),
        ],
    )
    async with ActorSystem() as system:
        await system.spawn(family)
        diary.clear()
        await asyncio.gather(
            system.ref("/s/b").ask(End("fail")), return_exceptions=True
        )
        await system.settled()

        assert " ".join(diary) == "!b -e -d -c +b +d +e"
        assert living(system) == ["/s/a", "/s/b", "/s/d", "/s/e"]


@pytest.mark.parametrize(
    ("auto", "significant", "ends", "how", "shuts_down"),
    [
        ("any_significant", "ab", "a", "exit", True),
        ("any_significant", "b", "a", "exit", False),
        ("any_significant", "ab", "a", "fail", False),  # transient: restarted
        ("any_significant", "ab", "a", "stopped by hand", False),
        ("all_significant", "ab", "a", "exit", False),
        ("all_significant", "ab", "ab", "exit", True),
        ("never", "ab", "ab", "exit", False),
    ],
)
@pytest.mark.asyncio
async def test_auto_shutdown_follows_significant_children_that_end_by_themselves(
    auto: Any, significant: str, ends: str, how: str, *, shuts_down: bool
) -> None:
    children = [
        member(name, restart="transient", significant=name in significant)
        for name in "abc"
    ]
    family = SupervisorSpec(
        id="s", restart="temporary", auto_shutdown=auto, children=children
    )
    async with ActorSystem() as system:
        await system.spawn(family)
        for name in ends:
            ref = system.ref(f"/s/{name}")
            if how == "stopped by hand":
                await system.stop(ref)
            else:
                await asyncio.gather(ref.ask(End(how)), return_exceptions=True)
            await system.settled()

        assert (system.tree().children == ()) == shuts_down


@pytest.mark.asyncio
async def test_an_actor_that_dies_while_it_is_being_watched_is_told_of() -> None:
    """Before its end, in the middle of it, in the same turn, and after it."""
    async with ActorSystem() as system:
        watcher = await system.spawn(member("w"))
        other = await system.spawn(member("o"))
        watcher.tell(Watch(other))
        stopping = asyncio.create_task(system.stop(other))
        for _ in range(4):
            watcher.tell(Watch(other))
            await asyncio.sleep(0)
        await stopping
        await system.settled()
        actor = system.cell("/w").actor
        assert isinstance(actor, Member)
        early = list(actor.heard)
        await watcher.ask(Watch(other))
        await system.settled()

        assert early.count("/o") >= 1
        assert actor.heard[-1] == "/o"
        assert len(actor.heard) == len(early) + 1


@pytest.mark.asyncio
async def test_a_supervisor_that_stops_in_the_middle_of_a_start_answers_for_it() -> (
    None
):
    class Hangs(Member):
        async def starting(self) -> None:
            await asyncio.Event().wait()

    async with ActorSystem() as system:
        family = SupervisorSpec(id="s", children=[member("a")], shutdown_s=0.0)
        top = await system.spawn(family)
        added = top.ask(StartChild(ChildSpec(id="b", factory=Hangs)))
        waiting = top.ask(StartChild(member("c")))
        await system.settled()
        await system.stop(top)

        for answer in (added, waiting):
            with pytest.raises(ActorStoppedError):
                await answer
        assert system.tree().children == ()


# An event-sourced child fails in each of its four functions.


class Happened(Event, tag="otp.happened"):
    where: str


class Happen(Ask[int]):
    where: str = ""


REGISTRY = Registry([Happened])


def evolve(state: int, event: Event) -> int:
    if isinstance(event, Happened) and event.where == "evolve":
        raise ZeroDivisionError
    return state + 1


FOLD = Fold(kind="otp", state=int, initial=lambda _: 0, evolve=evolve)


class Teller(EventSourced[int]):
    stream = "otp/1"
    fold = FOLD

    def __init__(self, failures: list[str]) -> None:
        self.failures = failures

    def fail_in(self, where: str) -> None:
        if where in self.failures:
            self.failures.remove(where)
            raise ValueError(where)

    def decide(self, state: int, command: Any, ctx: ActorContext) -> Decision:  # noqa: ARG002
        self.fail_in("decide")
        return Decision((Happened(command.where),), state + 1)

    def react(self, event: Event, ctx: ActorContext) -> None:  # noqa: ARG002
        self.fail_in("react")

    def resume(self, state: int, ctx: ActorContext) -> None:  # noqa: ARG002
        if state:
            self.fail_in("resume")


@pytest.mark.parametrize(
    ("fails", "events", "restarts"),
    [
        (["decide"], 1, 1),
        (["react"], 2, 1),
        (["react", "resume"], 2, 2),
        (["react", "resume", "resume"], 2, 3),
    ],
)
@pytest.mark.asyncio
async def test_a_child_that_fails_in_decide_react_or_resume_is_rebuilt_from_its_log(
    fails: list[str], events: int, restarts: int
) -> None:
    failures = list(fails)
    log = MemoryLog(REGISTRY)
    family = SupervisorSpec(
        id="s",
        children=[ChildSpec(id="t", factory=lambda: Teller(failures)), member("a")],
    )
    async with log, ActorSystem(log=log) as system:
        await system.spawn(family)
        ref = system.ref("/s/t")
        await asyncio.gather(ref.ask(Happen()), return_exceptions=True)
        await system.settled()

        assert await ref.ask(Happen()) == events
        info = system.tree().children[0].children
        assert [each.restarts for each in info] == [restarts, 0]
        assert failures == []


@pytest.mark.asyncio
async def test_a_fold_that_fails_ends_the_child_alone_and_names_the_event() -> None:
    log = MemoryLog(REGISTRY)
    child = ChildSpec(id="t", factory=lambda: Teller([]))
    family = SupervisorSpec(id="s", children=[child, member("a")])
    async with log, ActorSystem(log=log) as system:
        await system.spawn(family)
        with (
            capture_logs() as lines,
            pytest.raises(EvolveError, match=r"otp\.happened"),
        ):
            await system.ref("/s/t").ask(Happen("evolve"))
        await system.settled()

        assert living(system) == ["/s/a"]
        assert await log.head("otp/1") is None  # it was not written
        assert [line["actor"] for line in lines if line["event"] == "actor.failed"] == [
            "/s/t"
        ]


@pytest.mark.asyncio
async def test_a_resumption_that_fails_at_the_first_start_is_told_to_the_spawner() -> (
    None
):
    log = MemoryLog(REGISTRY)
    async with log, ActorSystem(log=log) as system:
        spec = ChildSpec(id="t", factory=lambda: Teller([]))
        await (await system.spawn(spec)).ask(Happen())
        await system.stop(system.ref("/t"))
        with pytest.raises(ValueError, match="resume"):
            await system.spawn(ChildSpec(id="t", factory=lambda: Teller(["resume"])))

        assert system.tree().children == ()
        assert await (await system.spawn(spec)).ask(Happen()) == 2
