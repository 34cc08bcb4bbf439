"""Whatever happens, replay gives the state that was lived through."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dramaturg.actors.runtime import ActorSystem, Message, SupervisorSpec
from dramaturg.events import Event
from dramaturg.events.log import LogError
from dramaturg.events.log.memory import MemoryLog

from .actors import (
    FOLD,
    REGISTRY,
    Account,
    Bank,
    Branch,
    Deposit,
    Fail,
    Transfer,
    Withdraw,
    spec,
)

NAMES = st.sampled_from("abc")
KEYS = st.sampled_from(["", "", "", "k1", "k2"])
COMMANDS = st.one_of(
    st.builds(Deposit, st.integers(0, 9), KEYS, NAMES),
    st.builds(Withdraw, st.integers(0, 9)),
    st.just(Fail()),
)
OWNED = st.one_of(
    st.builds(Deposit, st.integers(0, 9), KEYS, NAMES),
    st.builds(Transfer, st.integers(0, 9), st.just("a"), st.sampled_from("bc")),
)
FATES = st.sampled_from(["settle", "release 1", "release 2", "fail", "unknown"])


async def live(log: MemoryLog, actor: Any, steps: list[Message | str]) -> Any:
    """Let an actor live through `steps`; return its last instance and the answers."""
    async with ActorSystem(log=log) as system:
        patient = SupervisorSpec(
            id="patient",
            children=[spec("actor", actor)],
            restarts_max=100,
        )
        await system.spawn(patient)
        ref = system.ref("/patient/actor")
        answers: list[asyncio.Future[Any]] = []
        log.hold()
        for step in steps:
            if not isinstance(step, str):
                answers.append(ref.ask(step))  # type: ignore[arg-type]  # Fail as well
            elif step == "settle":
                await system.settled()
            elif step.startswith("release"):
                log.release(int(step[-1]))
            else:
                log.fail(unknown=step == "unknown")
                log.recover()
        log.release()
        await system.settled()
        await asyncio.gather(*answers, return_exceptions=True)
        return system.cell("/patient/actor").actor, answers


def relived(log: MemoryLog) -> tuple[dict[str, Account], list[int]]:
    """Fold the whole log; return the states and all the balances on the way."""
    states: dict[str, Account] = {}
    balances: list[int] = []
    for recorded in asyncio.run(log.reopened().read()):
        before = states.get(recorded.stream, Account())
        assert isinstance(recorded.event, Event)
        states[recorded.stream] = state = FOLD.evolve(before, recorded.event)
        balances.append(state.balance)
    return states, balances


def is_subsequence(part: list[int], whole: list[int]) -> bool:
    rest = iter(whole)
    return all(any(each == other for other in rest) for each in part)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(COMMANDS, COMMANDS, FATES), max_size=30))
def test_a_stream_is_what_its_actor_lived_through(steps: list[Message | str]) -> None:
    log = MemoryLog(REGISTRY)
    instance, answers = asyncio.run(live(log, Bank, steps))
    states, balances = relived(log)

    said = [answer.result() for answer in answers if answer.exception() is None]
    assert is_subsequence(said, balances)
    assert instance.state == states.get("account/1", Account())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(OWNED, OWNED, FATES), max_size=30))
def test_streams_are_what_their_owner_lived_through(steps: list[Message | str]) -> None:
    log = MemoryLog(REGISTRY)
    instance, answers = asyncio.run(live(log, Branch, steps))
    states, _ = relived(log)

    for answer in answers:
        error = answer.exception()
        assert error is None or isinstance(error, LogError)
    assert instance.states == states
    assert instance.sum == sum(state.balance for state in states.values())
