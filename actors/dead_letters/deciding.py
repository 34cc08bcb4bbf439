"""What becomes of one dead letter: pure functions from its state to events."""

from typing import Literal, assert_never

import msgspec

from ...events import Event
from ...events.dead_letters import (
    Claimed,
    Discarded,
    Escalated,
    Evicted,
    Expired,
    Noted,
    Prioritised,
    RedriveRefused,
    RedriveRequested,
    Released,
    Resolved,
    RetryCancelled,
    RetryScheduled,
)
from .entry import Entry
from .errors import DeadLetterRefusedError, EntryBusyError
from .messages import Claim, Escalate, Note, Prioritise, Release
from .policy import QueuePolicy

Remark = Claim | Release | Note | Escalate | Prioritise
Farewell = Literal["discard", "resolve"]
ERASED = "its owner's data was erased, and with it the work"
"""Why an entry is discarded of which an event was erased."""


class Setting(msgspec.Struct, frozen=True):
    """What is handed in with a decision: time, chance, principal, configuration."""

    now_us: int
    by: str = ""
    draw: float = 0.5
    policy: QueuePolicy = QueuePolicy()


def admit(entry: Entry, setting: Setting) -> tuple[Event, ...]:
    """Decide, for an entry that was just parked, whether retrying can help."""
    if entry.version != 1 or entry.strategy == "none":
        return ()
    if entry.strategy == "manual":
        return (
            _escalated(f"failures of class {entry.category} need a person", setting),
        )
    if entry.redrives >= entry.redrives_max:
        reason = f"redriven {entry.redrives} times in vain"
        return (_escalated(reason, setting),)
    delay_s = setting.policy.retry.backoff_s(
        entry.strategy, entry.redrives + 1, setting.draw
    )
    due_us = setting.now_us + round(delay_s * 1_000_000)
    return (RetryScheduled(due_us=due_us, at_us=setting.now_us),)


def schedule(entry: Entry, plan: RetryScheduled) -> tuple[Event, ...]:
    """Plan a redrive that somebody asked for. Raises `EntryBusyError`."""
    _require_parked(entry)
    return (plan,)


def cancel(entry: Entry, reason: str, setting: Setting) -> tuple[Event, ...]:
    """Call a planned redrive off; what is already being handed back goes on."""
    if entry.place != "parked" or entry.due_us is None:
        return ()
    return (RetryCancelled(reason=reason, at_us=setting.now_us),)


def redrive(entry: Entry, setting: Setting) -> tuple[Event, ...]:
    """Hand a planned entry back now."""
    if entry.place != "parked" or entry.due_us is None or entry.due_us > setting.now_us:
        return ()
    return (RedriveRequested(at_us=setting.now_us, batch=entry.batch),)


def refused(entry: Entry, reason: str, setting: Setting) -> tuple[Event, ...]:
    """Keep an entry whose owner does not take the work back, for a person to see."""
    if entry.place != "redriving":
        return ()
    return (
        RedriveRefused(reason=reason, at_us=setting.now_us),
        _escalated(reason, setting),
    )


def evict(entry: Entry, setting: Setting) -> tuple[Event, ...]:
    """Let go of an entry to make room."""
    _require_parked(entry)
    entries_max = setting.policy.entries_max
    return (Evicted(entries_max=entries_max, at_us=setting.now_us),)


def expire(entry: Entry, setting: Setting) -> tuple[Event, ...]:
    """Let go of an entry whose time is over, unless somebody looks into it."""
    expires_us = setting.policy.expires_us(entry.parked_us, entry.expires_us)
    if entry.place != "parked" or entry.claimed_by or expires_us > setting.now_us:
        return ()
    return (Expired(at_us=setting.now_us),)


def erased(setting: Setting) -> tuple[Event, ...]:
    """Let go of an entry of which an event was erased: nobody can redrive it."""
    return (Discarded(reason=ERASED, by=setting.by, at_us=setting.now_us),)


def close(
    entry: Entry, farewell: Farewell, reason: str, setting: Setting
) -> tuple[Event, ...]:
    """Close an entry by hand. Raises `EntryBusyError`, `DeadLetterRefusedError`."""
    _require_parked(entry)
    if not reason:
        raise DeadLetterRefusedError(
            f"{entry.stream} cannot be closed without a reason: give one, it is kept"
        )
    kind = Discarded if farewell == "discard" else Resolved
    return (kind(reason=reason, by=setting.by, at_us=setting.now_us),)


def remark(entry: Entry, command: Remark, setting: Setting) -> tuple[Event, ...]:
    """Write down what a person found or wants. Raises `EntryBusyError`."""
    _require_parked(entry)
    by, now_us = setting.by, setting.now_us
    event: Event
    match command:
        case Claim():
            event = Claimed(by=by or "unknown", reason=command.reason, at_us=now_us)
        case Release():
            if not entry.claimed_by:
                return ()
            event = Released(by=by, reason=command.reason, at_us=now_us)
        case Note():
            event = Noted(text=command.text, by=by, at_us=now_us)
        case Escalate():
            event = _escalated(command.reason, setting)
        case Prioritise():
            event = Prioritised(
                priority=command.priority, reason=command.reason, at_us=now_us
            )
        case _:
            assert_never(command)
    return (event,)


def _escalated(reason: str, setting: Setting) -> Event:
    return Escalated(reason=reason, at_us=setting.now_us)


def _require_parked(entry: Entry) -> None:
    if entry.place != "parked":
        raise EntryBusyError(entry.stream)
