"""Development mode: a thread that notices when the loop is held up, and says by whom.

A handler that blocks, or computes for long, keeps every actor and the host from their
turns, and nothing in the loop can interrupt it. So a thread asks the loop for a sign
of life every so often; if none comes it looks at the stack of the loop's thread, which
shows the handler in the act. The loop pays for some forty wake-ups a second.
"""

import sys
import threading
from contextlib import suppress
from itertools import takewhile
from time import monotonic
from traceback import StackSummary, walk_stack
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import structlog

from .notices import LoopBlocked

if TYPE_CHECKING:
    from .cell import Cell
    from .pump import Pump

BLOCKED_S: Final = 0.1
"""How long the loop may give no sign of life; as in asyncio's own debug mode."""

_LOOKS: Final = 4
"""Looks at the loop in that time."""

_RUNTIME: Final = __name__.rpartition(".")[0]

_log = structlog.get_logger(__name__)


class Watchdog:
    """Watches the loop of one system until it is called off."""

    def __init__(self, pump: "Pump") -> None:
        self._pump = pump
        self._loop_thread = threading.get_ident()
        self._step_s = BLOCKED_S / _LOOKS
        self._called_off = threading.Event()
        self._seen = 0
        threading.Thread(
            target=self._watch, name="dramaturg.watchdog", daemon=True
        ).start()

    def call_off(self) -> None:
        """Watch no more: the thread ends, and the loop does not wait for that."""
        self._called_off.set()

    def _see(self, sign: int) -> None:
        self._seen = sign

    def _watch(self) -> None:
        """Look until called off, or the loop is closed: the thread's work."""
        with suppress(RuntimeError):
            self._look()

    def _look(self) -> None:
        """Ask for signs of life."""
        loop, sign = self._pump.loop, 0
        while not self._called_off.wait(self._step_s):
            sign += 1
            asked_s = monotonic()
            loop.call_soon_threadsafe(self._see, sign)
            reported = False
            while self._seen < sign and not self._called_off.wait(self._step_s):
                if not reported and monotonic() - asked_s > BLOCKED_S:
                    self._report()
                    reported = True
            if reported:
                took_s = round(monotonic() - asked_s, 3)
                _log.warning("loop.unblocked", took_s=took_s)

    def _report(self) -> None:
        """Say what the loop's thread is doing."""
        frames = sys._current_frames()  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # it is documented for such use
        innermost = frames.get(self._loop_thread)
        cell = self._pump.current
        if innermost is None:
            return
        stack, caller = _culprit(innermost)
        message = None if cell is None else _message(caller, cell)
        last = stack[-1]
        notice = LoopBlocked(
            None if cell is None else cell.path,
            message,
            f"{last.filename}:{last.lineno} in {last.name}",
            "".join(stack.format()),
        )
        _log.error(
            "loop.blocked",
            actor=notice.path,
            message=None if message is None else type(message).__name__,
            where=notice.where,
            stack=notice.stack,
        )
        events = self._pump.system.events
        self._pump.loop.call_soon_threadsafe(events.publish, notice)


def _culprit(innermost: FrameType) -> tuple[StackSummary, FrameType]:
    """Return the stack from the handler inwards, and the frame of ours that called it."""
    frames = [frame for frame, _ in walk_stack(innermost)]
    foreign = list(takewhile(lambda frame: not _is_ours(frame), frames))
    caller = frames[len(foreign)] if len(foreign) < len(frames) else frames[-1]
    shown = foreign or [caller]
    lines = [(frame, frame.f_lineno) for frame in reversed(shown)]
    return StackSummary.extract(iter(lines)), caller


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith(_RUNTIME)


def _message(caller: FrameType, cell: "Cell") -> object:
    """Return what the handler works on: the caller has it, whichever function it is."""
    names = caller.f_locals
    found: Any = names.get("message", names.get("item", cell.message))
    return found[0] if found.__class__ is tuple else found
