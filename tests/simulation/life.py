"""One life of the process: a whole system on the log, and the people who use it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from random import Random
from typing import Any

from dramaturg.actors.breakers import BreakerConfig
from dramaturg.actors.breakers.registry import Breakers
from dramaturg.actors.dead_letters import DeadLetterActor, QueuePolicy
from dramaturg.actors.dead_letters.ramp import Gate
from dramaturg.actors.pipelines import Pipeline, RunningPipeline, Stage
from dramaturg.actors.pipelines.tree import start_pipeline
from dramaturg.actors.retries import RetryPolicy
from dramaturg.actors.runtime import (
    Actor,
    ActorFailed,
    ActorStoppedError,
    ActorSystem,
    ChildSpec,
    IntensityExceededError,
    KilledError,
    Ref,
)
from dramaturg.actors.runtime.clock import Alarm
from dramaturg.actors.runtime.timers import Timer
from dramaturg.actors.transactions import Coordinator, Steps
from dramaturg.actors.transactions.limits import Limits
from dramaturg.events import DramaturgError
from dramaturg.events.log import (
    AppendRejectedError,
    LogUnavailableError,
    VersionConflictError,
)
from dramaturg.testing.loop import START_US, SeededLoop

from .items import StageRule
from .post import Post
from .promise import BrokenPromiseError, holds
from .scenario import Scenario
from .sim_log import SimLog
from .steps import Act
from .world import Process, World

STAGES = ("read", "store", "index")
UNDOABLE = ("read", "store")
PERMITTED = 1
TIMEOUT_S = 6.0
ANSWERED_S = 100.0
"""By then whoever waits at a stopped system has heard, or never will."""
EXPECTED = (
    KilledError,
    LogUnavailableError,
    IntensityExceededError,
    ActorStoppedError,  # while it was being restarted
)
"""What actors may fail of besides refused appends: it was done to them."""


class CrashedError(BaseException):
    """The process has died."""


class SimLoop(SeededLoop):
    """A seeded loop whose notes can be read along."""

    trace: Callable[[str], object] | None = None

    def note(self, what: str) -> None:
        super().note(what)
        if self.trace is not None:
            self.trace(f"   {self.time():.3f} {what}")


class LifeClock:
    """The loop's time, going on from the lives before on the same machine."""

    def __init__(self, loop: SimLoop, start_s: float) -> None:
        self._loop = loop
        self._start_s = start_s

    def now_s(self) -> float:
        return self._start_s + self._loop.time()

    def now_us(self) -> int:
        return START_US + round(self.now_s() * 1e6)

    def call_later(self, delay_s: float, call: Callable[[], object]) -> Alarm:
        return self._loop.call_later(max(0.0, delay_s), call)


def retry(attempts_max: int) -> RetryPolicy:
    """Return a policy whose delays are short."""
    return RetryPolicy(attempts_max=attempts_max, base_s=0.5, cap_s=4.0)


def armed_timers(system: ActorSystem) -> list[Timer]:
    """Return what actors of a system wait for."""
    extras = [cell.extras for cell in system.cells()]
    every = [each.timers for each in extras if each.timers is not None]
    timers = [timer for each in every for timer in each._timers.values()]  # pyright: ignore[reportPrivateUsage]
    return [timer for timer in timers if isinstance(timer, Timer)]


def is_armed(timer: Timer, now_s: float) -> bool:
    """Tell whether a timer will still go off: none of a stopped system's should."""
    alarm: Any = timer._alarm  # pyright: ignore[reportPrivateUsage]
    return not alarm.cancelled() and alarm.when() > now_s


def rules(scenario: Scenario) -> tuple[StageRule, ...]:
    """Return what the models have to know of the stages."""
    return tuple(
        StageRule(name, scenario.attempts_max, undoable=name in UNDOABLE)
        for name in STAGES
    )


