"""Coroutines of actors: stepped at once, and carried by pooled tasks if they suspend.

Most coroutine handlers never suspend, and then a task for each would be most of
their cost. So the first step is taken in the caller's turn, under the identity of a
parked worker task: `current_task`, time-outs, cancel scopes and task groups see that
task from the first line. Only a coroutine that suspends is handed to it, and goes on
there. This rests on two functions with an underscore in asyncio; where they are
missing, or with `eager=False`, a worker takes the coroutine from its start.

Each coroutine runs in a context of its own, a copy of the system's, so context
variables set before the first suspension are there after it, and never elsewhere.
"""

import asyncio
from asyncio import (
    AbstractEventLoop,
    CancelledError,
    Future,
    Task,
    current_task,
    tasks,
)
from collections.abc import Callable, Coroutine, Generator
from contextlib import suppress
from contextvars import Context
from types import coroutine
from typing import TYPE_CHECKING, Any, Final, Protocol

from anyio.abc import TaskGroup

if TYPE_CHECKING:
    from .cell import Cell
    from .origin import Origin
    from .pump import Pump

Switch = Callable[[AbstractEventLoop, Task[Any]], None]
CAN_STEP: Final = hasattr(tasks, "_enter_task") and hasattr(tasks, "_leave_task")


def _stays(loop: AbstractEventLoop, task: Task[Any]) -> None:
    """Switch to no task, where that cannot be done."""
    del loop, task


_enter_task: Switch = getattr(tasks, "_enter_task", _stays)
_leave_task: Switch = getattr(tasks, "_leave_task", _stays)
IDLE_MAX: Final = 64
"""Parked workers kept; more end when their coroutine does."""

_START: Final = object()
"""Stands for what a coroutine first yielded when it was not started yet."""


class Owner(Protocol):
    """Whose coroutine it is: gets the outcome."""

    origin: "Origin | None"

    def settled(self, result: object) -> None:
        """Take what it returned."""
        ...

    def crashed(self, error: BaseException) -> None:
        """Take what it raised, a `CancelledError` among others."""
        ...


class _Nobody:
    """Owns abandoned coroutines."""

    origin: "Origin | None" = None

    def settled(self, result: object) -> None:
        """Ignore it."""

    def crashed(self, error: BaseException) -> None:
        """Ignore it."""


NOBODY: Final = _Nobody()


class Worker:
    """A task that parks between coroutines.

    It ends when it was cancelled, for a task that was cancelled once is not the
    same to those who count cancellations.
    """

    __slots__ = ("_job", "_steps", "cell", "owner", "parked", "task")

    def __init__(self, steps: "Steps") -> None:
        self._steps = steps
        self._job: tuple[Coroutine[Any, Any, object], Context, object] | None = None
        self.owner: Owner = NOBODY
        self.cell: Cell | None = None
        self.parked: Future[None] | None = None
        self.task: Task[Any] | None = None

    def take(
        self,
        coro: Coroutine[Any, Any, object],
        context: Context,
        first: object,
        owner: Owner,
        cell: "Cell | None",
    ) -> None:
        """Carry `coro` on, which has yielded `first`, on behalf of `cell`."""
        self._job = (coro, context, first)
        self.owner = owner
        self.cell = cell
        if self.parked is not None and not self.parked.done():
            self.parked.set_result(None)

    def cancel(self) -> None:
        """Cancel the coroutine; its owner hears of a `CancelledError`."""
        if self.task is not None:
            self.task.cancel()
        elif self._job is not None:  # the task has not begun
            self._job[0].close()
            self._job = None
            self.owner.crashed(CancelledError())
            self.owner = NOBODY

    def abandon(self) -> None:
        """Let nobody hear of the coroutine again; it cannot be killed."""
        self.owner = NOBODY
        self.cell = None

    async def run(self) -> None:
        """Park, carry, and park again."""
        self.task = task = current_task()
        assert task is not None
        try:
            await self._work(task)
        finally:
            self._steps.workers.pop(self, None)

    async def _work(self, task: Task[Any]) -> None:
        steps = self._steps
        while True:
            if self._job is None:
                self.parked = steps.pump.loop.create_future()
                steps.idle.append(self)
                try:
                    await self.parked
                except CancelledError:
                    steps.forget(self)
                    if self._job is None:
                        return
                    task.uncancel()
                    task.cancel()  # meant for the coroutine: it gets it at its wait
            if not await self._carry() or task.cancelling():
                with suppress(CancelledError):
                    await asyncio.sleep(0)  # a cancellation that came at the end
                return
            if len(steps.idle) >= IDLE_MAX:
                return

    async def _carry(self) -> bool:
        """Carry the coroutine to its end; tell whether the task is as good as new."""
        assert self._job is not None
        coro, context, first = self._job
        self._job = None
        try:
            result = await _carried(self, self._steps.pump, coro, context, first)
        except Exception as error:  # noqa: BLE001 - the supervisor's business
            self.owner.crashed(error)
        except CancelledError as error:
            self.owner.crashed(error)
            return False
        else:
            self.owner.settled(result)
        finally:
            self.owner = NOBODY
            self.cell = None
        return True


