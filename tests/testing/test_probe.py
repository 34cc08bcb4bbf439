"""Probes show what came, and answer for whom a test wants."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from dramaturg.actors.runtime import (
    Actor,
    ActorSystem,
    Ask,
    AskTimeoutError,
    ChildSpec,
    Mailbox,
    Message,
    Ref,
    handles,
)
from dramaturg.testing import ExpectationError, Probe, run_seeded


class Note(Message):
    n: int = 0


class Other(Message):
    pass


class Question(Ask[str]):
    n: int = 0


class Echo(Actor):
    """Passes on what it is told, after a while."""

    def __init__(self, target: Ref, after_s: float = 0) -> None:
        self.target = target
        self.after_s = after_s

    @handles
    async def note(self, note: Note | Other) -> None:
        await asyncio.sleep(self.after_s)
        self.target.tell(note)

    @handles
    async def question(self, question: Question) -> str:
        return "echo " + await self.target.ask(question)


Main = Callable[[Probe, ActorSystem], Coroutine[Any, Any, None]]


def with_probe(main: Main) -> None:
    """Run `main` with a probe and its system, in virtual time."""

    async def run() -> None:
        async with ActorSystem() as system:
            await main(await Probe.spawn(system), system)

    run_seeded(1, run)


def echo(probe: Probe, after_s: float = 0) -> ChildSpec:
    return ChildSpec(id="echo", factory=lambda: Echo(probe.ref, after_s))


def test_what_comes_is_expected_in_order() -> None:
    async def main(probe: Probe, system: ActorSystem) -> None:
        ref = await system.spawn(echo(probe))
        ref.tell(Note(1))
        ref.tell(Note(2))
        ref.tell(Other())
        assert (await probe.expect(Note)).n == 1
        assert await probe.expect(Note, lambda note: note.n == 2) == Note(2)
        await probe.expect_message(Other())
        await probe.expect_nothing()
        assert probe.received == [Note(1), Note(2), Other()]

    with_probe(main)


def test_a_probe_waits_in_virtual_time() -> None:
    async def main(probe: Probe, system: ActorSystem) -> None:
        ref = await system.spawn(echo(probe, after_s=3000))
        ref.tell(Note(1))
        with pytest.raises(ExpectationError, match=r"within 60 s, nothing came"):
            await probe.expect(Note, within_s=60)
        assert asyncio.get_running_loop().time() == 60

    with_probe(main)


def test_what_came_instead_is_shown() -> None:
    async def main(probe: Probe, system: ActorSystem) -> None:
        await system.settled()
        for n in range(10):
            probe.ref.tell(Note(n))
        probe.ref.tell(Other())
        for n in range(10):
            await probe.expect_message(Note(n))
        with pytest.raises(ExpectationError) as caught:
            await probe.expect(Note, lambda note: note.n > 5)
        assert str(caught.value).splitlines() == [
            "/probe: Note that fits was expected, Other() came; all it got:",
            "  3 before",
            *(f"  Note(n={n})" for n in range(3, 10)),
            "  Other()",
        ]
        probe.ref.tell(Note(1))
        with pytest.raises(ExpectationError, match=r"Note\(n=2\) was expected, Note"):
            await probe.expect_message(Note(2))

    with_probe(main)


def test_unread_mail_is_marked() -> None:
    async def main(probe: Probe, system: ActorSystem) -> None:
        del system
        probe.ref.tell(Note(1))
        with pytest.raises(ExpectationError, match="nothing was expected") as caught:
            await probe.expect_nothing()
        assert "  Note(n=1) (unread)" in str(caught.value)

    with_probe(main)


def test_nothing_may_come_for_a_while() -> None:
    async def main(probe: Probe, system: ActorSystem) -> None:
        ref = await system.spawn(echo(probe, after_s=20))
        ref.tell(Note(1))
        await probe.expect_nothing()
        await probe.expect_nothing(within_s=10)
        with pytest.raises(ExpectationError, match="nothing was expected"):
            await probe.expect_nothing(within_s=11)

    with_probe(main)


def test_fishing_throws_back_what_does_not_fit() -> None:
    async def main(probe: Probe, system: ActorSystem) -> None:
        ref = await system.spawn(echo(probe, after_s=1))
        for message in (Note(1), Other(), Note(2), Note(3)):
            ref.tell(message)
        assert await probe.fish(Note, lambda note: note.n == 2, within_s=4) == Note(2)
        with pytest.raises(ExpectationError, match="Other was expected within"):
            await probe.fish(Other, within_s=4)

    with_probe(main)


def test_a_probe_answers_for_whom_it_stands() -> None:
    async def main(probe: Probe, system: ActorSystem) -> None:
        ref = await system.spawn(echo(probe))
        asked = ref.ask(Question(3))
        assert (await probe.expect(Question)).n == 3
        probe.reply("three")
        assert await asked == "echo three"

        asked = probe.ref.ask(Question(4))
        await probe.expect(Question)
        probe.fail(LookupError("four"))
        with pytest.raises(LookupError, match="four"):
            await asked

    with_probe(main)


def test_an_answer_that_nobody_wants_is_an_error() -> None:
    async def main(probe: Probe, system: ActorSystem) -> None:
        del system
        with pytest.raises(ExpectationError, match="nothing to answer"):
            probe.reply("early")
        probe.ref.tell(Note(1))
        await probe.expect(Note)
        with pytest.raises(ExpectationError, match="was told: nobody waits"):
            probe.reply("told")
        probe.ref.tell(Question(1))
        await probe.expect(Question)
        with pytest.raises(ExpectationError, match="nobody waits for the answer"):
            probe.reply("told as well")
        asked = probe.ref.ask(Question(2), 1.0)
        await probe.expect(Question)
        with pytest.raises(AskTimeoutError):
            await asked
        with pytest.raises(ExpectationError, match="nobody waits for the answer"):
            probe.reply("late")

    with_probe(main)


def test_a_probe_may_answer_by_itself() -> None:
    async def main(probe: Probe, system: ActorSystem) -> None:
        del system
        probe.answers(Question, lambda question: str(question.n))
        assert await probe.ref.ask(Question(5)) == "5"
        assert probe.received == [Question(5)]
        await probe.expect_nothing()

    with_probe(main)


def test_a_probe_hears_of_the_end_of_others() -> None:
    async def main(probe: Probe, system: ActorSystem) -> None:
        ref = await system.spawn(echo(probe))
        other = await Probe.spawn(system, "other", under=ref, mailbox=Mailbox(2))
        assert other.ref.path == "/echo/other"
        probe.watch(ref)
        probe.watch(other.ref)
        probe.unwatch(other.ref)
        await system.stop(ref)
        ended = await probe.expect_terminated(ref)
        assert ended.error is None
        await probe.expect_nothing()
        probe.watch(other.ref)
        with pytest.raises(ExpectationError, match="Terminated that fits"):
            await probe.expect_terminated(ref)

    with_probe(main)


@pytest.mark.asyncio
async def test_a_probe_works_in_real_time_as_well() -> None:
    async with ActorSystem() as system:
        probe = await Probe.spawn(system)
        ref = await system.spawn(echo(probe))
        ref.tell(Note(1))
        assert await probe.expect(Note) == Note(1)
        with pytest.raises(ExpectationError, match="nothing came"):
            await probe.expect(Note, within_s=0)
        await probe.expect_nothing()
