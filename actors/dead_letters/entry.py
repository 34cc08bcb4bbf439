"""The state of one dead letter, folded from its events."""

from typing import Literal, assert_never

import msgspec

from ...events import Erased, Event, Fold
from ...events.dead_letters import (
    Claimed,
    Discarded,
    Escalated,
    Evicted,
    Expired,
    Noted,
    Parked,
    Prioritised,
    RedriveRefused,
    RedriveRequested,
    Released,
    Resolved,
    RetryCancelled,
    RetryScheduled,
    Returned,
    Strategy,
)

Place = Literal[
    "new",
    "parked",
    "redriving",
    "returned",
    "evicted",
    "expired",
    "discarded",
    "resolved",
]
"""Where the work is; the last five are ends of the entry."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A dead letter as its stream tells it, but for the parked payload.

    That stays in the log, because ten thousand payloads are no state to keep.
    """

    stream: str
    version: int = 0
    place: Place = "new"
    item: str = ""
    item_version: int = 0
    pipeline: str = ""
    stage: str = ""
    error: str = ""
    message: str = ""
    fingerprint: str = ""
    category: str = ""
    attempts: int = 0
    parked_us: int = 0
    expires_us: int | None = None
    priority: int = 0
    strategy: Strategy = "exponential"
    redrives: int = 0
    redrives_max: int = 0
    target: str = ""
    key: str = ""
    due_us: int | None = None
    """When it is to be redriven; None: it is not planned."""
    batch: str = ""
    edited: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """The payload it goes back with, where somebody changed it."""
    claimed_by: str = ""
    escalated: str = ""
    """Why a person has to look at it; empty: nobody has to."""
    notes: int = 0
    reason: str = ""
    """Why it ended, where somebody decided so."""
    erased: bool = False
    """Whether the data of any of its events was erased: what it was is not known."""


Movement = Parked | RetryScheduled | RetryCancelled | RedriveRequested | RedriveRefused
Remark = Claimed | Released | Noted | Escalated | Prioritised
Ending = Returned | Evicted | Expired | Discarded | Resolved

_change = msgspec.structs.replace


def evolve(state: Entry, event: Event) -> Entry:
    """Fold one event into the state."""
    state = _change(state, version=state.version + 1)
    if isinstance(event, Movement):
        return _moved(state, event)
    if isinstance(event, Remark):
        return _remarked(state, event)
    if isinstance(event, Ending):
        return _ended(state, event)
    raise TypeError(f"{event.tag} is no event of a dead letter: {state.stream}")


def _moved(state: Entry, event: Movement) -> Entry:
    match event:
        case Parked():
            state = _parked(state, event)
        case RetryScheduled():
            edited = state.edited if event.payload is msgspec.UNSET else event.payload
            state = _change(
                state, due_us=event.due_us, batch=event.batch, edited=edited
            )
        case RetryCancelled():
            state = _change(state, due_us=None, batch="")
        case RedriveRequested():
            state = _change(state, place="redriving", due_us=None, batch=event.batch)
        case RedriveRefused():
            state = _change(state, place="parked", batch="")
        case _:
            assert_never(event)
    return state


def _remarked(state: Entry, event: Remark) -> Entry:
    match event:
        case Claimed():
            state = _change(state, claimed_by=event.by)
        case Released():
            state = _change(state, claimed_by="")
        case Noted():
            state = _change(state, notes=state.notes + 1)
        case Escalated():
            state = _change(state, escalated=event.reason)
        case Prioritised():
            state = _change(state, priority=event.priority)
        case _:
            assert_never(event)
    return state


def _parked(state: Entry, event: Parked) -> Entry:
    return _change(
        state,
        place="parked",
        item=event.item,
        item_version=event.item_version,
        pipeline=event.pipeline,
        stage=event.stage,
        error=event.error,
        message=event.message,
        fingerprint=event.fingerprint,
        category=event.category,
        attempts=event.attempts,
        parked_us=event.at_us,
        expires_us=event.expires_us,
        priority=event.priority,
        strategy=event.strategy,
        redrives=event.redrives,
        redrives_max=event.redrives_max,
        target=event.target,
        key=event.key,
    )


def _ended(state: Entry, event: Ending) -> Entry:
    state = _change(state, due_us=None, batch="")
    match event:
        case Returned():
            return _change(state, place="returned")
        case Evicted():
            return _change(state, place="evicted")
        case Expired():
            return _change(state, place="expired")
        case Discarded():
            return _change(state, place="discarded", reason=event.reason)
        case Resolved():
            return _change(state, place="resolved", reason=event.reason)
        case _:
            assert_never(event)


def _erased(state: Entry, event: Erased) -> Entry:
    """Go by the tag, which is all that is left."""
    place = _PLACES.get(event.tag, "parked")
    return _change(state, version=state.version + 1, place=place, erased=True)


_PLACES: dict[str, Place] = {
    Returned.tag: "returned",
    Evicted.tag: "evicted",
    Expired.tag: "expired",
    Discarded.tag: "discarded",
    Resolved.tag: "resolved",
}


def _initial(stream: str) -> Entry:
    return Entry(stream)


FOLD: Fold[Entry] = Fold(
    kind="dead-letter",
    state=Entry,
    initial=_initial,
    evolve=evolve,
    erased=_erased,
)
