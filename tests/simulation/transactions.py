"""An independent model of transactions."""

from collections.abc import Callable
from typing import Any

from .promise import BrokenPromiseError, Data, Row, holds

PASSED = frozenset({"done", "skipped"})
GONE = frozenset({"undone", "abandoned"})


class StepModel:
    """One step."""

    def __init__(self, plan: Data) -> None:
        self.group = plan.get("group", 0)
        self.pivot = plan.get("pivot", False)
        self.args = plan["args"]
        self.status = "waiting"
        self.attempts = 0
        self.undos = 0
        self.announced = 0
        """The position of the event that began the last attempt."""


class TransactionModel:
    """One transaction."""

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.phase = "new"
        self.steps: list[StepModel] = []
        self.key = ""
        self.at = -1
        self.direction = ""
        self.letter = ""
        self.letters: list[str] = []
        self.forced = False
        self.seen: set[str] = set()

    def take(self, row: Row) -> None:
        """Fold one event; it must be lawful."""
        name = row.tag.removeprefix("transaction.")
        known = CLAUSES.get(name)
        holds(known, 5, row, "no clause for it")
        ended = self.phase in {"committed", "rolled_back"}
        holds(not ended, 4, row, f"after its end {self.phase}")
        assert known is not None
        known(self, row, row.data)
        self.seen.add(name)

    def law(self, condition: object, row: Row, why: str) -> None:
        """Say what is wrong, with the state it was wrong in."""
        if not condition:
            steps = [(s.status, s.attempts, s.undos) for s in self.steps]
            raise BrokenPromiseError(5, f"{row}: {why}; {self.phase} {steps}")

    def _step(self, data: Data) -> StepModel:
        number: int = data["step"]
        return self.steps[number]

    @property
    def pivoted(self) -> bool:
        """Whether there is no way back."""
        return any(step.pivot and step.status in PASSED for step in self.steps)

    def began(self, row: Row, data: Data) -> None:
        self.law(self.phase == "new" and row.version == 1, row, "it has begun")
        self.phase = "forward"
        self.key = data.get("key", "")
        self.steps = [StepModel(plan) for plan in data["steps"]]

    def step_started(self, row: Row, data: Data) -> None:
        number: int = data["step"]
        step = self.steps[number]
        self.law(self.phase == "forward", row, "it does not go forward")
        again = {"waiting", "failed", "started", "doubted"}
        self.law(step.status in again, row, "it is not to be started")
        self.law(data["attempt"] == step.attempts + 1, row, "the attempt is miscounted")
        for other in self.steps[:number]:
            beside = step.group and other.group == step.group
            self.law(other.status in PASSED or beside, row, "one before it is not done")
        step.status, step.attempts = "started", data["attempt"]
        step.announced = row.position

    def step_done(self, row: Row, data: Data) -> None:
        step = self._step(data)
        self.law(step.status in {"started", "doubted"}, row, "it was not under way")
        self.law(self.phase in {"forward", "stuck"}, row, "it does not go forward")
        step.status = "done"

    def step_failed(self, row: Row, data: Data) -> None:
        step = self._step(data)
        known = {"started", "doubted"} if step.attempts else {"waiting", "failed"}
        self.law(step.status in known, row, "it was not under way")
        self.law(self.phase in {"forward", "stuck"}, row, "it does not go forward")
        step.status = "failed"

    def step_doubted(self, row: Row, data: Data) -> None:
        step = self._step(data)
        self.law(step.status in {"started", "doubted"}, row, "there is no doubt")
        step.status = "doubted"

    def rollback_started(self, row: Row, _: Data) -> None:
        forward = self.phase == "forward" or (
            self.phase == "stuck" and self.direction == "forward"
        )
        self.law(forward and not self.pivoted, row, "it cannot turn back")
        self.phase = "back"

    def compensation_started(self, row: Row, data: Data) -> None:
        number: int = data["step"]
        step = self.steps[number]
        self.law(self.phase == "back", row, "it does not go back")
        self.law(step.attempts > 0, row, "its effect was never begun")
        self.law(step.status not in GONE, row, "it is undone already")
        self.law(data["attempt"] == step.undos + 1, row, "the attempt is miscounted")
        for other in self.steps[number + 1 :]:
            gone = not other.attempts or other.status in GONE
            self.law(gone, row, "one after it is not undone yet")
        step.status, step.undos = "undoing", data["attempt"]
        step.announced = row.position

    def compensation_done(self, row: Row, data: Data) -> None:
        step = self._step(data)
        self.law(step.status == "undoing", row, "it was not being undone")
        step.status = "undone"

    def compensation_failed(self, row: Row, data: Data) -> None:
        step = self._step(data)
        self.law(step.status == "undoing", row, "it was not being undone")
        step.status = "undo_failed"

    def stuck(self, row: Row, data: Data) -> None:
        self.law(self.phase in {"forward", "back"}, row, "it is not under way")
        self.law(self.phase == data["direction"], row, "it goes in another direction")
        self.phase, self.at, self.direction = "stuck", data["step"], data["direction"]
        self.letter = data.get("letter", "")
        self.letters.append(self.letter)

    def _freed(self, row: Row, data: Data) -> StepModel:
        self.law(self.phase == "stuck", row, "it is not stuck")
        self.law(self.at == data["step"], row, "it is stuck at another step")
        self.phase, self.letter = self.direction, ""
        return self.steps[self.at]

    def retried(self, row: Row, data: Data) -> None:
        step = self._freed(row, data)
        step.status = "undo_failed" if self.phase == "back" else "failed"

    def step_skipped(self, row: Row, data: Data) -> None:
        step = self._freed(row, data)
        step.status = "abandoned" if self.phase == "back" else "skipped"
        self.forced = True

    def committed(self, row: Row, data: Data) -> None:
        self.forced |= bool(data.get("forced"))
        passed = all(step.status in PASSED for step in self.steps)
        going = self.phase == "forward" and passed
        self.law(going or data.get("forced"), row, "not every step is done")
        self.phase, self.letter = "committed", ""

    def rolled_back(self, row: Row, data: Data) -> None:
        self.forced |= bool(data.get("forced"))
        gone = all(not step.attempts or step.status in GONE for step in self.steps)
        going = self.phase == "back" and gone
        self.law(going or data.get("forced"), row, "not every step is undone")
        self.phase, self.letter = "rolled_back", ""


Clause = Callable[[Any, Row, Data], None]
CLAUSES: dict[str, Clause] = {
    "began": TransactionModel.began,
    "step_started": TransactionModel.step_started,
    "step_done": TransactionModel.step_done,
    "step_failed": TransactionModel.step_failed,
    "step_doubted": TransactionModel.step_doubted,
    "rollback_started": TransactionModel.rollback_started,
    "compensation_started": TransactionModel.compensation_started,
    "compensation_done": TransactionModel.compensation_done,
    "compensation_failed": TransactionModel.compensation_failed,
    "stuck": TransactionModel.stuck,
    "retried": TransactionModel.retried,
    "step_skipped": TransactionModel.step_skipped,
    "committed": TransactionModel.committed,
    "rolled_back": TransactionModel.rolled_back,
}
