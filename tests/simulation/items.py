"""An independent model of items: where each is, and which events are lawful there.

It is written from the vocabulary of events alone. An event that its model does not
allow in its state is a broken promise: a transition happened twice, or out of order,
or an item was in two places.
"""

from collections.abc import Callable
from typing import Any

from .promise import BrokenPromiseError, Data, Row, holds

ENDS = frozenset({"done", "cancelled", "rolled_back"})


class StageRule:
    """What the model has to know of a stage."""

    def __init__(self, name: str, attempts_max: int, *, undoable: bool) -> None:
        self.name = name
        self.attempts_max = attempts_max
        self.undoable = undoable


class ItemModel:
    """One item."""

    def __init__(self, stream: str, stages: tuple[StageRule, ...]) -> None:
        self.stream = stream
        self.stages = {stage.name: stage for stage in stages}
        self.order = [stage.name for stage in stages]
        self.place = "new"
        self.paused = False
        self.stage = ""
        self.attempt = 0
        self.undoing = False
        self.done: list[str] = []
        self.begun: list[str] = []
        self.back = ""
        self.entry = ""
        self.redrives = 0
        self.key = ""
        self.announced = 0
        """The position of the event that began the last attempt."""
        self.seen: set[str] = set()

    def take(self, row: Row) -> None:
        """Fold one event; it must be lawful."""
        name = row.tag.removeprefix("item.")
        known = CLAUSES.get(name)
        holds(known, 5, row, "no clause for it")
        holds(self.place not in ENDS, 5, row, f"after its end {self.place}")
        assert known is not None
        known(self, row, row.data)
        self.seen.add(name)

    def law(self, condition: object, row: Row, why: str) -> None:
        """Say what is wrong, with the state it was wrong in."""
        if not condition:
            state = {k: v for k, v in vars(self).items() if k != "stages"}
            raise BrokenPromiseError(5, f"{row}: {why}; {state}")

    @property
    def is_open(self) -> bool:
        """Whether the pipeline still has it."""
        return self.place not in {*ENDS, "dead"}

    @property
    def following(self) -> str:
        """The first stage that is not done."""
        return next((name for name in self.order if name not in self.done), "")

    @property
    def undoes(self) -> str:
        """The stage to be undone next."""
        left = [name for name in self.begun if self.stages[name].undoable]
        return left[-1] if left else ""

    # Forward

    def submitted(self, row: Row, data: Data) -> None:
        self.law(self.place == "new" and row.version == 1, row, "it is there already")
        self.key = data.get("key", "")
        self.place = "waiting"
        if data.get("starts"):
            self._run(row, data["starts"], 1)

    def _run(self, row: Row, stage: str, attempt: int) -> None:
        self.law(stage == self.following, row, f"{self.following} comes next")
        self.law(not self.paused and not self.back, row, "it is paused or goes back")
        used = self.attempt if self.stage == stage else 0
        self.law(attempt == used + 1, row, f"{used} attempts were made")
        limit = self.stages[stage].attempts_max
        holds(attempt <= limit, 6, row, f"{limit} attempts are allowed")
        self.place, self.stage, self.attempt = "running", stage, attempt
        self.announced = row.position
        if stage not in self.begun:
            self.begun.append(stage)

    def stage_started(self, row: Row, data: Data) -> None:
        self.law(self.place in {"waiting", "retry"}, row, "it cannot start")
        self._run(row, data["stage"], data["attempt"])

    def _running(self, row: Row, data: Data, *, undoing: bool = False) -> None:
        self.law(self.place == "running", row, "no attempt runs")
        self.law(self.stage == data["stage"], row, "another stage runs")
        self.law(self.undoing == undoing, row, "the attempt has another direction")
        attempt = data.get("attempt", self.attempt)
        self.law(self.attempt == attempt, row, "another attempt runs")

    def stage_done(self, row: Row, data: Data) -> None:
        self._running(row, data)
        self.done.append(self.stage)
        self.place, self.stage, self.attempt = "waiting", "", 0
        if data.get("starts"):
            self._run(row, data["starts"], 1)

    def progressed(self, row: Row, _: Data) -> None:
        self.law(self.place == "running", row, "no attempt runs")

    def item_done(self, row: Row, _: Data) -> None:
        self.law(not self.following and not self.back, row, "it is not through")
        self.place = "done"

    def retry_scheduled(self, row: Row, data: Data) -> None:
        self._running(row, data)
        self.law(not self.back, row, "it goes back")
        self.place = "retry"

    def put_off(self, row: Row, data: Data) -> None:
        self._running(row, data)
        self.place = "retry"
        self.attempt -= 1
        if not self.attempt:
            self.begun.remove(self.stage)

    def pause(self, row: Row, _: Data) -> None:
        open_ = {"waiting", "retry", "running"}
        self.law(self.place in open_ and not self.paused, row, "it is not to be paused")
        self.paused = True

    def resume(self, row: Row, _: Data) -> None:
        self.law(self.paused, row, "it is not paused")
        self.paused = False

    # Backward

    def _idle(self) -> None:
        self.place, self.stage, self.attempt, self.undoing = "waiting", "", 0, False

    def rollback_started(self, row: Row, data: Data) -> None:
        self.law(self.place in {"running", "retry"}, row, "nothing has failed")
        self.law(self.stage == data["stage"] and not self.undoing, row, "not this one")
        self._idle()
        self.back = "failed"

    def cancel_requested(self, row: Row, _: Data) -> None:
        open_ = {"waiting", "retry", "running"}
        self.law(self.place in open_, row, "it is not to be cancelled")
        self.law(self.back != "cancelled", row, "it is cancelled already")
        self.back = "cancelled"
        self.paused = False
        if self.place != "running" and not self.undoing:
            self._idle()

    def attempt_aborted(self, row: Row, data: Data) -> None:
        self._running(row, data)
        self.law(self.back, row, "it was not cancelled")
        self._idle()

    def compensation_started(self, row: Row, data: Data) -> None:
        self.law(self.place in {"waiting", "retry"}, row, "it cannot start")
        self._undo(row, data["stage"], data["attempt"])

    def _undo(self, row: Row, stage: str, attempt: int) -> None:
        self.law(self.back and not self.paused, row, "it goes forward or is paused")
        self.law(stage == self.undoes, row, f"{self.undoes or 'nothing'} is next")
        used = self.attempt if self.undoing and self.stage == stage else 0
        self.law(attempt == used + 1, row, f"{used} attempts were made")
        self.place, self.stage, self.attempt = "running", stage, attempt
        self.announced = row.position
        self.undoing = True

    def stage_compensated(self, row: Row, data: Data) -> None:
        self._running(row, data, undoing=True)
        self._cut(self.stage)
        self._idle()
        if data.get("starts"):
            self._undo(row, data["starts"], 1)

    def _cut(self, stage: str) -> None:
        del self.begun[self.begun.index(stage) :]
        self.done = [name for name in self.done if name in self.begun]

    def compensation_failed(self, row: Row, data: Data) -> None:
        self._running(row, data, undoing=True)
        self.place = "retry"

    def compensation_put_off(self, row: Row, data: Data) -> None:
        self._running(row, data, undoing=True)
        self.place = "retry"
        self.attempt -= 1

    def stuck(self, row: Row, data: Data) -> None:
        self._running(row, data, undoing=True)
        self.place = "stuck"

    def stuck_resolved(self, row: Row, data: Data) -> None:
        self.law(self.place == "stuck", row, "it is not stuck")
        if data["choice"] == "skip":
            self._cut(self.stage)
        self._idle()

    # Ends, and the way back

    def _undone(self, row: Row, why: str) -> None:
        self.law(self.back == why, row, "that is not why it went back")
        self.law(self.place == "waiting", row, "something is under way")
        self.law(not self.undoes, row, f"{self.undoes} is not undone")

    def gave_up(self, row: Row, data: Data) -> None:
        self._undone(row, "failed")
        self.place, self.entry = "dead", data["entry"]

    def rolled_back(self, row: Row, _: Data) -> None:
        self._undone(row, "failed")
        self.place = "rolled_back"

    def cancelled(self, row: Row, _: Data) -> None:
        self._undone(row, "cancelled")
        self.place = "cancelled"

    def redriven(self, row: Row, data: Data) -> None:
        self.law(self.place == "dead", row, "it is no dead letter")
        self.law(self.entry == data["entry"], row, "it is another dead letter")
        self._idle()
        self.back, self.entry, self.paused = "", "", False
        self.redrives += 1
        if "payload" in data:
            self.done, self.begun = [], []


Clause = Callable[[Any, Row, Data], None]
CLAUSES: dict[str, Clause] = {
    "submitted": ItemModel.submitted,
    "stage_started": ItemModel.stage_started,
    "stage_done": ItemModel.stage_done,
    "progressed": ItemModel.progressed,
    "done": ItemModel.item_done,
    "retry_scheduled": ItemModel.retry_scheduled,
    "put_off": ItemModel.put_off,
    "paused": ItemModel.pause,
    "resumed": ItemModel.resume,
    "rollback_started": ItemModel.rollback_started,
    "cancel_requested": ItemModel.cancel_requested,
    "attempt_aborted": ItemModel.attempt_aborted,
    "compensation_started": ItemModel.compensation_started,
    "stage_compensated": ItemModel.stage_compensated,
    "compensation_failed": ItemModel.compensation_failed,
    "compensation_put_off": ItemModel.compensation_put_off,
    "stuck": ItemModel.stuck,
    "stuck_resolved": ItemModel.stuck_resolved,
    "gave_up": ItemModel.gave_up,
    "rolled_back": ItemModel.rolled_back,
    "cancelled": ItemModel.cancelled,
    "redriven": ItemModel.redriven,
}
