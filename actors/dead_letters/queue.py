"""The entries of one queue together: which are meant, due, too old or too many."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Final

import msgspec

from ...events import Event
from ...events.dead_letters import RetryScheduled
from .ages import Ages
from .counts import Counts
from .deciding import Setting, cancel, evict, expire, redrive, schedule
from .entry import Entry
from .errors import DeadLetterRefusedError, EntryBusyError, EntryNotFoundError
from .messages import Redrive, Redriving, Selection, Statistics

TURN_MAX: Final = 1000
"""Entries that are changed in one turn, so that the loop goes on."""

Entries = Mapping[str, Entry]
Changes = dict[str, tuple[Event, ...]]
"""New events by stream; what is decided together is appended together."""
Allowance = Callable[[str, int], int]
"""Tells how many more redrives a target gets, given how many are under way."""


def select(entries: Entries, selection: Selection) -> list[Entry]:
    """Return all parked entries that are meant, the most urgent first.

    Raises `EntryNotFoundError` and `EntryBusyError` when one is named that the queue
    does not have, or that is being handed back.
    """
    chosen: Iterable[Entry] = entries.values()
    if selection.entries:
        chosen = [_named(entries, name) for name in dict.fromkeys(selection.entries)]
    meant = [entry for entry in chosen if _is_meant(entry, selection)]
    return sorted(meant, key=_urgency)


def _named(entries: Entries, name: str) -> Entry:
    entry = entries.get(name)
    if entry is None:
        raise EntryNotFoundError(name)
    if entry.place != "parked":
        raise EntryBusyError(name)
    return entry


def _is_meant(entry: Entry, selection: Selection) -> bool:
    wanted = (
        (selection.pipeline, entry.pipeline),
        (selection.stage, entry.stage),
        (selection.error, entry.error),
        (selection.category, entry.category),
        (selection.fingerprint, entry.fingerprint),
        (selection.target, entry.target),
        (selection.batch, entry.batch),
    )
    fits = all(not want or want == have for want, have in wanted)
    return entry.place == "parked" and fits


def _urgency(entry: Entry) -> tuple[int, int, str]:
    return -entry.priority, entry.parked_us, entry.stream


def plan_redrive(
    entries: Entries, command: Redrive, batch: str, setting: Setting
) -> tuple[Changes, Redriving]:
    """Plan a redrive of the selected entries, spread by its rate.

    Raises `DeadLetterRefusedError` for an edited payload for more than one.
    """
    meant = select(entries, command.selection)
    if not command.selection.entries:
        meant = [entry for entry in meant if not entry.claimed_by]
    chosen = meant[: command.selection.entries_max]
    if command.payload is not None and len(chosen) != 1:
        raise DeadLetterRefusedError(
            f"an edited payload fits one entry, {len(chosen)} are selected: name the "
            "entry it is for"
        )
    apart_us = round(1_000_000 / command.per_s) if command.per_s > 0 else 0
    changes: Changes = {}
    due_us = setting.now_us
    for number, entry in enumerate(chosen):
        due_us = setting.now_us + number * apart_us
        plan = RetryScheduled(
            due_us=due_us,
            at_us=setting.now_us,
            reason=command.reason,
            batch=batch,
            payload=msgspec.UNSET if command.payload is None else command.payload,
        )
        changes[entry.stream] = schedule(entry, plan)
    left = len(meant) - len(chosen)
    answer = Redriving(tuple(changes), batch, due_us, left)
    return ({}, answer) if command.dry_run else (changes, answer)


def redrive_due(
    entries: Entries, allowance: Allowance, setting: Setting, *, planned_only: bool
) -> Changes:
    """Hand back what is due, as far as each target allows.

    With `planned_only` the background retries are left for their own round.
    Background retries of an entry somebody has claimed wait for its release.
    """
    due = [
        entry
        for entry in entries.values()
        if entry.due_us is not None
        and entry.due_us <= setting.now_us
        and (entry.batch or not (planned_only or entry.claimed_by))
    ]
    under_way = Counter(e.target for e in entries.values() if e.place == "redriving")
    left: dict[str, int] = {}
    changes: Changes = {}
    for entry in sorted(due, key=_urgency):
        target = entry.target
        if target not in left:
            left[target] = allowance(target, under_way[target])
        if left[target] > 0 and (events := redrive(entry, setting)):
            left[target] -= 1
            changes[entry.stream] = events
    return changes


def expire_old(entries: Entries, setting: Setting) -> Changes:
    """Let go of entries whose time is over, `TURN_MAX` of them at most."""
    decided = ((entry.stream, expire(entry, setting)) for entry in entries.values())
    expired = ((stream, events) for stream, events in decided if events)
    return dict(islice(expired, TURN_MAX))


def cancel_batch(
    entries: Entries, batch: str, reason: str, setting: Setting
) -> Changes:
    """Call off what still waits of a bulk redrive."""
    decided = {
        entry.stream: cancel(entry, reason, setting)
        for entry in entries.values()
        if batch and entry.batch == batch
    }
    return {stream: events for stream, events in decided.items() if events}


def count(
    entries: Entries, ages: Ages, counts: Counts, reserved: int, setting: Setting
) -> Statistics:
    """Return the queue in numbers."""
    now_us = setting.now_us
    oldest_us = ages.oldest_us(entries)
    every = entries.values()
    return Statistics(
        size=sum(e.place in {"parked", "redriving"} for e in every),
        entries_max=setting.policy.entries_max,
        reserved=reserved,
        oldest_age_s=0.0 if oldest_us is None else (now_us - oldest_us) / 1e6,
        due=sum(e.due_us is not None and e.due_us <= now_us for e in every),
        redriving=sum(e.place == "redriving" for e in every),
        claimed=sum(bool(e.claimed_by) for e in every),
        escalated=sum(bool(e.escalated) for e in every),
        by_category=dict(Counter(e.category for e in every)),
        by_fingerprint=dict(Counter(e.fingerprint for e in every)),
        **msgspec.structs.asdict(counts),
    )


def evict_oldest(
    entries: Entries, ages: Ages, surplus: int, setting: Setting, keep: str = ""
) -> Changes:
    """Let go of the `surplus` oldest entries, `TURN_MAX` of them at most.

    `keep` is the newest one, which is not evicted for its own sake.
    """
    most = min(surplus, TURN_MAX)
    oldest = (e for e in ages.oldest(entries, most + 1) if e.stream != keep)
    return {e.stream: evict(e, setting) for e in islice(oldest, most)}
