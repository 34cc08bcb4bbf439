"""How a pipeline is declared: its stages in order, their limits, where failures go."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec

from ...events.pipelines import PipelineDeclared, StageDeclared
from ..retries import Classifier, RetryPolicy
from .errors import DeclarationError
from .plan import Plan, StagePlan
from .work import Work

StageFunction = Callable[[Work], Awaitable[Any]]
Compensation = Callable[[Work], Awaitable[object]]


RESERVED = frozenset({"items", "control"})
"""The names of the other actors under a pipeline's supervisor."""


class Guard(Protocol):
    """What the attempts of a stage pass: a circuit breaker."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def call(
        self, function: Callable[..., Awaitable[Any]], *args: Any
    ) -> Awaitable[Any]:
        """Call `function` if it may be called now; raises `BreakerOpenError`."""
        ...


UNDO = RetryPolicy(attempts_max=5, by_class={"unknown": "exponential"})
"""Undoing is tried harder than doing: what stays undone needs a person."""


class Stage(msgspec.Struct, frozen=True):
    """One step of a pipeline: a coroutine function, and how it is kept reliable.

    `compensate` undoes what the function did. It is also called for a stage whose
    last attempt failed or was lost, since the effect may be there all the same; so
    it must be harmless where there is nothing to undo.
    """

    name: str
    function: StageFunction
    concurrency: int = 4
    """How many attempts run at the same time."""
    timeout_s: float = 300.0
    """An attempt that takes longer is cancelled and counts as failed."""
    retry: RetryPolicy = RetryPolicy()
    breaker: Guard | str | None = None
    """The breaker that attempts pass, or its name."""
    compensate: Compensation | None = None
    undo_retry: RetryPolicy = UNDO
    progress: int = 0
    """How far an item has come, in percent, once this stage is done."""
    after_crash: Literal["retry", "give_up"] = "retry"
    """What becomes of an attempt whose outcome a crash swallowed."""
    classifier: Classifier = Classifier()


class Pipeline(msgspec.Struct, frozen=True):
    """Stages in order, and the limits of the whole.

    `dead_letters` names the queue that takes items which have failed for good;
    without one they end rolled back. Raises `DeclarationError` for a pipeline
    that could not run.
    """

    name: str
    stages: Sequence[Stage]
    dead_letters: str = ""
    asks_for_room: bool = False
    """Whether the queue refuses entries when full, so that it is asked beforehand."""
    in_flight_max: int = 1000
    """How many items may be open, in whatever place; producers wait beyond it."""
    running_max: int = 1000
    """How many attempts of all stages run at the same time; later stages go first."""
    put_offs_max: int = 10_000
    """How often in a row an attempt is put off before the item is given up."""
    spread_s: float = 1.0
    """Over how much time overdue and lost attempts are spread after a restart."""

    def __post_init__(self) -> None:
        """Refuse a declaration that could not run."""
        names = [stage.name for stage in self.stages]
        self._require(bool(names), "it has no stages: declare at least one")
        for name in (self.name, *names):
            fine = bool(name) and "/" not in name
            self._require(fine, f"{name!r} is no name: take one without a slash")
        taken = RESERVED.intersection(names)
        self._require(not taken, f"{sorted(taken)} are no names for stages")
        twice = {name for name in names if names.count(name) > 1}
        self._require(not twice, f"stages {sorted(twice)} are declared twice")
        for field in ("in_flight_max", "running_max", "put_offs_max"):
            self._require_limit(field, getattr(self, field))
        for stage in self.stages:
            self._require_limit(f"{stage.name}.concurrency", stage.concurrency)
            self._require_limit(f"{stage.name}.timeout_s", stage.timeout_s, 0.001)

    def _require(self, holds: bool, what: str) -> None:  # noqa: FBT001 - a condition
        if not holds:
            raise DeclarationError(f"pipeline {self.name!r}: {what}")

    def _require_limit(self, field: str, value: float, least: float = 1) -> None:
        self._require(value >= least, f"{field} is {value}: take {least} or more")

    @property
    def prefix(self) -> str:
        """How the names of its items' streams begin."""
        return f"item/{self.name}/"

    @property
    def stream(self) -> str:
        """The stream of the pipeline as a whole."""
        return f"pipeline/{self.name}"

    def plan(self) -> Plan:
        """Return what its items are decided by."""
        return Plan(
            pipeline=self.name,
            stages=tuple(
                StagePlan(
                    name=stage.name,
                    attempts_max=stage.retry.attempts_max,
                    undo_attempts_max=stage.undo_retry.attempts_max,
                    percent=stage.progress,
                    compensates=stage.compensate is not None,
                    after_crash=stage.after_crash,
                )
                for stage in self.stages
            ),
            entries=f"dead-letter/{self.dead_letters}/" if self.dead_letters else "",
            asks_for_room=self.asks_for_room,
            put_offs_max=self.put_offs_max,
        )

    def declared(self) -> PipelineDeclared:
        """Return the declaration as it is kept in the log."""
        return PipelineDeclared(
            stages=tuple(
                StageDeclared(
                    name=stage.name,
                    concurrency=stage.concurrency,
                    timeout_us=round(stage.timeout_s * 1e6),
                    attempts_max=stage.retry.attempts_max,
                    percent=stage.progress,
                    breaker=breaker_name(stage.breaker),
                    compensates=stage.compensate is not None,
                )
                for stage in self.stages
            ),
            in_flight_max=self.in_flight_max,
            dead_letters=self.dead_letters,
        )


def breaker_name(breaker: Guard | str | None) -> str:
    """Return the name of a breaker that is given as an object or by its name."""
    if breaker is None or isinstance(breaker, str):
        return breaker or ""
    return breaker.name
