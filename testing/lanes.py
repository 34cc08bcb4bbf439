"""What is ready to run on a seeded loop, and the choice among it."""

from bisect import bisect_left
from collections import deque
from random import Random
from types import ModuleType
from typing import Any

from .steps import SeededTask, Step


class Lanes:
    """Ready callbacks; those of one receiver keep their order, all else is chance.

    The receiver is the object a method is bound to, else the first argument. So a
    task's steps, the callbacks of one future and a log's answers stay in order, as
    code may expect; across receivers any order may come. Without `chance` it is first
    come, first served.

    Lanes are ordered by the numbers of their tasks, not by when they came: tasks that
    were woken by going through a set make no difference.
    """

    __slots__ = ("_by_receiver", "_chance", "_count", "_lanes", "_ranks")

    def __init__(self, chance: Random | None) -> None:
        self._chance = None if chance is None else chance.random
        self._lanes: list[tuple[int, deque[Step]]] = []
        self._ranks: list[int] = []
        self._by_receiver: dict[int, deque[Step]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Tell among how many the next choice is."""
        return len(self._lanes)

    def put(self, step: Step) -> None:
        """Add what has become ready."""
        receiver = self if self._chance is None else _receiver(step)
        key = id(receiver)  # alive as long as the step that names it waits
        lane = self._by_receiver.get(key)
        if lane is not None:
            lane.append(step)
            return
        lane = self._by_receiver[key] = deque((step,))
        if isinstance(receiver, SeededTask):
            rank = receiver.number
            index = bisect_left(self._ranks, rank)
        else:
            self._count = rank = self._count + 1
            index = len(self._ranks)
        self._ranks.insert(index, rank)
        self._lanes.insert(index, (key, lane))

    def pick(self) -> Step:
        """Take one out; there must be one."""
        lanes = self._lanes
        count = len(lanes)
        index = 0
        if count > 1 and self._chance is not None:
            index = int(self._chance() * count)
        key, lane = lanes[index]
        step = lane.popleft()
        if not lane:
            del lanes[index], self._ranks[index], self._by_receiver[key]
        return step


def _receiver(step: Step) -> Any:
    receiver = getattr(step.call, "__self__", None)
    if receiver is None or isinstance(receiver, ModuleType):
        return step.args[0] if step.args else step.call
    return receiver
