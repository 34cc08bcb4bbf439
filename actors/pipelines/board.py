"""Who may start next: an index over the open items, kept by their changes."""

from collections import Counter
from collections.abc import Iterator

from .attempts import wanted
from .item import ENDS, Item, Place
from .pipeline import Pipeline
from .plan import Plan

CLOSED: frozenset[Place] = frozenset((*ENDS, "dead_lettered"))
"""Items in these places are not this pipeline's business any more."""

Queue = dict[int, dict[str, None]]
"""Streams in the order of their arrival, by priority."""


class Board:
    """Counts attempts and lines up the items that wait for one.

    It is derived from the items' states and from what is known of the stages at
    the moment (paused, blocked, without a worker), and rebuilt at every start.
    """

    def __init__(self, pipeline: Pipeline) -> None:
        self.plan: Plan = pipeline.plan()
        self.paused = False
        self.held: set[str] = set()
        """Stages that are paused."""
        self.blocked: set[str] = set()
        """Stages whose breaker does not let calls pass."""
        self.manned: set[str] = set()
        """Stages that have a worker."""
        self.open = 0
        """How many items are open."""
        self.places: Counter[Place] = Counter()
        self.keys: dict[str, str] = {}
        """The streams of open items by their idempotency keys."""
        self._in_flight_max = pipeline.in_flight_max
        self._running_max = pipeline.running_max
        self._room = {stage.name: stage.concurrency for stage in pipeline.stages}
        self._order = ("", *reversed(self._room))
        self._running = dict.fromkeys(self._room, 0)
        self._total = 0
        self._waiting: dict[str, Queue] = {stage: {} for stage in self._order}
        self.queued: dict[str, tuple[str, int]] = {}
        """Which items stand in which line."""

    @property
    def is_full(self) -> bool:
        """Whether producers have to wait."""
        return self.open >= self._in_flight_max

    @property
    def busy(self) -> int:
        """How many items go on by themselves: neither paused nor stuck."""
        return self.open - self.places.get("paused", 0) - self.places.get("stuck", 0)

    def running(self, stage: str) -> int:
        """Return how many attempts of a stage run."""
        return self._running.get(stage, 0)

    def waiting(self, stage: str) -> int:
        """Return how many items wait for a stage and could start if it had room."""
        return sum(len(line) for line in self._waiting[stage].values())

    def free(self, stage: str, leaving: str = "") -> bool:
        """Tell whether an attempt of `stage` may start, once one at `leaving` is over."""
        return (
            self._total - bool(leaving) < self._running_max
            and self._running[stage] - (leaving == stage) < self._room[stage]
            and not self.paused
            and stage in self.manned
            and stage not in self.held
            and stage not in self.blocked
        )

    def changed(self, stream: str, before: Item | None, after: Item | None) -> None:
        """Take note that an item was opened, has changed or has ended."""
        if before is not None and before.phase not in CLOSED:
            self.places[before.place] -= 1
            self.open -= 1
            if before.phase == "running":
                self._count(before.stage, -1)
            if before.key and (after is None or after.phase in CLOSED):
                self.keys.pop(before.key, None)
        if after is None or after.phase in CLOSED:
            if stream in self.queued:
                self._leave(stream)
            return
        self.places[after.place] += 1
        self.open += 1
        if after.key:
            self.keys[after.key] = stream
        if after.phase == "running":
            self._count(after.stage, 1)
            if stream in self.queued:
                self._leave(stream)
        else:
            self._idle(stream, after)

    def moved(self, before: str, after: str) -> None:
        """Take note that an item went from one running stage to another, or the same."""
        running = self._running
        running[before] -= 1
        running[after] = running.get(after, 0) + 1

    def wake(self, stream: str, item: Item) -> None:
        """Line up an item whose time has come."""
        if item.place in {"waiting", "waiting_to_retry"}:
            self._join(stream, item)

    def hungry(self) -> bool:
        """Tell whether some item could start now."""
        if self.paused:
            return False
        return any(
            self._waiting[stage] and (not stage or self.free(stage))
            for stage in self._order
        )

    def startable(self, limit: int) -> Iterator[str]:
        """Yield the items to start now: later stages, then higher priorities first."""
        if self.paused:
            return
        total = self._running_max - self._total
        for stage in self._order:
            room = limit
            if stage:
                left = self._room[stage] - self._running[stage]
                room = min(room, total, left) if self.free(stage) else 0
            for stream in self._line(stage, room):
                limit -= 1
                total -= bool(stage)
                yield stream

    def _line(self, stage: str, room: int) -> Iterator[str]:
        queue = self._waiting[stage]
        for priority in sorted(queue, reverse=True):
            for stream in queue[priority]:
                if room <= 0:
                    return
                room -= 1
                yield stream

    def _idle(self, stream: str, item: Item) -> None:
        """Line an item up that may start; one whose time must come waits for `wake`."""
        timed = item.due_us and not item.begun and not item.back
        if item.place == "waiting" and not timed and not item.erased:
            self._join(stream, item)
        elif stream in self.queued:
            self._leave(stream)

    def _join(self, stream: str, item: Item) -> None:
        stage = wanted(item, self.plan)
        if self.queued.get(stream) == (stage, item.priority):
            return
        if stream in self.queued:
            self._leave(stream)
        if not stage and item.back == "failed" and self.plan.asks_for_room:
            return
        self._waiting[stage].setdefault(item.priority, {})[stream] = None
        self.queued[stream] = (stage, item.priority)

    def _leave(self, stream: str) -> None:
        stage, priority = self.queued.pop(stream)
        queue = self._waiting[stage]
        del queue[priority][stream]
        if not queue[priority]:
            del queue[priority]

    def _count(self, stage: str, by: int) -> None:
        """Count an attempt; a stage that is not declared any more has no bound."""
        self._total += by
        self._running[stage] = self._running.get(stage, 0) + by
