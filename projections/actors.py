"""The actors of the systems that keep a log: their tree, mailboxes, failures, rates."""

from collections.abc import Iterator

import msgspec

from ..actors.chronicle.state import FOLD, ActorState, SystemState
from ..events.log import Reader
from .errors import StreamNotBegunError
from .timeline import Timeline


class ActorView(msgspec.Struct, frozen=True):
    """One actor, as a table or a program shows it."""

    system: str
    path: str
    level: int
    """How deep in the tree: 0 is the root."""
    kind: str
    state: str
    depth: int
    """Messages that waited at the last census."""
    capacity: int
    dropped: int
    handled: int
    rate_per_s: float
    restarts: int
    failures: int
    failure: str
    """What it last failed of."""
    failed_us: int


def systems(reader: Reader, *, at: int | None = None) -> list[SystemState]:
    """Return all systems that have written of their actors, as of position `at`.

    Only their own streams are read, from the nearest snapshot on. Raises
    `BeyondEndError`.
    """
    timeline = Timeline(reader, [FOLD])
    found: list[SystemState] = []
    for head in reader.streams(f"{FOLD.kind}/"):
        try:
            found.append(timeline.state(head.stream, at=at).state)
        except StreamNotBegunError:
            continue  # it came up later
    return found


def actor_views(system: SystemState) -> Iterator[ActorView]:
    """Go through the actors of a system, parents first, then those that have died."""
    for actor in (*system.actors.values(), *system.dead.values()):
        yield _view(system.name, actor)


def _view(system: str, actor: ActorState) -> ActorView:
    count = actor.count
    return ActorView(
        system=system,
        path=count.path,
        level=0 if count.path == "/" else count.path.count("/"),
        kind=count.kind,
        state=count.state,
        depth=count.depth,
        capacity=count.capacity,
        dropped=count.dropped,
        handled=count.handled,
        rate_per_s=actor.rate_per_s,
        restarts=count.restarts,
        failures=actor.failures,
        failure=actor.failure,
        failed_us=actor.failed_us,
    )
