"""A class of messages may be taken while another handler is suspended."""

import asyncio

import pytest

from dramaturg.actors.runtime import (
    Actor,
    ActorStoppedError,
    ActorSystem,
    Ask,
    AskCycleError,
    Behaviour,
    ChildSpec,
    HandlerError,
    Mailbox,
    MailboxFullError,
    Message,
    Origin,
    Ref,
    handles,
)

from .actors import Add, Counter, Get, spec


class Work(Ask[str]):
    """Suspends until it is told to finish."""


class Consult(Ask[int]):
    """Is answered with the help of `other`, which asks back."""

    other: Ref
    urgent: bool


class AskBack(Ask[int]):
    asker: Ref
    urgent: bool


class Progress(Ask[int]):
    fail: bool = False


class Urgent(Progress):
    """A subclass is as reentrant as its base."""


class Note(Message):
    n: int


class Plain(Ask[int]):
    pass


class Office(Actor):
    def __init__(self) -> None:
        self.notes: list[int] = []
        self.origins: list[str] = []
        self.done = asyncio.Event()

    @handles
    async def work(self, _: Work) -> str:
        await self.done.wait()
        return f"worked, {self.ctx.corr}"

    @handles
    async def consult(self, message: Consult) -> int:
        return await message.other.ask(AskBack(self.ctx.self, message.urgent))

    @handles(reentrant=True)
    def progress(self, message: Progress) -> int:
        if message.fail:
            raise ValueError(message)
        self.origins.append(self.ctx.corr)
        return len(self.notes)

    @handles(reentrant=True)
    def note(self, message: Note) -> None:
        self.notes.append(message.n)

    @handles
    def plain(self, _: Plain) -> int:
        return -1


class Consultant(Actor):
    @handles
    async def ask_back(self, message: AskBack) -> int:
        question = Urgent() if message.urgent else Plain()
        return await message.asker.ask(question)


def office_of(system: ActorSystem) -> Office:
    actor = system.cell("/office").actor
    assert isinstance(actor, Office)
    return actor


@pytest.mark.asyncio
async def test_it_is_answered_while_another_is_suspended_and_leaves_that_alone() -> (
    None
):
    async with ActorSystem() as system:
        office = await system.spawn(spec("office", Office))
        work = office.ask(Work(), origin=Origin(corr="w"))
        plain = office.ask(Plain())
        await system.settled()
        for n in range(3):
            office.tell(Note(n))

        assert await office.ask(Progress(), origin=Origin(corr="p")) == 3
        assert not work.done()
        assert not plain.done()
        office_of(system).done.set()
        assert await work == "worked, w"
        assert await plain == -1
        assert office_of(system).notes == [0, 1, 2]
        assert office_of(system).origins == ["p"]
        assert await office.ask(Progress()) == 3


@pytest.mark.asyncio
async def test_what_waits_already_is_taken_as_well_and_in_order() -> None:
    async with ActorSystem() as system:
        office = await system.spawn(spec("office", Office))
        work = office.ask(Work())
        office.tell(Note(1))
        plain = office.ask(Plain())
        office.tell(Note(2))
        progress = office.ask(Urgent())

        assert await progress == 2
        assert office_of(system).notes == [1, 2]
        assert not plain.done()
        office_of(system).done.set()
        assert (await work, await plain) == ("worked, ", -1)


@pytest.mark.asyncio
async def test_a_reentrant_question_breaks_a_circle_of_asks() -> None:
    async with ActorSystem() as system:
        office = await system.spawn(spec("office", Office))
        other = await system.spawn(spec("other", Consultant))

        assert await office.ask(Consult(other, urgent=True)) == 0
        with pytest.raises(AskCycleError):
            await office.ask(Consult(other, urgent=False))


@pytest.mark.asyncio
async def test_its_failure_is_the_actors_and_answers_both() -> None:
    async with ActorSystem() as system:
        office = await system.spawn(
            ChildSpec(id="office", factory=Office, shutdown_s=0.0)
        )
        work = office.ask(Work())
        await system.settled()
        with pytest.raises(ValueError, match="fail=True"):
            await office.ask(Progress(fail=True))
        with pytest.raises(Exception, match="cancelled"):
            await work

        assert await office.ask(Progress()) == 0
        assert system.tree().children[0].restarts == 1


@pytest.mark.asyncio
async def test_the_bound_holds_for_it_too() -> None:
    async with ActorSystem() as system:
        office = await system.spawn(
            spec("office", Office, Mailbox(capacity=2)),
        )
        office.ask(Work())
        await system.settled()
        for n in range(4):  # two are on their way, two wait
            office.tell(Note(n))
        with pytest.raises(MailboxFullError):
            office.tell(Note(4))
        await system.settled()

        assert office_of(system).notes == [0, 1]
        office_of(system).done.set()
        await system.settled()
        assert office_of(system).notes == [0, 1, 2, 3]


@pytest.mark.asyncio
async def test_one_that_comes_with_a_stop_is_dead() -> None:
    async with ActorSystem() as system:
        office = await system.spawn(
            ChildSpec(id="office", factory=Office, shutdown_s=0.0)
        )
        work = office.ask(Work())
        await system.settled()
        progress = office.ask(Progress())
        await system.stop(office)

        for answer in (work, progress):
            with pytest.raises(Exception, match=r"stopped|cancelled"):
                await answer
        with pytest.raises(ActorStoppedError):
            await office.ask(Progress())


class Closed(Behaviour):
    def __init__(self, done: asyncio.Event) -> None:
        self.done = done

    @handles
    async def work(self, _: Work) -> str:
        await self.done.wait()
        return "behaved"

    @handles(reentrant=True)
    def progress(self, _: Progress) -> int:
        return 7


@pytest.mark.asyncio
async def test_a_behaviour_may_have_reentrant_handlers() -> None:
    async with ActorSystem() as system:
        office = await system.spawn(spec("office", Office))
        done = asyncio.Event()
        system.cell("/office").own_context().become(Closed(done))
        work = office.ask(Work())
        await system.settled()

        assert await office.ask(Progress()) == 7
        done.set()
        assert await work == "behaved"


@pytest.mark.asyncio
async def test_an_actor_without_them_takes_one_message_at_a_time() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter))
        counter.tell(Add())

        assert not Counter.handlers.reentrant
        assert await counter.ask(Get()) == 1


def test_a_reentrant_handler_is_synchronous() -> None:
    with pytest.raises(HandlerError, match="must be synchronous"):

        class Bad(Actor):  # pyright: ignore[reportUnusedClass]  # defining it fails
            @handles(reentrant=True)
            async def progress(self, _: Progress) -> int:
                return 0
