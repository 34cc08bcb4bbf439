"""What a seeded loop runs: callbacks, timers and tasks, with numbers for identities."""

import asyncio
from asyncio import AbstractEventLoop
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, TypeVar

T = TypeVar("T")


class Step(asyncio.TimerHandle):
    """A callback of a seeded loop; one that is ready at once is due when it is made."""

    __slots__ = ("args", "call", "context", "is_timer")

    def __init__(  # noqa: PLR0913, PLR0917 - all that a handle is
        self,
        when_s: float,
        call: Callable[..., object],
        args: tuple[Any, ...],
        loop: AbstractEventLoop,
        context: Context | None,
        is_timer: bool,  # noqa: FBT001 - one of two callers says so
    ) -> None:
        self.context = copy_context() if context is None else context
        super().__init__(when_s, call, args, loop, self.context)
        self.call = call
        self.args = args
        self.is_timer = is_timer
        """Whether it waits among the timers."""

    @property
    def label(self) -> str:
        """What it runs, in words that are the same in every process."""
        owner = getattr(self.call, "__self__", None)
        if isinstance(owner, SeededTask):
            return owner.label
        return getattr(self.call, "__qualname__", type(self.call).__name__)


class SeededTask(asyncio.Task[T]):
    """A task that is known by its number, in sets as well.

    Sets of tasks are gone through in the order of hashes, which are addresses
    otherwise and another in each run.
    """

    def __init__(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        number: int,
        **more: Any,
    ) -> None:
        self.number = number
        self.label = f"task {number} {getattr(coro, '__qualname__', '')}"
        super().__init__(coro, **more)

    def __hash__(self) -> int:
        """Return the number."""
        return self.number

    def __eq__(self, other: object) -> bool:
        """Be equal to itself alone."""
        return self is other
