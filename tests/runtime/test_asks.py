"""Every ask is answered: by a value, an error, or the deadline."""

import asyncio
from typing import Any

import pytest

from dramaturg.actors.runtime import (
    Actor,
    ActorStoppedError,
    ActorSystem,
    Ask,
    AskCycleError,
    AskTimeoutError,
    Later,
    ManualClock,
    Message,
    Origin,
    Ref,
    handles,
)

from .actors import Add, AskFail, Counter, Fail, Get, GetSlowly, spec


class Through(Ask[object]):
    """Ask the first of these, and have it ask the others."""

    refs: tuple[Any, ...]
    pause: bool = False


class Wait(Ask[None]):
    gate: asyncio.Event


class Gate(Actor):
    @handles
    async def wait(self, message: Wait) -> None:
        await message.gate.wait()


class Relay(Actor):
    @handles
    async def through(self, message: Through) -> object:
        if message.pause:
            await asyncio.sleep(0)
        first, *others = message.refs
        if others and isinstance(others[0], asyncio.Event):
            return await first.ask(Wait(others[0]))
        if not others:
            return await first.ask(Get())
        return await first.ask(Through(tuple(others), message.pause))

    @handles
    def get(self, message: Get) -> int:  # noqa: ARG002 - a handler takes its message
        return 42


async def relays(system: ActorSystem, count: int) -> tuple[Ref, ...]:
    return tuple([await system.spawn(spec(f"{n}", Relay)) for n in range(count)])


@pytest.mark.parametrize("pause", [True, False], ids=["suspended", "at_once"])
@pytest.mark.asyncio
async def test_actors_that_would_wait_for_each_other_are_told_at_once(
    *, pause: bool
) -> None:
    async with ActorSystem() as system:
        a, b, c = await relays(system, 3)

        with pytest.raises(AskCycleError, match="asking /0"):
            await a.ask(Through((b, c, a), pause))


@pytest.mark.asyncio
async def test_an_actor_cannot_wait_for_itself() -> None:
    async with ActorSystem() as system:
        (a,) = await relays(system, 1)

        with pytest.raises(AskCycleError):
            await a.ask(Through((a,)))


@pytest.mark.parametrize("pause", [True, False], ids=["suspended", "at_once"])
@pytest.mark.asyncio
async def test_a_long_chain_of_asks_is_answered(*, pause: bool) -> None:
    async with ActorSystem() as system:
        first, *others = await relays(system, 300)

        assert await first.ask(Through(tuple(others), pause)) == 42


@pytest.mark.asyncio
async def test_asking_an_actor_that_waits_for_somebody_else_is_no_cycle() -> None:
    async with ActorSystem() as system:
        a, b = await relays(system, 2)
        gate = asyncio.Event()
        closed = await system.spawn(spec("closed", Gate))
        waiting = a.ask(Through((closed, gate)))
        asking = b.ask(Through((a,), pause=True))
        await system.settled()
        gate.set()

        assert await waiting is None
        assert await asking == 42


@pytest.mark.asyncio
async def test_asks_of_one_handler_are_not_kept() -> None:
    class Often(Actor):
        @handles
        async def often(self, message: Through) -> object:
            for _ in range(100):
                await message.refs[0].ask(Get())
                await message.refs[0].ask(GetSlowly())
            return len(system.cell("/often").asking or ())

    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter))
        often = await system.spawn(spec("often", Often))

        assert await often.ask(Through((counter,))) == 1


@pytest.mark.asyncio
async def test_a_stop_answers_what_was_not_read() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter))
        slow = counter.ask(GetSlowly(3))
        counter.tell(Add())
        unread = counter.ask(Get())
        await system.stop(counter)

        assert await slow == 0
        with pytest.raises(ActorStoppedError):
            await unread
        with pytest.raises(ActorStoppedError):
            await counter.ask(Get())
        counter.tell(Add())
        assert system.dead_messages.counts["stopped"] == 4


