"""Actors that change what they do: stash, behaviours, idle time."""

import pytest

from dramaturg.actors.runtime import (
    Actor,
    ActorSystem,
    Ask,
    Behaviour,
    ChildSpec,
    Mailbox,
    MailboxFullError,
    ManualClock,
    Message,
    Ref,
    StashFullError,
    UnhandledMessageError,
    handles,
)


class Open(Message):
    pass


class Shut(Message):
    pass


class Enter(Ask[str]):
    name: str


class Idle(Message):
    pass


class Rest(Message):
    after_s: float | None


class Fail(Message):
    pass


class Door(Actor):
    """Shut at first: who enters waits until it is opened."""

    def __init__(self) -> None:
        self.idle = 0
        self.inside: list[str] = []

    @handles
    def open(self, _: Open) -> None:
        self.ctx.unstash()
        self.ctx.become(OpenDoor(self))

    @handles
    def enter(self, message: Enter) -> None:
        self.ctx.stash(message)

    @handles
    def rest(self, message: Rest) -> None:
        if message.after_s is None:
            self.ctx.receive_timeout(0.0, None)
        else:
            self.ctx.receive_timeout(message.after_s, Idle())

    @handles
    def count_idle(self, _: Idle) -> None:
        self.idle += 1

    @handles
    def fail(self, message: Fail) -> None:
        raise ValueError(message)


class OpenDoor(Behaviour):
    def __init__(self, door: Door) -> None:
        self.door = door

    @handles
    def enter(self, message: Enter) -> str:
        self.door.inside.append(message.name)
        return f"welcome {message.name}"

    @handles
    async def shut(self, _: Shut) -> None:
        self.door.ctx.become(None)

    @handles
    def fail(self, message: Fail) -> None:
        raise ValueError(message)


async def door(system: ActorSystem, capacity: int = 10) -> Ref:
    return await system.spawn(
        ChildSpec(id="door", factory=Door, mailbox=Mailbox(capacity=capacity))
    )


@pytest.mark.asyncio
async def test_what_was_stashed_is_worked_off_first_and_in_order() -> None:
    async with ActorSystem() as system:
        ref = await door(system)
        early = [ref.ask(Enter(name)) for name in "ab"]
        await system.settled()
        assert not any(answer.done() for answer in early)
        ref.tell(Open())
        late = ref.ask(Enter("c"))

        assert [await answer for answer in early] == ["welcome a", "welcome b"]
        assert await late == "welcome c"
        actor = system.cell("/door").actor
        assert isinstance(actor, Door)
        assert actor.inside == ["a", "b", "c"]


@pytest.mark.asyncio
async def test_a_told_message_keeps_its_place_in_the_stash() -> None:
    async with ActorSystem() as system:
        ref = await door(system)
        ref.tell(Enter("a"))
        ref.tell(Enter("b"))
        ref.tell(Open())
        await system.settled()

        actor = system.cell("/door").actor
        assert isinstance(actor, Door)
        assert actor.inside == ["a", "b"]


@pytest.mark.asyncio
async def test_a_stash_has_the_bound_of_the_mailbox() -> None:
    async with ActorSystem() as system:
        ref = await door(system, capacity=2)
        early = [ref.ask(Enter(name)) for name in "ab"]
        with pytest.raises(StashFullError, match="stashed 2 messages"):
            await ref.ask(Enter("c"))

        # The restart has put the two back before anything else: the mailbox is full.
        await ref.offer(Open())
        assert [await answer for answer in early] == ["welcome a", "welcome b"]


@pytest.mark.asyncio
async def test_what_is_stashed_at_the_end_is_dead() -> None:
    async with ActorSystem() as system:
        ref = await door(system)
        ref.tell(Enter("a"))
        await system.settled()
        await system.stop(ref)

        assert [d.message for d in system.dead_messages.latest] == [Enter("a")]


@pytest.mark.asyncio
async def test_a_behaviour_handles_what_it_says_and_nothing_else() -> None:
    async with ActorSystem() as system:
        ref = await door(system)
        ref.tell(Shut())
        ref.tell(Open())
        await system.settled()
        assert system.dead_messages.counts == {"unhandled": 1}
        assert await ref.ask(Enter("a")) == "welcome a"
        ref.tell(Open())
        ref.tell(Shut())
        ref.tell(Open())
        await system.settled()

        assert system.dead_messages.counts == {"unhandled": 2}
        assert await ref.ask(Enter("b")) == "welcome b"


@pytest.mark.asyncio
async def test_a_restart_begins_with_the_actors_own_handlers() -> None:
    async with ActorSystem() as system:
        ref = await door(system)
        ref.tell(Open())
        ref.tell(Fail())
        answer = ref.ask(Enter("a"))
        await system.settled()

        assert not answer.done()
        ref.tell(Open())
        assert await answer == "welcome a"


@pytest.mark.asyncio
async def test_an_ask_no_behaviour_handles_is_refused() -> None:
    class Strange(Ask[None]):
        pass

    async with ActorSystem() as system:
        ref = await door(system)
        ref.tell(Open())
        with pytest.raises(UnhandledMessageError):
            await ref.ask(Strange())


@pytest.mark.asyncio
async def test_timers_reach_the_behaviour_of_the_moment() -> None:
    clock = ManualClock()
    async with ActorSystem(clock=clock) as system:
        ref = await door(system)
        cell = system.cell("/door")
        cell.own_context().timers.once("enter", 1.0, Enter("a"))
        ref.tell(Open())
        await system.settled()
        clock.advance(1.0)
        await system.settled()

        assert isinstance(cell.actor, Door)
        assert cell.actor.inside == ["a"]


@pytest.mark.asyncio
async def test_a_receive_timeout_comes_when_nothing_else_does() -> None:
    clock = ManualClock()
    async with ActorSystem(clock=clock) as system:
        ref = await door(system)
        ref.tell(Rest(8.0))
        await system.settled()
        actor = system.cell("/door").actor
        assert isinstance(actor, Door)
        for _ in range(5):  # something comes every 6 seconds
            clock.advance(6.0)
            ref.tell(Open())
            ref.tell(Shut())
            await system.settled()
        assert actor.idle == 0
        for _ in range(5):
            clock.advance(2.0)
            await system.settled()
        assert actor.idle == 1
        ref.tell(Rest(None))
        await system.settled()
        clock.advance(60.0)
        await system.settled()

        assert actor.idle == 1


@pytest.mark.asyncio
async def test_a_receive_timeout_ends_with_the_life_that_wanted_it() -> None:
    clock = ManualClock()
    async with ActorSystem(clock=clock) as system:
        ref = await door(system)
        ref.tell(Rest(8.0))
        await system.settled()
        clock.advance(10.0)  # its message lies in the mailbox now
        assert system.cell("/door").depth == 1
        system.kill(ref)
        await system.settled()
        clock.advance(60.0)
        await system.settled()

        actor = system.cell("/door").actor
        assert isinstance(actor, Door)
        assert actor.idle == 0


@pytest.mark.asyncio
async def test_what_was_put_back_from_the_stash_counts_towards_the_bound() -> None:
    async with ActorSystem() as system:
        ref = await door(system, capacity=2)
        for name in "ab":
            ref.tell(Enter(name))
        await system.settled()
        cell = system.cell("/door")
        cell.own_context().unstash()

        assert cell.depth == 2
        with pytest.raises(MailboxFullError):
            ref.tell(Enter("c"))
