"""The timers of a loop, by when they are due."""

import heapq
from collections.abc import Iterator
from typing import Final

from .steps import Step

_CANCELLED_MAX: Final = 100
"""More timers that were cancelled, and more than half of all, are thrown out."""


class Timetable:
    """Timers in order of their time, then of their making."""

    __slots__ = ("_cancelled", "_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Step]] = []
        self._count = 0
        self._cancelled = 0

    def put(self, step: Step) -> None:
        """Add a timer."""
        self._count += 1
        heapq.heappush(self._heap, (step.when(), self._count, step))

    def cancelled(self) -> None:
        """Count a timer that was cancelled and may still be here."""
        self._cancelled += 1
        heap = self._heap
        if self._cancelled > max(_CANCELLED_MAX, len(heap) // 2):
            self._cancelled = 0
            self._heap = [entry for entry in heap if not entry[2].cancelled()]
            heapq.heapify(self._heap)

    @property
    def next_s(self) -> float | None:
        """When the next timer is due; None: never."""
        heap = self._heap
        while heap and heap[0][2].cancelled():
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def due(self, now_s: float) -> Iterator[Step]:
        """Take out what is due by `now_s`, in order."""
        heap = self._heap
        while heap and heap[0][0] <= now_s:
            step = heapq.heappop(heap)[2]
            if not step.cancelled():
                yield step
