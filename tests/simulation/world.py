"""What lies outside of the process and survives it: effects, and who made them when.

It also looks at each effect as it is begun: what justifies it must be durable.
"""

import asyncio
from collections.abc import Callable
from random import Random

from dramaturg.actors.breakers import Breaker
from dramaturg.actors.pipelines import Work
from dramaturg.actors.retries import InvalidInputError

from .book import Book
from .promise import BrokenPromiseError, holds
from .scenario import Scenario

FAR_S = 1e6


class Gone(asyncio.CancelledError):
    """Raised in code of a process that has died."""


class Process:
    """One life of the process, as the world sees it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.dead = False
        self.kills = 0
        """Actors that were killed so far; what they ran may not have ended yet."""
        self.inside: dict[tuple[str, str], int] = {}
        """What runs now, with the number of kills when it began."""
        self.running: dict[str, int] = {}
        """Attempts at each stage."""
        self.since_s: dict[tuple[str, str], float] = {}
        """When what runs now has begun, on the loop's clock."""


class World:
    """The resources of a simulation."""

    def __init__(self, scenario: Scenario, book: Book, chance: Random) -> None:
        self.scenario = scenario
        self.book = book
        self.chance = chance
        self.calm = False
        self.effects: dict[str, bool] = {}
        """Whether the effect of each key is there; a key that is not here never was."""
        self.made: dict[str, int] = {}
        """How often the effect of each key was made."""
        self.process = Process(0)
        self.breaker: Breaker | None = None
        self.begun: dict[int, int] = {}
        """Calls that began while a half-open generation of the breaker was on."""
        self.begins: set[int] = set()
        """The positions of the events that began attempts which were made."""
        self.broken: BrokenPromiseError | None = None
        self.trace: Callable[[str], object] | None = None

    def law(self, condition: object, number: int, what: str) -> None:
        """Find a promise broken, from within code whose errors others catch."""
        try:
            holds(condition, number, what)
        except BrokenPromiseError as error:
            self.broken = self.broken or error
            asyncio.get_running_loop().call_soon(self._fail)
            raise

    def _fail(self) -> None:
        assert self.broken is not None
        raise self.broken

    # What may happen to an attempt

    async def pass_by(self, process: Process) -> str:
        """Take some time, or for ever, or fail; tell whether to fail afterwards."""
        chance, scenario = self.chance, self.scenario
        if self.calm:
            await self._sleep(process, chance.random() * 0.2)
            return ""
        if chance.random() < 0.5:
            await self._sleep(process, chance.random() * chance.choice((0.1, 3.0)))
        if chance.random() < scenario.hangs:
            if chance.random() < 0.5:
                return "hang"
            await self._sleep(process, FAR_S)
        if chance.random() < scenario.fails:
            if chance.random() < 0.5:
                return "fail"
            raise self.error()
        return ""

    async def leave(self, process: Process, how: str) -> None:
        """End as was drawn, the effect being made."""
        if how == "hang":
            await self._sleep(process, FAR_S)
        if how == "fail":
            raise self.error()

    def error(self) -> Exception:
        """Draw an error, most of them worth a retry."""
        if self.chance.random() < 0.15:
            return InvalidInputError("no use")
        return ConnectionError("reset")

    async def _sleep(self, process: Process, seconds: float) -> None:
        if seconds:
            await asyncio.sleep(seconds)
        if process.dead:
            raise Gone

    def make(self, process: Process, key: str) -> None:
        """Make an effect."""
        if process.dead:
            raise Gone
        self.effects[key] = True
        self.made[key] = self.made.get(key, 0) + 1

    def unmake(self, process: Process, key: str) -> None:
        """Take an effect back; harmless if it was never made."""
        if process.dead:
            raise Gone
        self.effects[key] = False

    # Stages of the pipeline

    async def stage(self, process: Process, work: Work) -> object:
        """Be the function of a stage."""
        await self._attempt(process, work, undoing=False)
        return work.stage

    async def compensation(self, process: Process, work: Work) -> None:
        """Be the compensation of a stage."""
        await self._attempt(process, work, undoing=True)

    async def _attempt(self, process: Process, work: Work, *, undoing: bool) -> None:
        generation = self._enter(process, work, undoing=undoing)
        try:
            how = await self.pass_by(process)
            change = self.unmake if undoing else self.make
            change(process, f"{work.stream}:{work.stage}")
            await self.leave(process, how)
        except BaseException as error:
            if generation is not None and not isinstance(error, Gone):
                failed = self.book.failed
                failed[generation] = failed.get(generation, 0) + 1
            raise
        finally:
            self._exit(process, work)

    def _enter(self, process: Process, work: Work, *, undoing: bool) -> int | None:
        if process.dead:
            raise Gone
        if self.trace is not None:
            undo = "undo " if undoing else ""
            self.trace(f"      {undo}{work.stage} {work.attempt} of {work.stream}")
        item = self.book.items.get(work.stream)
        about = f"attempt {work.attempt} of {work.stage} for {work.stream}"
        self.law(item, 1, f"{about} runs before the item is durable")
        assert item is not None
        now = (item.place, item.stage, item.attempt, item.undoing)
        logged = now == ("running", work.stage, work.attempt, undoing)
        self.law(logged, 1, f"{about} runs, the log says {now}")
        self.begin(item.announced, about)
        place = work.stream, work.stage
        twice = process.inside.get(place) == process.kills
        self.law(not twice, 5, f"{about} runs beside another one")
        process.inside[place] = process.kills
        process.since_s[place] = asyncio.get_running_loop().time()
        count = process.running[work.stage] = process.running.get(work.stage, 0) + 1
        limit = self.scenario.concurrency
        self.law(
            count <= limit or process.kills, 6, f"{count} attempts of {work.stage}"
        )
        return self._pass_breaker(work) if work.stage == "store" else None

    def begin(self, position: int, about: str) -> None:
        """Note that an attempt is made that was announced at this position: once."""
        self.law(position not in self.begins, 5, f"{about} is made twice")
        self.begins.add(position)

    def _exit(self, process: Process, work: Work) -> None:
        process.inside.pop((work.stream, work.stage), None)
        process.since_s.pop((work.stream, work.stage), None)
        process.running[work.stage] -= 1

    def _pass_breaker(self, work: Work) -> int:
        assert self.breaker is not None
        generation = self.breaker.machine.generation
        number = generation.number
        if generation.phase == "half_open":
            self.begun[number] = self.begun.get(number, 0) + 1
            model = self.book.breakers.get("breaker/graph")
            granted = model.granted.get(number, 0) if model is not None else 0
            begun = self.begun[number]
            what = f"{work.stream} is probe {begun} of {granted} granted durably"
            self.law(begun <= granted, 1, what)
        return number