@pytest.mark.asyncio
async def test_a_late_answer_is_a_dead_message() -> None:
    clock = ManualClock()
    async with ActorSystem(clock=clock) as system:
        counter = await system.spawn(spec("counter", Counter))
        slow = counter.ask(GetSlowly(5), timeout_s=1)
        clock.advance(2)
        with pytest.raises(AskTimeoutError):
            await slow
        await system.settled()

        assert system.dead_messages.counts["late_reply"] == 1


@pytest.mark.asyncio
async def test_a_deadline_that_travels_ends_all_asks_earlier() -> None:
    clock = ManualClock()
    inner: list[AskTimeoutError] = []

    class Forward(Actor):
        @handles
        async def forward(self, message: Through) -> object:
            try:
                return await message.refs[0].ask(GetSlowly(1000), timeout_s=50)
            except AskTimeoutError as error:
                inner.append(error)
                return None

    async with ActorSystem(clock=clock) as system:
        counter = await system.spawn(spec("counter", Counter))
        forward = await system.spawn(spec("forward", Forward))
        origin = Origin(deadline_s=1.0)
        asked = forward.ask(Through((counter,)), timeout_s=50, origin=origin)
        clock.advance(2)

        with pytest.raises(AskTimeoutError, match="/forward"):
            await asked
        await system.settled()
        assert [error.path for error in inner] == ["/counter"]


@pytest.mark.asyncio
async def test_many_open_asks_are_looked_at_in_parts() -> None:
    clock, gate = ManualClock(), asyncio.Event()
    async with ActorSystem(clock=clock) as system:
        refs = [await system.spawn(spec(f"{n}", Gate)) for n in range(5)]
        asks = [ref.ask(Wait(gate), 1) for ref in refs for _ in range(999)]
        for _ in range(6):
            clock.advance(0.25)
            await system.settled()

        assert all(isinstance(ask.exception(), AskTimeoutError) for ask in asks)
        gate.set()


class Ring(Ask[str]):
    pass


class Answer(Message):
    text: str


class Secretary(Actor):
    """Answers later than it is asked."""

    def __init__(self) -> None:
        self.owed: list[Later] = []

    @handles
    def ring(self, message: Ring) -> None:  # noqa: ARG002 - a handler takes its message
        self.owed.append(self.ctx.later())

    @handles
    def answer(self, message: Answer) -> None:
        for later in self.owed:
            assert later.wanted
            if message.text:
                later.set(message.text)
            else:
                later.fail(ValueError("nothing to say"))
            later.set("again")
            assert not later.wanted


@pytest.mark.asyncio
async def test_an_answer_can_be_given_in_a_later_turn() -> None:
    async with ActorSystem() as system:
        secretary = await system.spawn(spec("secretary", Secretary))
        rings = [secretary.ask(Ring()) for _ in range(2)]
        await asyncio.sleep(0)
        assert not any(ring.done() for ring in rings)
        secretary.tell(Answer("yes"))

        assert await asyncio.gather(*rings) == ["yes", "yes"]


@pytest.mark.asyncio
async def test_an_answer_can_be_an_error_in_a_later_turn() -> None:
    async with ActorSystem() as system:
        secretary = await system.spawn(spec("secretary", Secretary))
        ring = secretary.ask(Ring())
        secretary.tell(Answer(""))

        with pytest.raises(ValueError, match="nothing to say"):
            await ring
        assert system.dead_messages.count == 0


@pytest.mark.asyncio
async def test_an_answer_in_a_later_turn_may_be_too_late() -> None:
    async with ActorSystem() as system:
        secretary = await system.spawn(spec("secretary", Secretary))
        ring = secretary.ask(Ring())
        actor = system.cell("/secretary").actor
        assert isinstance(actor, Secretary)
        ring.cancel()
        actor.owed[0].set("yes")

        assert [each.reason for each in system.dead_messages.latest] == ["late_reply"]