@coroutine
def _carried(
    worker: Worker,
    pump: "Pump",
    coro: Coroutine[Any, Any, object],
    context: Context,
    first: object,
) -> Generator[Any, Any, object]:
    """Await a coroutine that has yielded `first`, each step in the owner's name."""
    send: Any = coro.send
    value: Any = None
    while True:
        if first is not _START:
            try:
                value = yield first
            except BaseException as error:  # noqa: BLE001 - passed into the coroutine
                send, value = coro.throw, error
            else:
                send = coro.send
        pump.current = worker.cell
        pump.origin = worker.owner.origin
        pump.turns += 1
        try:
            first = context.run(send, value)
        except StopIteration as stop:
            return stop.value
        finally:
            pump.current = pump.origin = None


class Steps:
    """The pool of workers and the eager first step."""

    __slots__ = ("eager", "group", "idle", "pump", "workers")

    def __init__(self, pump: "Pump", group: TaskGroup, *, eager: bool) -> None:
        self.pump = pump
        self.group = group
        self.eager = eager and CAN_STEP
        self.idle: list[Worker] = []
        self.workers: dict[Worker, Coroutine[Any, Any, None]] = {}
        """Those who have begun or are about to, and what their tasks run."""

    def grow(self, workers: int = 1) -> None:
        """Start workers that will park."""
        for _ in range(workers):
            self._start(Worker(self))

    def _start(self, worker: Worker) -> None:
        self.workers[worker] = run = worker.run()
        self.group.start_soon(lambda: run, name="dramaturg.worker")

    def close(self) -> None:
        """Cancel what was handed to tasks that were cancelled before they began."""
        for worker, run in tuple(self.workers.items()):
            run.close()
            worker.cancel()
        self.workers.clear()

    def forget(self, worker: Worker) -> None:
        """Take a worker that was cancelled out of the pool."""
        if worker in self.idle:
            self.idle.remove(worker)

    def begin(
        self,
        coro: Coroutine[Any, Any, object],
        owner: Owner,
        cell: "Cell | None",
    ) -> Worker | None:
        """Run `coro` to its end or first suspension.

        Returns the worker that carries it on, None if `owner` has the outcome.
        `cell` is the actor whose turn it is; None: work beside the mailbox.
        """
        pump, idle = self.pump, self.idle
        context = pump.base.copy()
        if not self.eager or not idle:
            worker = Worker(self)
            worker.take(coro, context, _START, owner, cell)
            self._start(worker)
            return worker
        worker = idle.pop()
        loop, task = pump.loop, worker.task
        assert task is not None  # it parks in one
        caller = current_task(loop)
        if caller is not None:
            _leave_task(loop, caller)
        outer, outer_origin, within = pump.current, pump.origin, pump.within
        pump.current, pump.origin = cell, owner.origin
        pump.within = within or outer is not None
        _enter_task(loop, task)
        result: object = None
        failed: BaseException | None = None
        try:
            first = context.run(coro.send, None)
        except StopIteration as stop:
            result = stop.value
        except (Exception, CancelledError) as error:  # noqa: BLE001 - the supervisor's
            failed = error
        else:
            worker.take(coro, context, first, owner, cell)
            return worker
        finally:
            _leave_task(loop, task)
            pump.current, pump.origin, pump.within = outer, outer_origin, within
            if caller is not None:
                _enter_task(loop, caller)
        parked = worker.parked
        if parked is not None and not parked.done():
            idle.append(worker)  # or else the coroutine has cancelled it
        if failed is None:
            owner.settled(result)
        else:
            owner.crashed(failed)
        return None
