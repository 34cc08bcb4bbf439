"""The worker of a stage: runs its attempts side by side and reports their ends."""

from asyncio import CancelledError
from collections.abc import Callable, Coroutine
from inspect import CO_COROUTINE
from types import FunctionType
from typing import Any, cast

import msgspec

from ...events.pipelines import NOTHING, Failure
from ..retries import GiveUp, PutOff
from ..runtime import Actor, Message, Origin, handles
from .attempt import Attempt, AttemptRaised, Why
from .crew import Crew
from .errors import AttemptTimeoutError, ResultTooLargeError
from .messages import (
    AbortAttempt,
    AttemptUnknown,
    CheckAttempt,
    ItemProgressed,
    RunAttempt,
    StageAborted,
    StageFailed,
    StageRejected,
    StageSucceeded,
    WorkerStarted,
)
from .pipeline import Compensation, Guard, Stage, StageFunction
from .work import Work

PROGRESS_S = 1.0
"""The progress of an item is reported no more often."""
RESULT_BYTES_MAX = 1_000_000
"""A larger result belongs into the artifact store, and its address into the log."""
SWEEP_S_MIN = 0.001
"""Sweeps are at least so far apart, lest rounding makes them go round and round."""

encode = msgspec.json.encode


class Sweep(Message):
    """Look for attempts that take too long."""


class FlushProgress(Message):
    """Report the progress that came too soon after the last report."""

    attempt: Attempt


