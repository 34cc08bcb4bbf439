"""An attempt under way, as the worker of its stage keeps it."""

from functools import partial
from typing import TYPE_CHECKING, Literal

from ..runtime import Message, Running
from .messages import RunAttempt

if TYPE_CHECKING:
    from .worker import StageWorker

Why = Literal["", "timeout", "aborted"]
About = tuple[str, str, int, bool, int]
"""Stream, stage, attempt, whether it undoes, and in which life of the item."""


class Attempt(Running, eq=False, kw_only=True):
    """What an attempt is about, and why it is being stopped.

    It owns the coroutine of the stage's function itself, lest each attempt at each
    stage be two coroutines and two objects that stand for it.
    """

    made_by: "StageWorker"
    run: RunAttempt
    since_s: float
    why: Why = ""
    """Why it is being stopped; empty: it is not."""
    is_over: bool = False
    """Whether it has failed, and that is to be judged in a turn of its own."""
    reported_s: float = float("-inf")
    percent: int = 0
    """Progress that is not reported yet; 0: none."""

    @property
    def about(self) -> About:
        """What a report begins with."""
        run, item = self.run, self.run.item
        return item.stream, run.stage, run.attempt, run.undoing, item.redrives

    def report(self, percent: int) -> None:
        """Tell how far the item has come."""
        self.made_by.progress(self, percent)

    def settled(self, result: object) -> None:
        """Report success, also if the attempt was to be stopped and was not."""
        try:
            self.made_by.succeeded(self, result)
        except Exception as error:  # noqa: BLE001 - what no JSON can be made of
            self.crashed(error)
        else:
            if self.worker is not None:
                self._forget()

    def crashed(self, error: BaseException) -> None:
        """Have the error judged, or report why the attempt was stopped."""
        self.is_over = True
        if self.why:
            self.made_by.stopped(self)
        else:
            self.failed = partial(AttemptRaised, self)
            super().crashed(error)


class AttemptRaised(Message):
    """An attempt ended with an error, which is to be judged."""

    attempt: Attempt
    error: Exception
