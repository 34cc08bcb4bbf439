"""Whole systems of actors under a seed."""

import asyncio

import pytest

from dramaturg.actors.runtime import (
    Actor,
    ActorSystem,
    Ask,
    AskTimeoutError,
    Backoff,
    ChildSpec,
    ManualClock,
    Message,
    Ref,
    handles,
)
from dramaturg.testing import (
    DeadlockError,
    SeededLoop,
    StepLimitError,
    run_seeded,
    run_seeds,
)

from .digests import SEEDS, digest


class Note(Message):
    who: str
    n: int = 0


class Notes(Ask[list[str]]):
    pass


class Fail(Message):
    pass


class Wait(Ask[None]):
    pass


class Writer(Actor):
    """Writes down who told it what, in a list that survives it."""

    def __init__(self, notes: list[str]) -> None:
        self.notes = notes

    async def starting(self) -> None:
        self.notes.append(f"start {self.ctx.now_s:g}")

    @handles
    def note(self, note: Note) -> None:
        self.notes.append(f"{note.who}{note.n}")

    @handles
    def read(self, message: Notes) -> list[str]:  # noqa: ARG002 - a handler takes it
        return self.notes

    @handles
    def fail(self, message: Fail) -> None:
        raise ValueError(message)

    @handles
    async def wait(self, message: Wait) -> None:  # noqa: ARG002 - likewise
        await asyncio.Event().wait()


class Teller(Actor):
    def __init__(self, name: str, target: Ref) -> None:
        self.name = name
        self.target = target

    @handles
    def go(self, note: Note) -> None:
        self.target.tell(Note(self.name, note.n))


def writer(notes: list[str], backoff: Backoff | None = None) -> ChildSpec:
    return ChildSpec(id="writer", factory=lambda: Writer(notes), backoff=backoff)


async def three_tell_one() -> list[str]:
    async with ActorSystem() as system:
        target = await system.spawn(writer([]))

        def teller(name: str) -> ChildSpec:
            return ChildSpec(id=name, factory=lambda: Teller(name, target))

        tellers = [await system.spawn(teller(name)) for name in "abc"]
        for n in range(4):
            for each in tellers:
                each.tell(Note("", n))
        await system.settled()
        return (await target.ask(Notes()))[1:]


def test_every_pair_keeps_its_order_and_nothing_else_does() -> None:
    runs = run_seeds(range(60), three_tell_one)

    for notes in runs:
        for name in "abc":
            own = [note for note in notes if note[0] == name]
            assert own == [f"{name}{n}" for n in range(4)]
    assert len({tuple(notes) for notes in runs}) > 30
    assert {notes[0] for notes in runs} == {"a0", "b0", "c0"}


def test_without_a_seed_actors_take_turns_as_ever() -> None:
    notes = run_seeded(None, three_tell_one)

    assert notes == [f"{name}{n}" for name in "abc" for n in range(4)]


async def ask_the_idle() -> bool:
    """Tell whether an idle actor answered in the asker's turn."""
    async with ActorSystem() as system:
        target = await system.spawn(writer([]))
        await system.settled()
        reply = target.ask(Notes())
        at_once = reply.done()
        assert await reply == ["start 0"]
        return at_once


def test_an_ask_is_answered_at_once_or_later() -> None:
    assert set(run_seeds(range(40), ask_the_idle)) == {False, True}


def test_an_hour_of_backoff_is_over_at_once() -> None:
    async def main() -> list[str]:
        notes: list[str] = []
        backoff = Backoff(min_s=1800, max_s=1800, jitter=0)
        async with ActorSystem() as system:
            target = await system.spawn(writer(notes, backoff))
            for _ in range(2):
                target.tell(Fail())
                await target.ask(Notes(), timeout_s=4000)
        return notes

    assert run_seeded(1, main) == ["start 0", "start 1800", "start 3600"]


def test_deadlines_of_asks_come_in_virtual_time() -> None:
    async def main() -> float:
        async with ActorSystem() as system:
            target = await system.spawn(writer([]))
            with pytest.raises(AskTimeoutError):
                await target.ask(Wait(), timeout_s=30)
            return system.clock.now_s()

    assert 30 <= run_seeded(1, main) < 31


def test_a_clock_and_a_seed_of_its_own_are_left_to_a_system() -> None:
    async def main() -> tuple[float, float]:
        clock = ManualClock()
        async with ActorSystem(clock=clock, seed=7) as system:
            await asyncio.sleep(5)
            return system.clock.now_s(), system.random.random()

    assert run_seeded(1, main) == run_seeded(2, main)
    assert run_seeded(1, main)[0] == 0


def test_chance_of_a_system_is_the_loop_s() -> None:
    async def main() -> float:
        async with ActorSystem() as system:
            return system.random.random()

    draws = run_seeds([1, 1, 2], main)
    assert draws[0] == draws[1] != draws[2]


def test_a_deadlock_names_the_actors_that_wait() -> None:
    class Stuck(Actor):
        @handles
        def go(self, note: Note) -> None:
            self.ctx.run(self.work(note.who))

        async def work(self, who: str) -> None:
            await asyncio.Event().wait()
            raise AssertionError(who)

    async def main() -> None:
        async with ActorSystem(name="house") as system:
            stuck = await system.spawn(ChildSpec(id="stuck", factory=Stuck))
            stuck.tell(Note("x"))
            await asyncio.get_running_loop().create_future()

    with pytest.raises(DeadlockError, match=r"house:/stuck has 1 work"):
        run_seeded(1, main)


def test_a_deadlock_after_a_system_s_end_is_told_as_well() -> None:
    async def main() -> None:
        async with ActorSystem():
            pass
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError, match=r"main waits at test_systems\.py"):
        run_seeded(1, main)


def test_what_goes_round_names_the_actors_that_wait() -> None:
    class Asker(Actor):
        def __init__(self, target: Ref) -> None:
            self.target = target

        @handles
        async def go(self, note: Note) -> None:
            del note
            await self.target.ask(Wait())

    async def spin() -> None:
        async with ActorSystem(name="house") as system:
            target = await system.spawn(writer([], Backoff(min_s=9, max_s=9)))
            spec = ChildSpec(id="asker", factory=lambda: Asker(target))
            asker = await system.spawn(spec)
            down = await system.spawn(
                ChildSpec(id="down", factory=lambda: Writer([]), backoff=Backoff(9, 9))
            )
            down.tell(Fail())
            asker.tell(Note("x"))
            asker.tell(Note("y"))
            await asyncio.sleep(1)
            while True:  # noqa: ASYNC110 - what is tested
                await asyncio.sleep(0.001)

    with pytest.raises(StepLimitError) as caught:
        run_seeded(1, spin, steps_max=1000)
    told = str(caught.value)
    assert "main waits at test_systems.py" in told
    assert "house:/asker is at Note, asking /writer" in told
    assert "house:/asker has 1 messages waiting" in told
    assert "house:/writer is at Wait" in told
    assert "house:/down is backing_off, 0 messages wait" in told


def test_a_pipeline_runs_the_same_way_again_and_ends_under_every_seed() -> None:
    digests = [digest(seed) for seed in [*SEEDS, *SEEDS]]

    assert digests[: len(SEEDS)] == digests[len(SEEDS) :]
    assert len(set(digests)) == len(SEEDS)


def test_the_trace_shows_the_turns_of_actors() -> None:
    loop = SeededLoop(3)
    loop.run(three_tell_one())

    turns = [step for step in loop.recent if step.startswith("/writer ")]
    assert turns
