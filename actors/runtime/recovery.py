"""Reading a stream back, with the checks an actor needs before it trusts it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
import structlog

from ...events import Erased, Event, Fold, UnknownEvent
from ...events.log.errors import MALFORMED
from .errors import EvolveError, StreamGapError, UnknownTagError

if TYPE_CHECKING:
    from ...events.log import EventLog

S = TypeVar("S")

PAGE: Final = 500
"""Events read and folded before the loop has its turn."""

_log = structlog.get_logger(__name__)


class Recovered(msgspec.Struct, frozen=True):
    """How far a stream goes."""

    version: int
    owner: str = ""
    """Whose data its events are; nobody's if any of them was erased."""


async def recovered(
    log: "EventLog",
    fold: Fold[S],
    stream: str,
    *,
    snapshots: bool,
) -> tuple[S, Recovered]:
    """Return the state of a stream and how far it goes.

    Raises `UnknownTagError`, `StreamGapError` and `EvolveError`.
    """
    state, version = fold.initial(stream), 0
    if snapshots:
        state, version = await _from_snapshot(log, fold, stream, state)
    owner, erased = "", False
    covered = version  # the last event behind a snapshot is read for its owner alone
    version = max(0, covered - 1)
    while True:
        page = await log.read_stream(stream, after=version, until=version + PAGE)
        before, events = max(version, covered), list[Event | Erased]()
        for recorded in page:
            version += 1
            if recorded.version != version:
                raise StreamGapError(
                    stream,
                    version,
                    recorded.version,
                    recorded.position,
                )
            owner = owner or recorded.header.owner
            if version <= covered:
                continue
            event = recorded.event
            if isinstance(event, UnknownEvent) and not isinstance(event, Erased):
                raise UnknownTagError(
                    stream,
                    recorded.position,
                    event.tag,
                    event.version,
                )
            events.append(event)
            erased = erased or type(event) is Erased
        state = folded(fold, stream, state, events, before)
        if len(page) < PAGE:
            return state, Recovered(max(version, covered), "" if erased else owner)


def folded(
    fold: Fold[S],
    stream: str,
    state: S,
    events: Sequence[Event | Erased],
    version: int,
) -> S:
    """Return the state after `events` that come after `version`.

    Raises `EvolveError` naming the event.
    """
    return evolved(fold.step, stream, state, events, version)


def evolved(
    evolve: Callable[[S, Any], S],
    stream: str,
    state: S,
    events: Sequence[Event | Erased],
    version: int,
) -> S:
    """Return the state after `events` that come after `version`, by `evolve`.

    Raises `EvolveError` naming the event.
    """
    at = version
    try:
        for event in events:
            at += 1
            state = evolve(state, event)
    except Exception as error:
        tag = events[at - version - 1].tag
        raise EvolveError(stream, at, tag, error) from error
    return state


async def _from_snapshot(
    log: "EventLog",
    fold: Fold[S],
    stream: str,
    state: S,
) -> tuple[S, int]:
    """Return the state of the newest snapshot that can be read, and its version."""
    snapshot = await log.snapshot(stream, fold.version)
    if snapshot is None:
        return state, 0
    try:
        return msgspec.json.decode(snapshot.state, type=fold.state), snapshot.version
    except MALFORMED as error:
        _log.warning("snapshot.unreadable", stream=stream, error=str(error))
        return state, 0
