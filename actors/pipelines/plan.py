"""What a decision has to know of a pipeline: its stages, their limits, its end."""

from collections.abc import Container, Mapping
from collections.abc import Set as AbstractSet
from itertools import pairwise
from typing import Literal

import msgspec


class StagePlan(msgspec.Struct, frozen=True):
    """The part of a stage by which items are decided."""

    name: str
    attempts_max: int = 3
    undo_attempts_max: int = 3
    percent: int = 0
    compensates: bool = False
    after_crash: Literal["retry", "give_up"] = "retry"
    """What becomes of an attempt whose outcome a crash swallowed."""


class Plan:
    """The stages of a pipeline in order, and where its failures go."""

    def __init__(
        self,
        pipeline: str,
        stages: tuple[StagePlan, ...],
        *,
        entries: str = "",
        asks_for_room: bool = False,
        put_offs_max: int = 10_000,
    ) -> None:
        self.pipeline = pipeline
        self.stages = {stage.name: stage for stage in stages}
        """By name, in order; a stage that an item is at may not be declared now."""
        self.entries = entries
        """How the streams of its dead letters begin; empty: it has no queue."""
        self.asks_for_room = asks_for_room
        """Whether the queue refuses when full, so that it must be asked beforehand."""
        self.put_offs_max = put_offs_max
        names = list(self.stages)
        self._after: dict[str, tuple[AbstractSet[str], str]] = {
            name: (frozenset(names[:at]), following)
            for at, (name, following) in enumerate(pairwise([*names, ""]))
        }
        """What is done before each stage if all went in order, and what follows it."""

    def following(self, done: Container[str], just: str = "") -> str:
        """Return the first stage not `done` (nor `just` done); empty: none is left."""
        for name in self.stages:
            if name not in done and name != just:
                return name
        return ""

    def after(self, just: str, done: Mapping[str, object]) -> str:
        """Return what `following` does, for most items in one comparison."""
        known = self._after.get(just)
        if known is not None and done.keys() == known[0]:
            return known[1]
        return self.following(done, just)

    def undoes(self, begun: tuple[str, ...]) -> str:
        """Return the last stage begun that can be undone; empty: none is left."""
        for name in reversed(begun):
            stage = self.stages.get(name)
            if stage is not None and stage.compensates:
                return name
        return ""
