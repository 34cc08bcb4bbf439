"""The entries of one queue together: which are meant, due, too old or too many."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from ...events import Event
from ...events.dead_letters import RetryScheduled
from .deciding import Setting, evict, expire, redrive, schedule
from .entry import Entry
from .errors import DeadLetterRefusedError, EntryNotFoundError
from .messages import Redrive, Redriving, Selection

Entries = Mapping[str, Entry]
Changes = dict[str, tuple[Event, ...]]
"""New events by stream; what is decided together is appended together."""
Allowance = Callable[[str, int], int]
"""Tells how many more redrives a target gets, given how many are under way."""


def select(entries: Entries, selection: Selection) -> list[Entry]:
    """Return the parked entries that are meant, the most urgent first.

    Raises `EntryNotFoundError` when one is named that the queue does not have.
    """
    chosen: Iterable[Entry] = entries.values()
    if selection.entries:
        missing = [name for name in selection.entries if name not in entries]
        if missing:
            raise EntryNotFoundError(missing[0])
        chosen = [entries[name] for name in dict.fromkeys(selection.entries)]
    meant = [entry for entry in chosen if _is_meant(entry, selection)]
    return sorted(meant, key=_urgency)[: selection.entries_max]


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
    chosen = select(entries, command.selection)
    if not command.selection.entries:
        chosen = [entry for entry in chosen if not entry.claimed_by]
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
    answer = Redriving(tuple(changes), batch, due_us)
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
    """Let go of every entry whose time is over."""
    decided = ((entry.stream, expire(entry, setting)) for entry in entries.values())
    return {stream: events for stream, events in decided if events}


class Ages:
    """Finds the oldest entry without looking at all of them."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, str]] = []

    def add(self, entry: Entry) -> None:
        """Remember a parked entry."""
        heapq.heappush(self._heap, (entry.parked_us, entry.stream))

    def oldest_us(self, entries: Entries) -> int | None:
        """Return when the oldest entry was parked, None if there is none."""
        while self._heap and self._heap[0][1] not in entries:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def oldest(self, entries: Entries, count: int) -> list[Entry]:
        """Return the `count` oldest that may go, those claimed by somebody last."""
        found: list[Entry] = []
        kept: list[tuple[int, str]] = []
        while self._heap and len(found) < count:
            aged = heapq.heappop(self._heap)
            entry = entries.get(aged[1])
            if entry is None:
                continue
            kept.append(aged)
            if entry.place == "parked" and not entry.claimed_by:
                found.append(entry)
        for aged in kept:
            heapq.heappush(self._heap, aged)
        if len(found) < count:
            found += self._claimed(entries, kept)[: count - len(found)]
        return found

    @staticmethod
    def _claimed(entries: Entries, aged: list[tuple[int, str]]) -> list[Entry]:
        known = [entries[stream] for _, stream in aged]
        return [
            entry for entry in known if entry.place == "parked" and entry.claimed_by
        ]


def evict_surplus(
    entries: Entries, ages: Ages, setting: Setting, keep: str = ""
) -> Changes:
    """Let go of the oldest entries until the queue is within its limit.

    `keep` is the newest one, which is not evicted for its own sake.
    """
    surplus = len(entries) - setting.policy.entries_max
    if surplus <= 0 or setting.policy.limit != "evict_oldest":
        return {}
    oldest = (e for e in ages.oldest(entries, surplus + 1) if e.stream != keep)
    chosen: Iterator[Entry] = (
        entry for entry, _ in zip(oldest, range(surplus), strict=False)
    )
    return {entry.stream: evict(entry, setting) for entry in chosen}


class Rooms:
    """The places that were promised to work that is about to be parked."""

    def __init__(self) -> None:
        self._until_us: dict[str, int] = {}

    def reserve(self, item: str, size: int, setting: Setting) -> bool:
        """Promise a place to `item`, if there is one."""
        if setting.policy.limit == "evict_oldest":
            return True
        now_us = setting.now_us
        self._until_us = {k: t for k, t in self._until_us.items() if t > now_us}
        taken = size + len(self._until_us) - (item in self._until_us)
        if taken >= setting.policy.entries_max:
            return False
        kept_us = round(setting.policy.reservation_s * 1_000_000)
        self._until_us[item] = now_us + kept_us
        return True

    def use(self, item: str) -> None:
        """Note that the work has arrived."""
        self._until_us.pop(item, None)

    def __len__(self) -> int:
        """Count the promises that were neither used nor found expired."""
        return len(self._until_us)


class Counts(msgspec.Struct):
    """What happened since the actor started."""

    parked: int = 0
    returned: int = 0
    evicted: int = 0
    expired: int = 0
    discarded: int = 0
    resolved: int = 0
