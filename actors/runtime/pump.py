"""The pump: it gives the actors of a system their turns.

One callback of the loop drains the ready queue, at most `MESSAGES_MAX` messages of an
actor at a time and no longer than `SLICE_S` in all; then the loop, and whatever else
runs on it, has its turn. An ask of an idle actor runs at once in the asker's turn
while `inline` lasts: its mailbox is empty, so order is kept.
"""

from asyncio import AbstractEventLoop
from collections import deque
from contextvars import copy_context
from itertools import islice
from operator import length_hint
from time import monotonic
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

import structlog

from .dead_messages import DeadMessage, DeadMessages, Reason, plain
from .failure import concerns_supervisor
from .inbox import BUSY, SIGNALS
from .lines import Lines
from .overdue import Overdue
from .reentry import latch
from .refs import Ref

if TYPE_CHECKING:
    from .asks import Asks
    from .cell import Cell
    from .clock import Clock
    from .inbox import Inbox
    from .keeper import Supervision
    from .mailbox import Envelope, Item
    from .origin import Origin
    from .root import Root
    from .steps import Steps
    from .system import ActorSystem

MESSAGES_MAX: Final = 16
SLICE_S: Final = 0.00025
INLINE_MAX: Final = 256
"""Asks answered in the askers' turns between two turns of the loop; see `inline`."""

SLOW_S: Final = 0.1
"""A slice this much too long is reported with the actor that ran last."""

_LOOK_EVERY: Final = 8
"""Messages between two looks at the clock."""

_log = structlog.get_logger(__name__)


