"""Who is restarted with whom, in which order and how often, on a running system."""

import asyncio
from typing import Any

import pytest

from dramaturg.actors.runtime import (
    Actor,
    ActorSystem,
    Ask,
    Backoff,
    ChildSpec,
    IntensityExceededError,
    Mailbox,
    MailboxFullError,
    ManualClock,
    Message,
    Strategy,
    SupervisorSpec,
    handles,
)


class Fail(Message):
    """Makes a player raise."""


class Quit(Message):
    """Makes a player end this life of its own accord."""


class Add(Message):
    amount: int = 1


class Get(Ask[int]):
    pass


class Player(Actor):
    """Writes what happens to it into a diary; counts."""

    def __init__(self, name: str, diary: list[str]) -> None:
        self.name = name
        self.diary = diary
        self.total = 0

    async def starting(self) -> None:
        self.diary.append(f"{self.name} starts")

    async def stopping(self) -> None:
        self.diary.append(f"{self.name} stops")

    async def restarting(self, error: BaseException | None) -> None:
        how = "restarts" if error is None else f"fails of {type(error).__name__}"
        self.diary.append(f"{self.name} {how}")

    @handles
    def fail(self, message: Fail) -> None:
        raise ValueError(message)

    @handles
    def quit(self, _: Quit) -> None:
        self.ctx.exit()

    @handles
    def add(self, message: Add) -> None:
        self.total += message.amount

    @handles
    def get(self, _: Get) -> int:
        return self.total


class Troupe:
    """Three players under one supervisor, and what they wrote."""

    def __init__(self, **rules: dict[str, Any]) -> None:
        self.diary: list[str] = []
        self.rules = rules

    def spec(self, **spec: Any) -> SupervisorSpec:
        children = [self.player(name, **self.rules.get(name, {})) for name in "abc"]
        return SupervisorSpec(id="troupe", children=children, **spec)

    def player(self, name: str, **spec: Any) -> ChildSpec:
        return ChildSpec(id=name, factory=lambda: Player(name, self.diary), **spec)


@pytest.mark.asyncio
async def test_children_start_in_order_and_stop_in_reverse() -> None:
    troupe = Troupe()

    async with ActorSystem() as system:
        await system.spawn(troupe.spec())
        assert troupe.diary == ["a starts", "b starts", "c starts"]
        troupe.diary.clear()

    assert troupe.diary == ["c stops", "b stops", "a stops"]


@pytest.mark.parametrize(
    ("strategy", "story"),
    [
        ("one_for_one", "b fails of ValueError, b starts"),
        ("dynamic", "b fails of ValueError, b starts"),
        (
            "one_for_all",
            "b fails of ValueError, c restarts, a restarts, a starts, b starts, c starts",
        ),
        ("rest_for_one", "b fails of ValueError, c restarts, b starts, c starts"),
    ],
)
@pytest.mark.asyncio
async def test_a_strategy_restarts_its_group_in_order(
    strategy: Strategy, story: str
) -> None:
    troupe = Troupe()

    async with ActorSystem() as system:
        await system.spawn(troupe.spec(strategy=strategy))
        troupe.diary.clear()
        system.ref("/troupe/b").tell(Fail())
        await system.settled()

        assert ", ".join(troupe.diary) == story
        assert await system.ref("/troupe/b").ask(Get()) == 0


@pytest.mark.asyncio
async def test_a_restarted_child_has_a_new_state_and_the_old_mailbox() -> None:
    troupe = Troupe()

    async with ActorSystem() as system:
        ref = await system.spawn(troupe.player("a"))
        ref.tell(Add(5))
        ref.tell(Fail())
        ref.tell(Add(1))
        ref.tell(Add(1))

        assert await ref.ask(Get()) == 2


@pytest.mark.asyncio
async def test_siblings_restarted_with_it_keep_their_mailboxes() -> None:
    troupe = Troupe()

    async with ActorSystem() as system:
        await system.spawn(troupe.spec(strategy="one_for_all"))
        a, c = system.ref("/troupe/a"), system.ref("/troupe/c")
        a.tell(Fail())
        c.tell(Add(7))
        await system.settled()

        assert await c.ask(Get()) in {0, 7}
        assert system.dead_messages.counts["stopped"] == 0


