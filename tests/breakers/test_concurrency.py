"""Many callers at once, by seeds: what they may do to a breaker, and what not."""

import asyncio
from contextlib import suppress
from functools import reduce
from random import Random

import pytest

from dramaturg.actors.breakers import (
    Breaker,
    BreakerConfig,
    BreakerOpenError,
    Breakers,
    BreakerState,
    evolve,
)
from dramaturg.actors.runtime import ActorSystem, ManualClock
from dramaturg.events import Event, Registry
from dramaturg.events.breaker import EVENTS, ProbeGranted
from dramaturg.events.log import MemoryLog

from .clock import Hands, run
from .storm import CALLERS, Storm

REGISTRY = Registry(EVENTS)
PERMITTED = (1, 2, 3, 10)


def config(permitted: int, **more: object) -> BreakerConfig:
    return BreakerConfig.preset(
        "classic",
        failures_max=3,
        half_open_permitted=permitted,
        half_open_successes=permitted,
        cooldown_s=10.0,
        **more,
    )


class Gate:
    """A dependency that answers when it is told to, and counts who is inside."""

    def __init__(self) -> None:
        self.inside: list[asyncio.Future[int]] = []
        self.most = 0

    async def fetch(self) -> int:
        answer = asyncio.get_running_loop().create_future()
        self.inside.append(answer)
        self.most = max(self.most, len(self.inside))
        try:
            got: int = await answer
            return got
        finally:
            self.inside.remove(answer)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.asyncio
@pytest.mark.parametrize("permitted", PERMITTED)
async def test_ten_callers_at_the_cooldowns_end_are_the_permitted_probes_and_no_more(
    permitted: int,
) -> None:
    clock, gate = ManualClock(), Gate()
    async with MemoryLog(REGISTRY) as log, ActorSystem(log=log, clock=clock) as system:
        breaker = await Breakers(system).open("db", config(permitted))
        await breaker.trip("drill")
        clock.advance(10)
        fetch = breaker(gate.fetch)

        callers = [asyncio.create_task(fetch()) for _ in range(10)]
        await system.settled()

        assert len(gate.inside) == permitted
        assert sum(task.done() for task in callers) == 10 - permitted
        for answer in [*gate.inside]:
            answer.set_result(1)
        answers = await asyncio.gather(*callers, return_exceptions=True)
        await system.settled()
        assert answers.count(1) == permitted
        assert breaker.statistics().phase == "closed"
        read = await log.read_stream("breaker/db")
        granted = [r.event for r in read if isinstance(r.event, ProbeGranted)]
        assert len(granted) == permitted


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(8))
async def test_cancelled_probes_make_room_for_as_many_and_prove_nothing(
    seed: int,
) -> None:
    """Callers are cancelled while their grant is written, while they run, or never."""
    random, clock, gate = Random(seed), ManualClock(), Gate()
    permitted = random.choice(PERMITTED)
    async with MemoryLog(REGISTRY) as log, ActorSystem(log=log, clock=clock) as system:
        breaker = await Breakers(system).open("db", config(permitted))
        await breaker.trip("drill")
        clock.advance(10)
        fetch = breaker(gate.fetch)
        tasks: list[asyncio.Task[int]] = []
        for _ in range(30):
            log.hold()
            tasks += [asyncio.create_task(fetch()) for _ in range(random.randint(1, 5))]
            await turns(random.randint(0, 5))
            for task in random.sample(tasks, random.randint(0, len(tasks))):
                task.cancel()
            log.release()
            await system.settled()
            assert len(gate.inside) <= permitted
            for task in random.sample(tasks, random.randint(0, len(tasks))):
                task.cancel()
            await asyncio.gather(
                *(t for t in tasks if t.cancelling()), return_exceptions=True
            )
            await system.settled()
            tasks = [task for task in tasks if not task.done()]
            assert breaker.statistics().probes_in_flight == len(gate.inside)
            assert breaker.statistics().phase in {"open", "half_open"}
            assert breaker.statistics().trips == 1

        tasks += [asyncio.create_task(fetch()) for _ in range(10)]
        await system.settled()
        assert gate.most == len(gate.inside) == permitted
        for answer in [*gate.inside]:
            answer.set_result(1)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert breaker.statistics().phase == "closed"


