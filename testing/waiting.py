"""Who waits, in words: what a deadlock is reported with."""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..actors.runtime import SystemClosedError
from .steps import SeededTask

if TYPE_CHECKING:
    from ..actors.runtime import ActorSystem
    from ..actors.runtime.cell import Cell

_PARKED = ("dramaturg.worker", "dramaturg.workforce")
"""Tasks of actor systems; what they carry is told with the actors."""

_ELSEWHERE = ("asyncio", "anyio", "_backends")
"""Folders whose frames nobody is interested in."""


def who_waits(loop: asyncio.AbstractEventLoop, systems: Iterable["ActorSystem"]) -> str:
    """Describe, a line each, the tasks of `loop` and the actors that are not idle."""
    tasks = [task for task in asyncio.all_tasks(loop) if isinstance(task, SeededTask)]
    lines = [
        f"  {task.get_name()} waits {_where(task.get_coro())}"
        for task in sorted(tasks, key=lambda task: task.number)
        if task.get_name() not in _PARKED
    ]
    for system in systems:
        with suppress(SystemClosedError):  # it is over, or its actors are being stopped
            lines += [
                f"  {system.name}:{cell.path} {word}"
                for cell in system.cells()
                for word in _state(cell)
            ]
    return "\n".join(lines) or "  nobody waits: the main coroutine was never started"


def _where(coro: Any) -> str:
    """Say in which line a coroutine waits: the innermost that is not a library's."""
    found = "somewhere"
    while coro is not None:
        frame: FrameType | None = getattr(coro, "cr_frame", None)
        if frame is None:
            break
        path = Path(frame.f_code.co_filename)
        if path.parent.name not in _ELSEWHERE:
            found = f"at {path.name}:{frame.f_lineno} in {frame.f_code.co_qualname}"
        coro = coro.cr_await
    return found


def _state(cell: "Cell") -> Iterator[str]:
    if cell.busy:
        message = type(cell.message).__name__
        asked = [target.path for target, reply in cell.asking or () if not reply.done()]
        yield f"is at {message}" + (f", asking {', '.join(asked)}" if asked else "")
    if cell.extras.works:
        yield f"has {len(cell.extras.works)} works under way beside its mailbox"
    if cell.state not in {"running", "stopped"}:
        yield f"is {cell.state}, {cell.depth} messages wait"
    elif cell.depth:
        yield f"has {cell.depth} messages waiting"