class Life:
    """What stands in one process."""

    def __init__(  # noqa: PLR0913, PLR0917 - all that a process is put into
        self,
        scenario: Scenario,
        world: World,
        log: SimLog,
        loop: SimLoop,
        clock: LifeClock,
        chance: Random,
        process: Process,
    ) -> None:
        self.scenario = scenario
        self.world = world
        self.book = world.book
        self.log = log
        self.loop = loop
        self.clock = clock
        self.chance = chance
        self.process = process
        self.first = self.book.rows
        """The last position of the lives before."""
        self.clients: dict[asyncio.Task[None], str] = {}
        self.timers: list[Timer] = []
        """Those of actors, as they were when the system was about to stop."""
        self.system: ActorSystem
        self.running: RunningPipeline
        self.mail: Ref
        self.stuck: Ref
        self.coordinator: Coordinator
        self.breakers: Breakers
        log.on_crash = self.die

    def die(self) -> None:
        """Drop everything at once."""
        self.process.dead = True
        self.loop.abort(CrashedError())

    async def main(self, act: Callable[["Life"], Awaitable[None]]) -> None:
        """Live: start everything, do things, stop in order."""
        self.log.on_availability(self._on_availability)
        scenario = self.scenario
        try:
            async with ActorSystem(
                log=self.log, clock=self.clock, seed=self.chance.getrandbits(32)
            ) as system:
                self.system = system
                system.events.subscribe(ActorFailed, self._on_notice)
                if await self._started(scenario):
                    await act(self)
                self.timers = armed_timers(system)
            await self._all_are_answered()
        finally:
            for client in self.clients:
                client.cancel()
        await asyncio.sleep(0)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        holds(not left, 8, f"tasks are left: {left}")
        now_s = self.loop.time()
        armed = [timer for timer in self.timers if is_armed(timer, now_s)]
        holds(not armed, 8, f"timers are left: {[t.message for t in armed]}")

    async def _all_are_answered(self) -> None:
        """Whoever asked something of a system that has stopped gets an error."""
        if not self.clients:
            return
        done, waiting = await asyncio.wait(self.clients, timeout=ANSWERED_S)
        names = [self.clients[client] for client in waiting]
        holds(not waiting, 4, f"nobody ever answers {names}")
        for client in done:
            error = client.exception()
            if error is not None:
                raise error

    def _on_availability(self, available: bool) -> None:  # noqa: FBT001 - a listener
        """Make room on a full disk after a while."""
        if not available and self.log.is_full:
            self.clock.call_later(0.1 + self.chance.random() * 4, self.log.free)

    def _on_notice(self, notice: ActorFailed) -> None:
        """See what actors fail of: only of what was done to them."""
        self.process.kills += 1
        error = notice.error
        refused = isinstance(error, AppendRejectedError)
        conflict = isinstance(error, VersionConflictError)
        expected = (refused and not conflict) or isinstance(error, EXPECTED)
        self.world.law(expected, 5, f"{notice.path} failed of {error!r}")

    async def _started(self, scenario: Scenario) -> bool:
        try:
            await self._start(scenario)
        except DramaturgError as error:
            expected = isinstance(error, (AppendRejectedError, *EXPECTED))
            calm = self.world.calm
            self.world.law(expected and not calm, 5, f"the start failed: {error!r}")
            return False
        return True

    async def _start(self, scenario: Scenario) -> None:
        system = self.system
        boot = "boot" if scenario.same_boot else f"boot {self.process.number}"
        self.breakers = Breakers(system, boot=boot)
        config = BreakerConfig(
            window="consecutive",
            failures_max=scenario.failures_max,
            failure_rate=None,
            cooldown_s=scenario.cooldown_s,
            half_open_permitted=PERMITTED,
            half_open_successes=1,
            probe_lease_s=20.0,
        )
        breaker = await self.breakers.open("graph", config)
        self.world.breaker = breaker
        policy = QueuePolicy(
            entries_max=scenario.entries_max,
            limit="reject_new" if scenario.asks_for_room else "evict_oldest",
            ttl_s=scenario.ttl_s,
            sweep_s=20.0,
            retry_s=10.0,
            reservation_s=10.0,
            take_back_s=5.0,
            retry=RetryPolicy(base_s=5.0, cap_s=20.0),
        )
        self.mail = await system.spawn(
            DeadLetterActor.spec(
                "mail", policy, gate=self._gate, owners=self._post().owner
            )
        )
        await self._start_transactions()
        self.running = await start_pipeline(
            system,
            self._pipeline(scenario),
            dead_letters=self.mail,
            breakers=self.breakers,
        )

    async def _start_transactions(self) -> None:
        system = self.system
        policy = QueuePolicy(sweep_s=20.0, retry_s=30.0, take_back_s=5.0)
        self.stuck = await system.spawn(
            DeadLetterActor.spec("stuck", policy, owners=self._post().owner)
        )
        await system.spawn(ChildSpec(id="transactions", factory=Actor))
        steps = Steps([Act(self.world, self.process)])
        limits = Limits(active_max=5, retry=retry(3))
        spec = Coordinator.spec(
            "main", steps, limits, letters=self.stuck, queue="stuck"
        )
        ref = await system.spawn(spec, under=system.ref("/transactions"))
        self.coordinator = Coordinator(ref, steps, self.log)

    def _post(self) -> Post:
        """Lose no answer in calm lives."""
        odds = 0.0 if self.world.calm else self.scenario.answers_lost
        chance = Random(self.scenario.seed * 31 + self.process.number)
        return Post(self.system, chance, odds)

    def _gate(self, target: str) -> Gate:
        """Say what the breaker of a target says."""
        if target and self.breakers[target].refusal() is not None:
            return Gate("open")
        return Gate()

    def _pipeline(self, scenario: Scenario) -> Pipeline:
        stages = [
            Stage(
                name,
                partial(self.world.stage, self.process),
                concurrency=scenario.concurrency,
                timeout_s=TIMEOUT_S,
                retry=retry(scenario.attempts_max),
                undo_retry=retry(2),
                breaker="graph" if name == "store" else None,
                compensate=(
                    partial(self.world.compensation, self.process)
                    if name in UNDOABLE
                    else None
                ),
                after_crash="give_up" if scenario.after_crash == "give_up" else "retry",
            )
            for name in STAGES
        ]
        return Pipeline(
            "work",
            stages,
            "mail",
            asks_for_room=scenario.asks_for_room,
            in_flight_max=scenario.in_flight_max,
            running_max=scenario.running_max,
        )

    # Clients

    def ask(self, name: str, coro: Coroutine[Any, Any, None]) -> None:
        """Have a client do something of its own."""
        task = asyncio.create_task(self._client(name, coro))
        self.clients[task] = name

    async def _client(self, name: str, coro: Coroutine[Any, Any, None]) -> None:
        try:
            await coro
        except BrokenPromiseError as error:
            self.world.law(condition=False, number=error.number, what=str(error))
        except DramaturgError as error:
            self.loop.note(f"{name}: {type(error).__name__}")