@pytest.mark.parametrize("seed", range(20))
def test_results_of_earlier_generations_move_nothing_whenever_they_come(
    seed: int,
) -> None:
    random, hands = Random(seed), Hands()
    breaker = Breaker("db", config(2), clocks=hands.clocks)
    held = [run(breaker.acquire()) for _ in range(10)]
    for _ in range(6):
        run(breaker.trip("drill"))
        hands.pass_s(300)
        held += [run(breaker.acquire()) for _ in range(2)]
    for _ in range(2):
        run(breaker.reset("drill"))
        held += [run(breaker.acquire()) for _ in range(5)]
    current = [p for p in held if p.generation is breaker.machine.generation]
    late = [permit for permit in held if permit not in current]
    random.shuffle(late)

    for permit in late:
        outcome = random.choice((breaker.done, breaker.cancel))
        if random.random() < 0.6:
            breaker.failed(permit, ConnectionError())
        else:
            outcome(permit)
        found = breaker.statistics()
        assert (found.phase, found.window_calls, found.error_rate) == ("closed", 0, 0.0)

    assert breaker.machine.state.leases == ()
    for permit in current[:3]:
        breaker.failed(permit, ConnectionError())
    assert breaker.statistics().phase == "open"


STORMS = (
    BreakerConfig(min_calls=10, cooldown_s=1.0, cooldown_max_s=5.0),
    BreakerConfig(window="count", min_calls=10, cooldown_s=1.0, cooldown_jitter=0.5),
    BreakerConfig.preset("classic", cooldown_s=0.5),
    BreakerConfig.preset("provider", cooldown_s=0.5, slow_call_s=0.1, slow_rate=0.5),
    BreakerConfig.preset("storage", cooldown_s=1.0),
    BreakerConfig(min_calls=10, cooldown_s=0.2, half_open_ramp=True, probe_lease_s=2.0),
)


@pytest.mark.parametrize("seed", range(len(STORMS)))
def test_a_thousand_callers_of_a_dependency_that_flaps(seed: int) -> None:
    storm = Storm(seed, STORMS[seed])
    storm.run()

    assert storm.trips >= 3
    assert storm.counts["refused"] > CALLERS / 10
    assert storm.counts["late"] > 0
    permitted = STORMS[seed].half_open_permitted
    assert storm.probes_most <= permitted
    assert storm.probes_most == permitted or STORMS[seed].half_open_ramp
    found = storm.tape.breaker.statistics()
    assert found.rejected == storm.counts["refused"]
    late = found.late - storm.late_probes
    assert found.calls + found.neutral + late == storm.ordinary
    assert storm.tape.replayed() == storm.machine.state


@pytest.mark.asyncio
@pytest.mark.parametrize("seed", range(3))
async def test_a_thousand_tasks_of_a_dependency_that_flaps(seed: int) -> None:
    """The same on a loop, with the actor and its log: what was lived is what is logged."""
    random, clock, gate = Random(seed), ManualClock(), Gate()
    settings = config(3, cooldown_max_s=20.0)
    probing: set[int] = set()
    async with MemoryLog(REGISTRY) as log, ActorSystem(log=log, clock=clock) as system:
        breaker = await Breakers(system).open("db", settings)

        @breaker
        async def fetch() -> int:
            probe = breaker.statistics().phase == "half_open"
            me = id(asyncio.current_task())
            probing.update({me} if probe else ())
            assert len(probing) <= settings.half_open_permitted
            try:
                return await gate.fetch()
            finally:
                probing.discard(me)

        async def call() -> None:
            with suppress(BreakerOpenError, ConnectionError, asyncio.CancelledError):
                await fetch()

        tasks = [asyncio.create_task(call()) for _ in range(CALLERS)]
        await turns()
        assert len(gate.inside) == CALLERS
        while len(tasks) < CALLERS * 2 or gate.inside:
            more = min(6, CALLERS * 2 - len(tasks))
            tasks += [asyncio.create_task(call()) for _ in range(more)]
            healthy = random.random() < 0.5
            some = random.sample(gate.inside, min(20, len(gate.inside)))
            for answer in [*gate.inside[-3:], *some]:
                if random.random() < 0.05:
                    random.choice(tasks).cancel()
                elif answer.done():
                    continue
                elif healthy:
                    answer.set_result(1)
                else:
                    answer.set_exception(ConnectionError())
            clock.advance(random.choice((0.1, 1.0, 5.0)))
            await system.settled()
        await asyncio.gather(*tasks, return_exceptions=True)
        found = breaker.statistics()
        assert found.trips > 3
        assert found.late > 100
        await breaker.reset("the end")
        read = [recorded.event for recorded in await log.read_stream("breaker/db")]
        events = [event for event in read if isinstance(event, Event)]
        assert reduce(evolve, events, BreakerState("db")) == breaker.machine.state
