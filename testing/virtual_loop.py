"""The part of a seeded loop that any event loop has: scheduling, tasks, handlers."""

import asyncio
import logging
from abc import abstractmethod
from asyncio import Future, Task
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVarTuple, Unpack
from weakref import ReferenceType, ref

from ..actors.runtime.driven import DrivenLoop
from .refusals import NoOutside
from .steps import SeededTask, Step
from .timetable import Timetable

Ts = TypeVarTuple("Ts")

Says = dict[str, Any]
"""What an exception handler is told."""

_log = logging.getLogger("asyncio")


class VirtualLoop(NoOutside, DrivenLoop):
    """An event loop without an outside: callbacks, timers and tasks, in virtual time."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._timetable = Timetable()
        self._tasks = 0
        self._stopping = self._running = self._closed = self._debug = False
        self._error: BaseException | None = None
        self._task_factory: Callable[..., Future[Any]] | None = None
        self._handler: Callable[..., object] | None = None
        self._generators: list[ReferenceType[Any]] = []

    @abstractmethod
    def ready(self, step: Step) -> None:
        """Have `step` run when it is its turn."""

    # Time and callbacks

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._now_s

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Step:
        """Have `callback` called when it is picked."""
        self.check_open()
        step = Step(self._now_s, callback, args, self, context, is_timer=False)
        self.ready(step)
        return step

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Step:
        """Have `callback` called at a virtual time."""
        self.check_open()
        when = round(when, 9)  # sums of decimal fractions are what one expects
        step = Step(when, callback, args, self, context, is_timer=True)
        self._timetable.put(step)
        return step

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> Step:
        """Have `callback` called after `delay` virtual seconds."""
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        if isinstance(handle, Step) and handle.is_timer:
            self._timetable.cancelled()

    # Futures and tasks

    def create_future(self) -> "Future[Any]":
        """Return a future of this loop."""
        return Future(loop=self)

    def create_task(
        self,
        coro: Any,
        *,
        name: str | None = None,
        **more: Any,
    ) -> "Task[Any]":
        """Start a task; its number follows from the run, and so does its name."""
        self.check_open()
        if self._task_factory is not None:
            made = self._task_factory(self, coro, **more)
            assert isinstance(made, Task)
            if name is not None:
                made.set_name(name)
            return made
        self._tasks += 1
        name = name or f"task {self._tasks}"
        return SeededTask(coro, self._tasks, loop=self, name=name, **more)

    def set_task_factory(self, factory: Any) -> None:
        """Make tasks by `factory`; they are then not known by numbers."""
        self._task_factory = factory

    def get_task_factory(self) -> Any:
        """Return what makes tasks; None: the loop itself."""
        return self._task_factory

    # Errors that nobody waits for

    def set_exception_handler(self, handler: Any) -> None:
        """Have `handler` called with the loop and what went wrong; None: as before."""
        self._handler = handler

    def get_exception_handler(self) -> Any:
        """Return the handler; None: the default one."""
        return self._handler

    def call_exception_handler(self, context: Says) -> None:
        """Tell the handler what went wrong."""
        if self._handler is None:
            self.default_exception_handler(context)
        else:
            self._handler(self, context)

    def default_exception_handler(self, context: Says) -> None:
        """End the run if a callback has failed; log what was found out too late."""
        error = context.get("exception")
        if "handle" in context and error is not None:
            self.abort(error)
        elif not self._closed:  # then only what was left behind is swept up
            _log.error(context.get("message", "unhandled"), exc_info=error)

    def abort(self, error: BaseException) -> None:
        """End the run with `error` after this step, whatever is ready: a crash."""
        self._error = self._error or error
        self._stopping = True

    # Beginning and end

    def stop(self) -> None:
        """Stop after this step."""
        self._stopping = True

    def is_running(self) -> bool:
        """Tell whether it runs."""
        return self._running

    def is_closed(self) -> bool:
        """Tell whether it was closed."""
        return self._closed

    def check_open(self) -> None:
        """Raise `RuntimeError` if it was closed."""
        if self._closed:
            raise RuntimeError("Event loop is closed")

    def close(self) -> None:
        """Run nothing any more; what is ready is dropped."""
        if self._running:
            raise RuntimeError("Cannot close a running event loop")
        self._closed = True

    def first_iterated(self, generator: Any) -> None:
        """Know an asynchronous generator, to close it at the end."""
        self._generators.append(ref(generator))

    def dropped(self, generator: Any) -> None:
        """Close an asynchronous generator that nobody will go on with."""
        if not self._closed:
            self.call_soon(self.create_task, generator.aclose())

    async def shutdown_asyncgens(self) -> None:
        """Close the asynchronous generators that were not gone through."""
        found, self._generators = self._generators, []
        for generator in [each() for each in found]:
            if generator is not None:
                await generator.aclose()

    async def shutdown_default_executor(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - asyncio's signature
    ) -> None:
        """Do nothing: there is none."""

    def get_debug(self) -> bool:
        """Tell whether asyncio's debug mode is on."""
        return self._debug

    def set_debug(self, enabled: bool) -> None:  # noqa: FBT001 - asyncio's signature
        """Switch asyncio's debug mode."""
        self._debug = enabled
