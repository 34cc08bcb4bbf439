"""The task group that owns all worker tasks of a system."""

import asyncio
from asyncio import CancelledError, Task
from collections.abc import Callable

import anyio

from .pump import Pump
from .steps import Steps

WORKERS = 4
"""Workers parked from the start."""


class Workforce:
    """Keeps a task group in a task of its own.

    So a cancellation of the block in which the system lives does not reach its
    workers: actors are stopped in order first. `dismissed` ends the tasks.
    """

    def __init__(self, pump: Pump, *, eager: bool) -> None:
        self._pump = pump
        self._eager = eager
        self._over = asyncio.Event()
        self._up: asyncio.Future[None] = pump.loop.create_future()
        self._task: Task[None] | None = None
        self._steps: Steps | None = None

    @property
    def task(self) -> Task[None]:
        """The task that keeps the group: when it is done there is no worker any more."""
        assert self._task is not None
        return self._task

    async def hired(self, on_failure: Callable[[BaseException], None]) -> None:
        """Start the workers; `on_failure` hears it if the group breaks later."""
        loop = self._pump.loop
        self._task = task = loop.create_task(self._keep(), name="dramaturg.workforce")
        try:
            await self._up
        except CancelledError:
            await self.dismissed()
            raise

        def ended(task: Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None:
                on_failure(error)

        task.add_done_callback(ended)

    async def dismissed(self) -> None:
        """End all workers, and return when they are gone, cancelled or not."""
        assert self._task is not None
        self._over.set()
        cancelled: CancelledError | None = None
        while not self._task.done():
            try:
                with anyio.CancelScope(shield=True):
                    await asyncio.wait([self._task])
            except CancelledError as error:
                cancelled = error
        if self._steps is not None:
            self._steps.close()
        if cancelled is not None:
            raise cancelled

    async def _keep(self) -> None:
        async with anyio.create_task_group() as group:
            self._pump.steps = self._steps = Steps(self._pump, group, eager=self._eager)
            self._pump.steps.grow(WORKERS)
            while len(self._pump.steps.idle) < WORKERS:  # noqa: ASYNC110 - a turn or two
                await asyncio.sleep(0)
            if not self._up.done():
                self._up.set_result(None)
            await self._over.wait()
            group.cancel_scope.cancel()
