"""Which entries are the oldest, without looking at all of them."""

import heapq
from collections.abc import Mapping

from .entry import Entry

Entries = Mapping[str, Entry]


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