@pytest.mark.asyncio
async def test_a_temporary_child_that_fails_is_gone() -> None:
    troupe = Troupe(b={"restart": "temporary"})

    async with ActorSystem() as system:
        await system.spawn(troupe.spec(strategy="one_for_all"))
        troupe.diary.clear()
        system.ref("/troupe/b").tell(Fail())
        await system.settled()

        assert troupe.diary == ["b fails of ValueError"]
        assert [child.path for child in system.tree().children[0].children] == [
            "/troupe/a",
            "/troupe/c",
        ]


@pytest.mark.parametrize(
    ("restart", "comes_back"),
    [("permanent", True), ("transient", False), ("temporary", False)],
)
@pytest.mark.asyncio
async def test_only_a_permanent_child_that_exits_comes_back(
    restart: str,
    comes_back: bool,  # noqa: FBT001 - a column of the table
) -> None:
    troupe = Troupe(b={"restart": restart})

    async with ActorSystem() as system:
        await system.spawn(troupe.spec())
        troupe.diary.clear()
        system.ref("/troupe/b").tell(Quit())
        await system.settled()

        assert troupe.diary == (
            ["b restarts", "b starts"] if comes_back else ["b stops"]
        )


@pytest.mark.asyncio
async def test_while_it_backs_off_a_child_keeps_its_mailbox_and_its_bound() -> None:
    troupe = Troupe()
    clock = ManualClock()
    spec = troupe.player(
        "a", backoff=Backoff(min_s=2.0, jitter=0.0), mailbox=Mailbox(capacity=3)
    )

    async with ActorSystem(clock=clock) as system:
        ref = await system.spawn(spec)
        ref.tell(Fail())
        await system.settled()
        for _ in range(3):
            ref.tell(Add())
        with pytest.raises(MailboxFullError):
            ref.tell(Add())
        clock.advance(1.9)
        await system.settled()
        assert troupe.diary == ["a starts", "a fails of ValueError"]
        clock.advance(0.2)
        await system.settled()

        assert await ref.ask(Get()) == 3


class Plain(Actor):
    """Has no hooks, so that nothing of its restart is awaited."""

    def __init__(self) -> None:
        self.total = 0

    @handles
    def fail(self, message: Fail) -> None:
        raise ValueError(message)

    @handles
    def add(self, message: Add) -> None:
        self.total += message.amount

    @handles
    def get(self, _: Get) -> int:
        return self.total


class Slow(Plain):
    """Needs a turn to get ready."""

    async def starting(self) -> None:
        await asyncio.sleep(0)


class Hooked(Slow):
    """Has what has to be awaited on its way down as well."""

    async def restarting(self, error: BaseException | None) -> None:
        assert error is not None
        await asyncio.sleep(0)


@pytest.mark.asyncio
@pytest.mark.parametrize("kind", [Plain, Slow, Hooked])
async def test_an_actor_without_hooks_is_restarted_as_one_with_hooks_is(
    kind: type[Plain],
) -> None:
    made = 0

    def factory() -> Plain:
        nonlocal made
        made += 1
        if made == 3:
            raise LookupError("the second restart fails, the third does not")
        return kind()

    async with ActorSystem() as system:
        ref = await system.spawn(ChildSpec(id="it", factory=factory))
        ref.tell(Add(5))
        ref.tell(Fail())
        ref.tell(Add(1))
        assert await ref.ask(Get()) == 1, "a new state, and the old mailbox"

        ref.tell(Fail())
        ref.tell(Add(2))
        assert await ref.ask(Get()) == 2
        (info,) = system.tree().children
        assert (made, info.restarts, info.state) == (4, 3, "running")


@pytest.mark.asyncio
async def test_a_plain_actor_that_fails_at_every_start_goes_upwards() -> None:
    made = 0

    def factory() -> Plain:
        nonlocal made
        made += 1
        assert made == 1, "never again"
        return Plain()

    async def until_it_gives_up() -> None:
        async with ActorSystem() as system:
            ref = await system.spawn(ChildSpec(id="it", factory=factory))
            ref.tell(Fail())
            await system.settled()

    with pytest.raises(IntensityExceededError):
        await until_it_gives_up()
    assert made == 4
