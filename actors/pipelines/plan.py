"""What a decision has to know of a pipeline: its stages, their limits, its end."""

from collections.abc import Container
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


class Plan(msgspec.Struct, frozen=True):
    """The stages of a pipeline in order, and where its failures go."""

    pipeline: str
    stages: tuple[StagePlan, ...]
    entries: str = ""
    """How the streams of its dead letters begin; empty: it has no queue."""
    asks_for_room: bool = False
    """Whether the queue refuses when full, so that it must be asked beforehand."""
    put_offs_max: int = 10_000

    def stage(self, name: str) -> StagePlan | None:
        """Return the stage called `name`; None: there is none now."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        return None

    def following(self, done: Container[str], just: str = "") -> str:
        """Return the first stage not `done` (nor `just` done); empty: none is left."""
        for stage in self.stages:
            if stage.name not in done and stage.name != just:
                return stage.name
        return ""

    def undoes(self, begun: tuple[str, ...]) -> str:
        """Return the last stage begun that can be undone; empty: none is left."""
        for name in reversed(begun):
            stage = self.stage(name)
            if stage is not None and stage.compensates:
                return name
        return ""
