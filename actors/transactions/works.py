"""The work under way for transactions: attempts at steps, queries, compensations."""

from collections.abc import Callable, Coroutine
from typing import Any, Literal

import msgspec
from anyio.to_thread import run_sync

from ..runtime import ActorContext, Message, Running
from .fence import Fence, Fences
from .messages import Report, TidyFailed, TookTooLong
from .news import Answered, AnyNews, Failed, Prepared, Succeeded, UndoFailed, Undone
from .step import AnyStep, Call, Steps
from .transaction import Transaction

Kind = Literal["prepare", "run", "query", "compensate"]


class Work(msgspec.Struct):
    """One piece of work: about which step, and what to say if it fails."""

    stream: str
    step: int
    failed: Callable[[str, str], AnyNews]
    running: Running | None = None


class Works:
    """Starts work beside the coordinator's mailbox; at most one piece per step.

    Each has a number, by which an outcome that was overtaken by a time-out or a
    restart of the same step is told from the one that is waited for.
    """

    def __init__(self, ctx: ActorContext, steps: Steps, fences: Fences) -> None:
        self._ctx = ctx
        self._steps = steps
        self._fences = fences
        self._works: dict[int, Work] = {}
        self._of_step: dict[tuple[str, int], int] = {}
        self._last = 0

    def running(self, stream: str) -> frozenset[int]:
        """Return the steps of a transaction that something is under way for."""
        return frozenset(step for name, step in self._of_step if name == stream)

    def ended(self, number: int) -> Work | None:
        """Take a piece of work off the books; None: it is not waited for any more."""
        work = self._works.pop(number, None)
        if work is not None:
            del self._of_step[work.stream, work.step]
            self._ctx.timers.cancel(number)
        return work

    def cancel(self, stream: str) -> None:
        """Cancel all work of a transaction; what lives on in threads finds the fence."""
        for step in self.running(stream):
            work = self.ended(self._of_step[stream, step])
            if work is not None and work.running is not None:
                work.running.cancel()

    def overdue(self, number: int) -> Report | None:
        """Cancel a piece of work that takes too long and report that it failed."""
        work = self.ended(number)
        if work is None:
            return None
        assert work.running is not None
        work.running.cancel()
        news = work.failed("TimeoutError", "it took too long and was cancelled")
        return Report(work.stream, news)

    def forget(self, state: Transaction) -> None:
        """Drop what is known of an ended transaction."""
        self.cancel(state.stream)
        self._fences.drop(state.stream)

    def prepare(self, state: Transaction, number: int) -> None:
        """Find out how a step would be taken back."""

        async def work(step: AnyStep, args: Any, call: Call) -> AnyNews:
            undo = await step.prepare(args, call)
            return Prepared(number, msgspec.Raw(msgspec.json.encode(undo)))

        def failed(error: str, message: str) -> AnyNews:
            return Failed(number, 0, error, message)

        self._start(state, number, 0, work, failed)

    def run(self, state: Transaction, number: int) -> None:
        """Make an attempt at a step."""
        attempt = state.steps[number].attempts
        undo = state.steps[number].undo

        async def work(step: AnyStep, args: Any, call: Call) -> AnyNews:
            result = await step.run(args, _undo(step, undo), call)
            return Succeeded(number, attempt, result)

        def failed(error: str, message: str) -> AnyNews:
            return Failed(number, attempt, error, message)

        self._start(state, number, attempt, work, failed)

    def query(self, state: Transaction, number: int) -> None:
        """Ask the resource about a step in doubt."""
        attempt = state.steps[number].attempts
        undo = state.steps[number].undo

        async def work(step: AnyStep, args: Any, call: Call) -> AnyNews:
            return await step.query(args, _undo(step, undo), call)

        def failed(_error: str, _message: str) -> AnyNews:
            return Answered(number, "unknown")

        self._start(state, number, attempt, work, failed)

    def compensate(self, state: Transaction, number: int) -> None:
        """Close the fence, then make an attempt at taking a step back."""
        attempt = state.steps[number].undos
        undo = state.steps[number].undo

        async def work(step: AnyStep, args: Any, call: Call) -> AnyNews:
            if not call.fence.close_at_once():
                await run_sync(call.fence.close, abandon_on_cancel=True)
            await step.compensate(args, _undo(step, undo), call)
            return Undone(number, attempt)

        def failed(error: str, message: str) -> AnyNews:
            return UndoFailed(number, attempt, error, message)

        self._start(state, number, attempt, work, failed)

    def tidy(self, state: Transaction) -> None:
        """Have the steps of an ended transaction remove what they kept."""
        for number, one in enumerate(state.steps):
            if one.attempts > 0:
                self._ctx.run(
                    self._tidy(state, number),
                    failed=lambda error: TidyFailed(state.stream, repr(error)),
                )

    async def _tidy(self, state: Transaction, number: int) -> None:
        one = state.steps[number]
        step = self._steps[one.plan.name]
        args = msgspec.json.decode(one.plan.args, type=step.arguments)
        call = Call(state.stream, number, one.attempts, Fence(state.stream))
        await step.tidy(args, _undo(step, one.undo), call)

    def _start(
        self,
        state: Transaction,
        number: int,
        attempt: int,
        work: Callable[[AnyStep, Any, Call], Coroutine[Any, Any, AnyNews]],
        failed: Callable[[str, str], AnyNews],
    ) -> None:
        stream, plan = state.stream, state.steps[number].plan
        self._last += 1
        identity = self._last
        call = self._call(state, number, attempt)

        async def guarded() -> AnyNews:
            step = self._steps[plan.name]
            args = msgspec.json.decode(plan.args, type=step.arguments)
            return await work(step, args, call)

        def then(news: AnyNews) -> Message:
            return Report(stream, news, identity)

        def broken(error: Exception) -> Message:
            news = failed(type(error).__name__, str(error)[:500])
            return Report(stream, news, identity)

        self._works[identity] = one = Work(stream, number, failed)
        self._of_step[stream, number] = identity
        self._ctx.timers.once(identity, plan.timeout_s, TookTooLong(identity))
        one.running = self._ctx.run(guarded(), then=then, failed=broken)

    def _call(self, state: Transaction, number: int, attempt: int) -> Call:
        fence = self._fences.of(state.stream, number)
        results = tuple(step.result for step in state.steps)
        return Call(state.stream, number, attempt, fence, results)


def _undo(step: AnyStep, undo: msgspec.Raw) -> Any:
    return msgspec.json.decode(undo, type=step.undo)