@pytest.mark.asyncio
async def test_an_answer_that_is_owed_fails_with_its_actor() -> None:
    async with ActorSystem() as system:
        secretary = await system.spawn(spec("secretary", Secretary))
        ring = secretary.ask(Ring())
        system.kill(secretary)

        with pytest.raises(ActorStoppedError):
            await ring


@pytest.mark.asyncio
async def test_asks_wait_behind_a_failure_and_are_answered_after_it() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter))
        counter.tell(Add(1))
        failing, after = counter.ask(AskFail()), counter.ask(Get())

        with pytest.raises(ValueError, match="AskFail"):
            await failing
        assert await after == 0


class Note(Message):
    """Write down a name."""

    name: str


class AskNote(Ask[str]):
    """Write down a name, and tell on whose behalf."""

    name: str


class AskBeside(Message):
    """Ask `ref` beside the mailbox, and write down when this handler is at its end."""

    ref: Any


class Scribe(Actor):
    """Writes down what it works off in a list that it shares with others."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes

    @handles
    def note(self, message: Note) -> None:
        self.notes.append(f"{message.name} by {self.ctx.by}")

    @handles
    def ask_note(self, message: AskNote) -> str:
        self.notes.append(f"{message.name} by {self.ctx.by}")
        return self.ctx.by

    @handles
    def ask_beside(self, message: AskBeside) -> None:
        async def work() -> None:
            await message.ref.ask(AskNote("beside"))

        self.ctx.run(work())
        self.notes.append("at its end")


@pytest.mark.asyncio
async def test_an_ask_of_an_actor_whose_turn_is_next_needs_no_turn_of_the_loop() -> (
    None
):
    notes: list[str] = []
    async with ActorSystem() as system:
        scribe = await system.spawn(spec("scribe", lambda: Scribe(notes)))
        scribe.tell(Note("first"), origin=Origin(by="me"))
        scribe.tell(Note("second"))
        answer = scribe.ask(AskNote("third"), origin=Origin(by="you"))

        assert answer.done()
        assert notes == ["first by me", "second by ", "third by you"]
        scribe.tell(Note("fourth"))
        await system.settled()
        assert notes[3:] == ["fourth by "]


@pytest.mark.asyncio
async def test_an_ask_gets_no_turn_before_that_of_another_actor() -> None:
    notes: list[str] = []
    async with ActorSystem() as system:
        one = await system.spawn(spec("one", lambda: Scribe(notes)))
        other = await system.spawn(spec("other", lambda: Scribe(notes)))
        one.tell(Note("first"))
        other.tell(Note("second"))
        answer = other.ask(AskNote("third"))

        assert not answer.done()
        await answer
        assert notes == ["first by ", "second by ", "third by "]


@pytest.mark.asyncio
async def test_work_beside_a_mailbox_is_answered_once_its_handler_has_ended() -> None:
    notes: list[str] = []
    async with ActorSystem() as system:
        scribe = await system.spawn(spec("scribe", lambda: Scribe(notes)))
        scribe.tell(Note("before"))
        scribe.tell(AskBeside(scribe))
        scribe.tell(Note("after"))
        await scribe.ask(AskNote("last"))
        await system.settled()

        assert notes == [
            "before by ",
            "at its end",
            "after by ",
            "beside by ",
            "last by ",
        ]


@pytest.mark.asyncio
async def test_who_asks_an_actor_that_was_told_to_fail_gets_the_next_instance() -> None:
    async with ActorSystem() as system:
        counter = await system.spawn(spec("counter", Counter))
        counter.tell(Add(1))
        counter.tell(Fail())
        counter.tell(Add(2))

        assert await counter.ask(Get()) == 2
        assert system.cell("/counter").restarts == 1
        with pytest.raises(ValueError, match="AskFail"):
            await counter.ask(AskFail())
        assert system.cell("/counter").restarts == 2
        assert await counter.ask(Get()) == 0