class StageWorker(Actor):
    """Makes the attempts of one stage, as many side by side as it is told to.

    An attempt over its time is cancelled, and has ended when its function really
    has; so no item is worked on twice at the same time, not even by a function
    that does not let itself be cancelled at once.
    """

    def __init__(self, stage: Stage, crew: Crew, breaker: Guard | None) -> None:
        self._stage = stage
        self._crew = crew
        self._breaker = breaker
        self._plain = _plain(stage) if breaker is None else None
        """Makes the coroutine of an attempt by itself, if the stage's function can."""
        self._generation = 0
        self._attempts: dict[str, Attempt] = {}
        self._sweeps = False

    async def starting(self) -> None:
        """Tell the pipeline that whatever ran here before is lost."""
        stage = self._stage.name
        self._now_s = self.ctx.system.clock.now_s
        self._generation = self._crew.hire(stage, self.ctx.self)
        self._report(WorkerStarted(stage, self._generation))

    @handles
    def run(self, run: RunAttempt) -> None:
        """Make an attempt; if it ends without a wait, it has been reported."""
        if run.generation != self._generation:
            return
        item, cell = run.item, self.ctx.cell
        stream = item.stream
        attempt = Attempt(
            cell,
            None,
            None,
            cell.pump.origin,
            made_by=self,
            run=run,
            since_s=self._now_s(),
        )
        self._attempts[stream] = attempt
        work = Work(
            pipeline=item.pipeline,
            item=stream.rpartition("/")[2],
            stream=stream,
            stage=run.stage,
            attempt=run.attempt,
            key=item.key,
            owner=item.owner,
            raw_payload=item.payload,
            raw_results=item.results,
            report=attempt.report,
        )
        plain = None if run.undoing else self._plain
        coro = self._begun(attempt, work) if plain is None else plain(work)
        self.ctx.carry(coro, attempt)
        if attempt.worker is not None:
            self._watch_time()

    @handles
    def judge(self, raised: AttemptRaised) -> None:
        """Report an attempt that ended with an error."""
        self._fail(raised.attempt, raised.error)

    @handles
    def abort(self, message: AbortAttempt) -> None:
        """Stop the attempt at an item."""
        attempt = self._attempts.get(message.stream)
        if attempt is not None:
            self._stop(attempt, "aborted")

    @handles
    def check(self, message: CheckAttempt) -> None:
        """Say so if an attempt is not being made here, after all earlier reports."""
        attempt = self._attempts.get(message.stream)
        asked = (message.stage, message.attempt, message.undoing, message.redrives)
        if attempt is None or attempt.about[1:] != asked:
            self._report(AttemptUnknown(message.stream, *asked))

    @handles
    def sweep(self, _: Sweep) -> None:
        """Stop what takes longer than the stage allows."""
        self._sweeps = False
        late_s = self._now_s() - self._stage.timeout_s
        for attempt in tuple(self._attempts.values()):
            if attempt.since_s <= late_s:
                self._stop(attempt, "timeout")
        self._watch_time()

    @handles
    def flush(self, message: FlushProgress) -> None:
        """Report progress that had to wait."""
        attempt = message.attempt
        if attempt.percent and self._attempts.get(attempt.run.item.stream) is attempt:
            self._report_progress(attempt, attempt.percent)

    def _begun(self, attempt: Attempt, work: Work) -> Coroutine[Any, Any, object]:
        """Return the coroutine of an attempt that is more than the stage's function."""
        stage = self._stage
        function = stage.compensate if attempt.run.undoing else stage.function
        if function is None:  # it was taken out while the item waited for it
            function = _undo_nothing
        if self._breaker is None:
            return _called(function, work)
        return self._guarded(self._breaker, attempt, function, work)

    async def _guarded(
        self,
        breaker: Guard,
        attempt: Attempt,
        function: StageFunction | Compensation,
        work: Work,
    ) -> object:
        """Call a function through the breaker, which the attempt has to pass."""
        return await breaker.call(self._timed, attempt, function, work)

    def succeeded(self, attempt: Attempt, result: object) -> None:
        """Report an attempt's success: the attempt's call."""
        raw = NOTHING if result is None else self._encoded(result)
        run, item = attempt.run, attempt.run.item
        stream = item.stream
        del self._attempts[stream]
        report = StageSucceeded(
            stream,
            run.stage,
            run.attempt,
            run.undoing,
            item.redrives,
            raw,
            round((self._now_s() - attempt.since_s) * 1e6),
        )
        self._crew.pipeline.tell(report, attempt.origin)

    def _encoded(self, result: object) -> msgspec.Raw:
        data = encode(result)
        if len(data) > RESULT_BYTES_MAX:
            raise ResultTooLargeError(self._stage.name, len(data), RESULT_BYTES_MAX)
        return msgspec.Raw(data)

    async def _timed(
        self,
        attempt: Attempt,
        function: StageFunction | Compensation,
        work: Work,
    ) -> object:
        """Make a time-out a failure in the eyes of the breaker, not a cancellation."""
        try:
            return await function(work)
        except CancelledError:
            if attempt.why == "timeout":
                raise self._too_long() from None
            raise

    def _stop(self, attempt: Attempt, why: Why) -> None:
        """Cancel an attempt; its end is reported when it comes."""
        if not (attempt.why or attempt.is_over) and attempt.worker is not None:
            attempt.why = why
            attempt.cancel()

    def stopped(self, attempt: Attempt) -> None:
        """Report that an attempt has come to its end because it was cancelled."""
        if attempt.why == "timeout":
            self._fail(attempt, self._too_long())
        else:
            self._end(attempt)
            self._report(StageAborted(*attempt.about), attempt.origin)

    def _fail(self, attempt: Attempt, error: Exception) -> None:
        """Report a failure with what follows from it, for which dice are cast here."""
        self._end(attempt)
        run, item, stage = attempt.run, attempt.run.item, self._stage
        took_us = self._took_us(attempt)
        judged = stage.classifier.classify(error, self.ctx.now_us)
        policy = stage.undo_retry if run.undoing else stage.retry
        since_us = item.since_us or self.ctx.now_us - took_us
        verdict = policy.next(
            run.attempt,
            judged,
            self.ctx.random.random(),
            elapsed_s=max(0, self.ctx.now_us - since_us) / 1e6,
            previous_s=item.delay_us / 1e6 if item.delay_us else None,
        )
        about = attempt.about
        if isinstance(verdict, PutOff):
            wait_us = round(verdict.delay_s * 1e6)
            breaker = str(getattr(error, "breaker", ""))
            report = StageRejected(*about, wait_us=wait_us, breaker=breaker)
            self._report(report, attempt.origin)
            return
        retry_in_us = (
            None if isinstance(verdict, GiveUp) else round(verdict.delay_s * 1e6)
        )
        self._report(
            StageFailed(
                *about,
                failure=Failure(judged.error, judged.message, judged.error_class),
                retry_in_us=retry_in_us,
                took_us=took_us,
            ),
            attempt.origin,
        )

    def _end(self, attempt: Attempt) -> None:
        del self._attempts[attempt.run.item.stream]

    def _report(self, message: Message, origin: Origin | None = None) -> None:
        self._crew.pipeline.tell(message, origin)

    def _took_us(self, attempt: Attempt) -> int:
        return round((self._now_s() - attempt.since_s) * 1e6)

    def _too_long(self) -> AttemptTimeoutError:
        return AttemptTimeoutError(self._stage.name, self._stage.timeout_s)

    def _watch_time(self) -> None:
        """See to it that the next attempt to run out of time is noticed."""
        if self._sweeps:
            return
        for attempt in self._attempts.values():
            if not (attempt.why or attempt.is_over):
                due_s = attempt.since_s + self._stage.timeout_s
                after_s = max(SWEEP_S_MIN, due_s - self._now_s())
                self.ctx.timers.once("sweep", after_s, Sweep())
                self._sweeps = True
                return

    def progress(self, attempt: Attempt, percent: int) -> None:
        """Report progress, or keep it until a second after the last report."""
        if not 0 < percent <= 100 or attempt.why:
            return
        wait_s = attempt.reported_s + PROGRESS_S - self._now_s()
        if wait_s <= 0:
            self._report_progress(attempt, percent)
            return
        if not attempt.percent:
            key = ("progress", attempt.run.item.stream)
            self.ctx.timers.once(key, wait_s, FlushProgress(attempt))
        attempt.percent = percent

    def _report_progress(self, attempt: Attempt, percent: int) -> None:
        attempt.percent = 0
        attempt.reported_s = self._now_s()
        report = ItemProgressed(*attempt.about, percent=percent)
        self._report(report, attempt.origin)


async def _undo_nothing(_: Work) -> None:
    """Stand in for a compensation that is not declared any more."""


def _plain(stage: Stage) -> Callable[[Work], Coroutine[Any, Any, object]] | None:
    """Return the function of a stage if it is a coroutine function and nothing else."""
    function = stage.function
    if not isinstance(function, FunctionType):
        return None
    is_plain = function.__code__.co_flags & CO_COROUTINE
    return cast("Any", function) if is_plain else None


async def _called(function: StageFunction | Compensation, work: Work) -> object:
    """Call what returns something to be awaited, or is no plain function."""
    return await function(work)
