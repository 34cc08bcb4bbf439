"""What is known of a system's actors: the fold of its stream."""

from typing import Final, assert_never, cast

import msgspec
from msgspec.structs import replace

from ...events import Event, Fold
from ...events.actors import (
    ActorCount,
    ActorFailed,
    ActorRestarted,
    ActorsCounted,
    ActorStopped,
    SystemStarted,
    SystemStopped,
)

BURIED_MAX: Final = 100
"""Dead actors that are remembered, the latest."""

AnyEvent = (
    ActorsCounted
    | ActorRestarted
    | ActorFailed
    | ActorStopped
    | SystemStarted
    | SystemStopped
)


class ActorState(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One actor: as the last census found it, and what it last failed of."""

    count: ActorCount
    rate_per_s: float = 0.0
    """Messages it worked off a second between the last two censuses."""
    failure: str = ""
    """What it last failed of; empty: nothing in this life of the system."""
    failed_us: int = 0
    failures: int = 0


class SystemState(msgspec.Struct, frozen=True, omit_defaults=True):
    """One system and its actors, by path in the order of the tree."""

    name: str
    pid: int = 0
    running: bool = False
    """Between its start and an orderly stop; a process that was killed runs still."""
    started_us: int = 0
    counted_us: int = 0
    """When the last census was taken; 0: none was."""
    actors: dict[str, ActorState] = {}
    omitted: int = 0
    """Actors that the last census left out, at least."""
    untold: int = 0
    """Failures and restarts in this life that were too many to be written."""
    dead: dict[str, ActorState] = {}
    """Actors that died of an error in this life, the latest of them."""


def evolve(state: SystemState, event: Event) -> SystemState:
    """Return the state after `event`."""
    event = cast("AnyEvent", event)
    match event:
        case ActorsCounted():
            return _counted(state, event)
        case ActorRestarted():
            actor = _actor(state, event.path)
            count = replace(actor.count, restarts=event.restarts, state="running")
            return _with(state, replace(actor, count=count))
        case ActorFailed():
            return _failed(state, event)
        case ActorStopped():
            return _stopped(state, event)
        case SystemStarted():
            return SystemState(
                state.name, pid=event.pid, running=True, started_us=event.at_us
            )
        case SystemStopped():
            return replace(state, running=False)
        case _:
            assert_never(event)


def _actor(state: SystemState, path: str) -> ActorState:
    """Return an actor, also one that no census has found yet."""
    return state.actors.get(path) or ActorState(ActorCount(path))


def _with(state: SystemState, actor: ActorState) -> SystemState:
    return replace(state, actors={**state.actors, actor.count.path: actor})


def _failed(state: SystemState, event: ActorFailed) -> SystemState:
    actor = _actor(state, event.path)
    return _with(
        state,
        replace(
            actor,
            count=replace(actor.count, state="failed"),
            failure=_said(event.error, event.reason),
            failed_us=event.at_us,
            failures=actor.failures + 1,
        ),
    )


def _stopped(state: SystemState, event: ActorStopped) -> SystemState:
    actors = dict(state.actors)
    actor = actors.pop(event.path, None) or ActorState(ActorCount(event.path))
    dead = {path: each for path, each in state.dead.items() if path != event.path}
    dead[event.path] = replace(
        actor,
        count=replace(actor.count, state="stopped", depth=0),
        rate_per_s=0.0,
        failure=_said(event.error, event.reason),
        failed_us=event.at_us,
    )
    while len(dead) > BURIED_MAX:
        del dead[next(iter(dead))]
    return replace(state, actors=actors, dead=dead)


def _counted(state: SystemState, event: ActorsCounted) -> SystemState:
    """Take over what has changed; who is not mentioned has worked off nothing."""
    since_us = state.counted_us or state.started_us
    took_s = max((event.at_us - since_us) / 1e6, 1e-6)
    new = {count.path: count for count in event.counts}
    gone = frozenset(event.gone)
    actors: dict[str, ActorState] = {}
    for path, actor in state.actors.items():
        count = new.pop(path, None)
        if count is not None:
            handled = max(count.handled - actor.count.handled, 0)
            rate = round(handled / took_s, 3)
            actors[path] = replace(actor, count=count, rate_per_s=rate)
        elif path not in gone:
            actors[path] = replace(actor, rate_per_s=0.0) if actor.rate_per_s else actor
    for path, count in new.items():
        rate = round(count.handled / took_s, 3)
        actors[path] = ActorState(count, rate_per_s=rate)
    return replace(
        state,
        actors=dict(sorted(actors.items(), key=lambda each: each[0].split("/"))),
        counted_us=event.at_us,
        omitted=event.omitted,
        untold=state.untold + event.untold,
    )


def _said(error: str, reason: str) -> str:
    return f"{error}: {reason}" if reason else error


def changes(
    state: SystemState,
    counts: dict[str, ActorCount],
) -> tuple[tuple[ActorCount, ...], tuple[str, ...]]:
    """Return what a census has to say that `state` does not know: new and gone."""
    known = state.actors
    changed = tuple(
        count
        for path, count in counts.items()
        if path not in known or known[path].count != count
    )
    return changed, tuple(path for path in known if path not in counts)


FOLD = Fold(
    kind="system",
    state=SystemState,
    initial=lambda stream: SystemState(stream.partition("/")[2]),
    evolve=evolve,
    version=1,
)
"""The fold of streams `system/<name>`."""
