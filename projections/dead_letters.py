"""What is parked, why, and what became of what was."""

import msgspec

from ..actors.dead_letters.entry import FOLD, Entry
from ..events import Event
from ..events.dead_letters import Parked


class Reason(msgspec.Struct, frozen=True, order=True):
    """Entries that failed for one cause, by the fingerprint of their failure."""

    count: int
    fingerprint: str
    pipeline: str
    stage: str
    error: str
    message: str
    """The message of one of them."""
    category: str


class QueueView(msgspec.Struct):
    """One queue of dead letters."""

    parked: int = 0
    """How many entries it has now."""
    parked_ever: int = 0
    ends: dict[str, int] = {}
    """What became of the others: returned, evicted, expired, discarded, resolved."""


class DeadLettersView(msgspec.Struct):
    """All queues, and their open entries by stream, without the payloads."""

    queues: dict[str, QueueView] = {}
    entries: dict[str, Entry] = {}

    def apply_entry(self, stream: str, event: Event) -> None:
        """Count what happened to an entry."""
        queue = self.queues.setdefault(stream.split("/")[1], QueueView())
        entry = self.entries.get(stream) or FOLD.initial(stream)
        entry = FOLD.evolve(entry, event)
        if isinstance(event, Parked):
            queue.parked += 1
            queue.parked_ever += 1
        if event.closes:
            queue.parked -= 1
            queue.ends[entry.place] = queue.ends.get(entry.place, 0) + 1
            self.entries.pop(stream, None)
        else:
            self.entries[stream] = entry

    def reasons(self, queue: str = "") -> list[Reason]:
        """Return why the present entries (of one queue) are there, commonest first."""
        groups: dict[str, list[Entry]] = {}
        for stream, entry in self.entries.items():
            if not queue or stream.split("/")[1] == queue:
                groups.setdefault(entry.fingerprint, []).append(entry)
        reasons = [
            Reason(
                count=len(entries),
                fingerprint=fingerprint,
                pipeline=entries[0].pipeline,
                stage=entries[0].stage,
                error=entries[0].error,
                message=entries[0].message,
                category=entries[0].category,
            )
            for fingerprint, entries in groups.items()
        ]
        return sorted(reasons, key=lambda reason: (-reason.count, reason.fingerprint))