class Pump:
    """The ready queue of a system, and what is running now."""

    __slots__ = (
        "asks",
        "base",
        "budget",
        "clock",
        "current",
        "dead_messages",
        "inline",
        "lines",
        "loop",
        "now_s",
        "origin",
        "overdue",
        "parked",
        "ready",
        "steps",
        "supervise_root",
        "system",
        "turns",
        "until_s",
        "within",
    )

    asks: "Asks"
    steps: "Steps"
    supervise_root: "Root"

    def __init__(
        self,
        system: "ActorSystem",
        loop: AbstractEventLoop,
        clock: "Clock",
        dead_messages: DeadMessages,
    ) -> None:
        self.system = system
        self.loop = loop
        self.clock = clock
        self.now_s = clock.now_s
        self.dead_messages = dead_messages
        self.base = copy_context()
        self.lines = Lines()
        self.ready: deque[Any] = deque()
        self.parked = True
        """Whether no turn of the pump is due."""
        self.inline = INLINE_MAX
        self.budget = MESSAGES_MAX
        """Messages of an actor in one turn."""
        self.current: Cell | None = None
        """The actor whose handler is running."""
        self.within = False
        """Whether what runs was begun by a handler that has not ended, in no actor's name."""
        self.overdue = Overdue(clock)
        self.origin: Origin | None = None
        """Where the message being worked on comes from."""
        self.turns = 0
        """Turns of the pump, and steps of suspended coroutines."""
        self.until_s = 0.0  # when the slice ends, on the machine's clock

    def wake(self) -> None:
        """See to it that the loop calls the pump."""
        self.parked = False
        self.loop.call_soon(self.run, context=self.base)

    def schedule(self, cell: "Inbox") -> None:
        """Give `cell` a turn."""
        self.ready.append(cell)
        if self.parked:
            self.wake()

    def supervision_of(self, cell: "Cell") -> "Supervision | Root":
        """Return who decides about failures of `cell`."""
        parent = cell.parent
        family = None if parent is None else parent.extras.children
        return self.supervise_root if family is None else family.supervision

    def dead(self, target: Ref, message: object, reason: Reason) -> None:
        """Count a message that reached nobody."""
        sender = None if self.current is None else self.current.path
        at_us = self.clock.now_us()
        self.dead_messages.add(
            DeadMessage(reason, plain(message), target.path, sender, at_us),
        )

    def undeliverable(self, target: Ref, message: object) -> None:
        """Count a message from another thread that its target's mailbox refused."""
        self.dead(target, message, "mailbox_full")

    def run(self) -> None:
        """Drain the ready queue for one slice: the loop's call."""
        ready = self.ready
        self.turns += 1
        self.inline = INLINE_MAX
        self.until_s = until_s = monotonic() + SLICE_S
        left = _LOOK_EVERY
        try:
            while ready:
                cell = ready.popleft()
                if cell.gate:
                    left -= 2
                    if not self._attend(cell):
                        continue
                box = cell.box
                if box.__class__ is list:
                    if len(box) == 1 and cell.batch is None:
                        self.one(cell, box)
                        left -= 1
                    else:
                        left -= self.several(cell, box)
                if left <= 0:
                    left = _LOOK_EVERY
                    now_s = monotonic()
                    if now_s > until_s:
                        if now_s - until_s > SLOW_S:
                            self._report(cell, now_s - until_s + SLICE_S)
                        break
        except BaseException as error:
            self._interrupted(error)
            raise
        finally:
            self._park()

    def _park(self) -> None:
        """End a slice; there is another one if somebody is ready."""
        if self.ready:
            self.loop.call_soon(self.run, context=self.base)
        else:
            self.parked = True

    def _interrupted(self, error: BaseException) -> None:
        """Fail the actor whose handler wants the process to end; the host decides."""
        actor, self.current, self.origin = self.current, None, None
        if actor is not None and not actor.gate & BUSY:
            actor.fail(error)

    @staticmethod
    def _report(cell: "Cell", took_s: float) -> None:
        """Say who kept the loop from its other work; it cannot be interrupted."""
        _log.warning("actor.turn_slow", actor=cell.path, took_s=round(took_s, 3))

    def _attend(self, cell: "Cell") -> bool:
        """Run what signals a cell has; tell whether it may work off messages."""
        if cell.gate & SIGNALS:
            cell.gate &= ~SIGNALS
            signals, cell.signals = cell.signals, None
            for call in signals or ():
                try:
                    call()
                except Exception as error:  # noqa: BLE001 - the supervisor's business
                    cell.fail(error)
        return not cell.gate

    def one(self, cell: "Cell", box: "list[Item]") -> None:
        """Work off the only message of `cell`."""
        item: Any = box.pop()
        kind = item.__class__
        self.current = cell
        try:
            if kind is tuple:
                self._open(cell, item)
            else:
                result = cell.handlers[kind](cell.actor, item)
                if result is not None and result.__class__ is CoroutineType:
                    self.step(cell, result, item)
        except Exception as error:  # noqa: BLE001 - the supervisor's business
            cell.handled += 1
            self._failed(cell, error, item)
            return
        self.current = None
        cell.handled += 1
        if (
            box
            or cell.gate
            or cell.box is not box
            or cell.batch is not None
            or cell.waiting is not None
        ):
            self.leave(cell)
        else:  # the common case, in short
            cell.box = None

    def several(self, cell: "Cell", box: "list[Item]") -> int:
        """Work off some messages of `cell`; return how many.

        While nobody else is ready its turn may last as long as the slice.
        """
        batch = cell.batch
        if batch is None:
            cell.batch = batch = iter(box)
            cell.box = []
            cell.room = cell.spec.mailbox.capacity - len(box)
        before = length_hint(batch)
        actor = cell.actor
        item: Any = None
        self.current = cell
        try:
            while True:
                for item in islice(batch, self.budget):
                    kind = item.__class__
                    if kind is tuple:
                        self._open(cell, item)
                    else:
                        result = cell.handlers[kind](actor, item)
                        if result is not None and result.__class__ is CoroutineType:
                            self.step(cell, result, item)
                    if cell.gate:
                        break
                if self.ready or cell.gate or not length_hint(batch):
                    break
                if monotonic() > self.until_s:
                    break
        except Exception as error:  # noqa: BLE001 - the supervisor's business
            cell.handled += (count := max(1, before - length_hint(cell.batch or ())))
            self._failed(cell, error, item)
            return count
        self.current = None
        # what it put first, such as its stash, is in a new batch with the rest
        count = max(before - length_hint(cell.batch or ()), int(item is not None))
        cell.handled += count
        self.leave(cell)
        return count

    def _failed(self, cell: "Cell", error: Exception, item: "Item") -> None:
        """End a turn in which `cell` failed of `item`, and have its supervisor decide.

        The handler is at its end, so that nothing is in the way of a new instance.
        """
        self.current = None
        message = item[0] if isinstance(item, tuple) else item
        concerned = concerns_supervisor(cell, error, message)
        self.origin = cell.origin = None
        self.leave(cell)
        if concerned:
            self.judge(cell)

    def judge(self, cell: "Cell") -> None:
        """Have the supervisor of `cell` decide about its failure."""
        error = cell.error
        assert error is not None
        try:
            self.supervision_of(cell).failed(cell, error)
        except Exception as fault:  # noqa: BLE001 - the supervisor's business
            cell.fail(fault)

    def _open(self, cell: "Cell", item: "Envelope") -> None:
        """Work off a message that came in an envelope."""
        message, cell.reply, origin = item
        if origin is not None:
            self.origin = cell.origin = origin
        result = cell.handlers[message.__class__](cell.actor, message)
        if result.__class__ is CoroutineType:
            self.step(cell, result, message)
        elif cell.reply is not None:
            cell.answer(result, message)
        if origin is not None:
            self.origin = None
            if not cell.gate & BUSY:
                cell.origin = None

    def step(self, cell: "Cell", coro: Any, message: Any) -> None:
        """Run a coroutine handler; if it suspends, the cell is busy until its end."""
        cell.asking = ()
        cell.gate |= BUSY
        cell.message = message
        cell.job = worker = self.steps.begin(coro, cell, cell)
        if worker is not None:
            self.overdue.add(cell)

    def leave(self, cell: "Cell") -> None:
        """End the turn of `cell`: back into the queue, or idle."""
        batch = cell.batch
        if batch is not None:
            rest = length_hint(batch)
            if rest:
                cell.room = cell.spec.mailbox.capacity - rest
            else:
                cell.batch = None
                cell.room = cell.spec.mailbox.capacity
        if cell.waiting is not None and not cell.gate & BUSY:
            cell.notify()
        if cell.gate:
            if cell.handlers.reentrant and cell.gate & BUSY:
                latch(cell)
            return
        if cell.batch is not None or cell.box:
            self.schedule(cell)
        elif cell.box.__class__ is list:
            cell.box = None
