"""The cell: what an actor is to the runtime, and what a local reference is made of.

A cell owns no task and, while idle, no mailbox. `box` says how it stands:

* None: idle, nothing waits. `tell` makes a list and puts the cell in the pump's
  ready queue.
* a list: it is in the ready queue, or at work, or its `gate` is shut. Senders
  append; the pump swaps the list out and works through it (`batch`).
* a `DeadBox`: it has stopped for good.

`gate` is 0 while messages may be worked off. `BUSY`: a handler is suspended, a
worker carries it. `HELD`: the actor is not up (starting, failed, suspended, backing
off, stopping); messages wait. `SIGNALS`: calls of the runtime are due, which overtake
messages and run even while the cell is busy or held; the cell is then in the ready
queue. A cell may stand in the ready queue twice; the second time does nothing.

`state` is for people and supervisors: starting, running, failed, suspended (its log
is not writable), backing_off, stopping, down (may be started again), stopped.

What moves a cell between states is in `lifecycle`: `start`, `halt`, `restart`, `stop`.
Failures come in through `fail`, whoever caught them; the parent's `Supervision` hears of
them in a turn of its own, never inside the failing one.
"""

from asyncio import Future
from collections.abc import Callable, Iterator
from itertools import chain
from operator import length_hint
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from .errors import (
    ActorStoppedError,
    AskCycleError,
    CommandRejectedError,
    MailboxFullError,
    UnhandledMessageError,
)
from .handlers import Handlers, unhandled
from .mailbox import DeadBox, Item, Reply, bury, overflow, refuse
from .messages import Ask, Message
from .origin import Origin
from .refs import Ref
from .timers import Tick
from .work import Finished

if TYPE_CHECKING:
    from .actor import Actor
    from .change import Change
    from .children import Children
    from .context import ActorContext
    from .journal import Journal
    from .keeper import Root, Supervision
    from .pump import Pump
    from .spec import AnySpec
    from .steps import Worker
    from .timers import Timers
    from .work import Running

A = TypeVar("A")

BUSY = 1
HELD = 2
SIGNALS = 4

State = Literal[
    "starting",
    "running",
    "failed",
    "suspended",
    "backing_off",
    "stopping",
    "down",
    "stopped",
]

NO_HANDLERS = Handlers(unhandled)


class Cell(Ref):
    """One actor's place in the tree; it outlives the instances that fill it."""

    __slots__ = (
        "__weakref__",
        "actor",
        "asking",
        "batch",
        "box",
        "change",
        "children",
        "context",
        "crash",
        "error",
        "gate",
        "handled",
        "handlers",
        "job",
        "journal",
        "message",
        "origin",
        "parent",
        "pump",
        "reply",
        "restarts",
        "room",
        "signals",
        "spec",
        "started_s",
        "stash",
        "state",
        "timers",
        "waiting",
        "watchers",
        "watching",
        "works",
    )

    def __init__(
        self,
        pump: "Pump",
        spec: "AnySpec",
        parent: "Cell | None",
        path: str,
    ) -> None:
        self.path = path
        self.pump = pump
        self.spec = spec
        self.parent = parent
        self.box: list[Item] | DeadBox | None = []
        self.batch: Iterator[Item] | None = None
        self.gate = HELD
        self.room = spec.mailbox.capacity
        self.handlers = NO_HANDLERS
        self.actor: Actor | None = None
        self.context: ActorContext | None = None
        self.journal: Journal | None = None
        self.children: Children | None = None
        self.timers: Timers | None = None
        self.works: set[Running] | None = None
        self.state: State = "down"
        self.error: BaseException | None = None
        """What it last failed of."""
        self.restarts = 0
        self.handled = 0
        self.started_s = 0.0
        self.signals: list[Callable[[], None]] | None = None
        self.job: Worker | None = None
        self.message: Message | None = None
        """The message whose handler is suspended."""
        self.reply: Reply | None = None
        """Who waits for the answer to the message at work; None once answered or taken."""
        self.origin: Origin | None = None
        self.asking: tuple[tuple[Cell, Reply], ...] | None = None
        """Whom the coroutine at work asks; None while none is at work."""
        self.waiting: list[Future[None]] | None = None
        """Who waits until there is room, or until the handler has ended."""
        self.change: Change | None = None
        """The start, halt or stop under way."""
        self.crash: tuple[object, int] | None = None
        """The message that crashed the last instance, and how many it has crashed."""
        self.stash: list[Item] | None = None
        """What the actor has put aside for later."""
        self.watching: dict[Any, Cell] | None = None
        """Whom the actor watches; the keys are those in their `watchers`."""
        self.watchers: dict[Any, Callable[[BaseException | None], None]] | None = None

    # Messages

    def tell(self, message: Message, *, origin: Origin | None = None) -> None:
        """Put `message` in the mailbox."""
        pump = self.pump
        item: Item = message
        if origin is not None or (origin := pump.origin) is not None:
            item = (message, None, origin)
        box = self.box
        if box is None:
            self.box = [item]
            pump.ready.append(self)
            if pump.parked:
                pump.wake()
        elif len(box) < self.room:
            box.append(item)
        else:
            self._overflow(item)

    def ask(
        self,
        message: Ask[A],
        timeout_s: float = 5.0,
        *,
        origin: Origin | None = None,
    ) -> Future[A]:
        """Put `message` in the mailbox and return a future of the answer."""
        pump = self.pump
        reply: Future[A] = Future(loop=pump.loop)
        asker = pump.current
        if asker is not None and asker.asking is not None:
            if self.box is not None and self.waits_for(asker):
                refuse(reply, AskCycleError(self.path, message))
                return reply
            asker.asking += ((self, reply),)
        item = (message, reply, origin or pump.origin)
        box = self.box
        if box is None:
            if pump.inline > 0:
                pump.run_inline(self, item)
                if reply.done():
                    return reply
            else:
                self.box = [item]
                pump.ready.append(self)
                if pump.parked:
                    pump.wake()
        elif self.state == "suspended" and self.journal is not None:
            refuse(reply, self.journal.unavailable())
            return reply
        elif len(box) < self.room:
            box.append(item)
        else:
            try:
                self._overflow(item)
            except MailboxFullError as error:
                refuse(reply, error)
        if not reply.done():
            pump.asks.add(reply, self, message, timeout_s)
        return reply

    async def offer(self, message: Message, *, origin: Origin | None = None) -> None:
        """Wait until there is room in the mailbox, then tell."""
        while self.box.__class__ is list and self.depth >= self.spec.mailbox.capacity:
            await self.wait()
        self.tell(message, origin=origin)

    def _overflow(self, item: Item) -> None:
        box = self.box
        if isinstance(box, list):
            overflow(self, box, item)

    @property
    def depth(self) -> int:
        """How many messages wait."""
        batch = 0 if self.batch is None else length_hint(self.batch)
        return batch + (0 if self.box is None else len(self.box))

    def take_oldest(self) -> Item:
        """Take the message out that has waited longest; there must be one."""
        if self.batch is not None:
            for item in self.batch:
                return item
        assert isinstance(self.box, list)
        return self.box.pop(0)

    def take_all(self) -> list[Item]:
        """Empty the mailbox."""
        box = self.box if isinstance(self.box, list) else []
        items = list(chain(self.batch or (), box))
        box.clear()
        self.batch = None
        return items

    def put_first(self, items: list[Item]) -> None:
        """Put `items` before all that waits, whatever the bound."""
        if self.stopped:
            for item in items:
                bury(self, item, "stopped", ActorStoppedError(self.path))
            return
        self.batch = iter([*items, *(self.batch or ())])
        self._nudge()

    def deliver(self, item: Item) -> None:
        """Put `item` in the mailbox whatever its bound: it is counted elsewhere."""
        if isinstance(self.box, list):
            self.box.append(item)
        elif self.box is None:
            self.box = [item]
            self.pump.schedule(self)
        else:
            self.box.append(item)

    def waits_for(self, other: "Cell") -> bool:
        """Tell whether a handler at work here waits, however indirectly, for `other`."""
        seen: set[Cell] = set()
        todo = [self]
        while todo:
            cell = todo.pop()
            if cell is other:
                return True
            if cell not in seen and cell.asking:
                seen.add(cell)
                todo += [target for target, reply in cell.asking if not reply.done()]
        return False

    # The gate

    def hold(self) -> None:
        """Work off no further messages until `release`."""
        self.gate |= HELD
        if self.box is None:
            self.box = []

    def release(self) -> None:
        """Go on working off messages."""
        self.gate &= ~HELD
        self._nudge()

    def open(self) -> None:
        """Begin to work off messages: for a cell that is not in its turn."""
        self.gate &= ~HELD
        if self.batch is None and not self.box and not self.gate:
            self.box = None
        else:
            self._nudge()

    def signal(self, call: Callable[[], None]) -> None:
        """Have the pump call `call` before this cell's next message."""
        if self.signals is None:
            self.signals = []
        self.signals.append(call)
        if not self.gate & SIGNALS:
            self.gate |= SIGNALS
            if self.box is None:
                self.box = []
            self.pump.schedule(self)

    def _nudge(self) -> None:
        """Give the cell a turn, if it may have one and might have something to do."""
        if self.gate or self.stopped:
            return
        if self.box is None:
            if self.batch is None:
                return
            self.box = []
        self.pump.schedule(self)

    @property
    def stopped(self) -> bool:
        """Whether it has stopped for good."""
        return self.box.__class__ is DeadBox

    async def wait(self) -> None:
        """Wait until something was worked off here, or a handler has ended."""
        waiter: Future[None] = self.pump.loop.create_future()
        if self.waiting is None:
            self.waiting = []
        self.waiting.append(waiter)
        await waiter

    def notify(self) -> None:
        """Wake those who wait."""
        waiting, self.waiting = self.waiting, None
        for waiter in waiting or ():
            if not waiter.done():
                waiter.set_result(None)

    # The outcome of a handler

    def answer(self, result: object) -> None:
        """Answer the ask at work, unless its reply was taken or nobody waits."""
        reply, self.reply = self.reply, None
        if reply is not None:
            if reply.done():
                if self.message is not None:
                    self.pump.dead(self, self.message, "late_reply")
            else:
                reply.set_result(result)

    def settled(self, result: object) -> None:
        """Take the result of a suspended handler: the worker's call."""
        self.answer(result)
        self._ended()

    def crashed(self, error: BaseException) -> None:
        """Take the error of a suspended handler: the worker's call."""
        message, origin = self.message, self.origin
        self._ended()
        self.origin = origin
        self.fail(error, message)
        self.origin = None

    def _ended(self) -> None:
        carried = self.job is not None
        self.job = self.message = self.origin = self.asking = None
        self.gate &= ~BUSY
        if not carried:  # it never suspended: the pump goes on with this cell
            return
        if self.waiting is not None:
            self.notify()
        if not self.gate:
            if self.batch is None and not self.box:
                self.box = None
            else:
                self.pump.schedule(self)

    def fail(self, error: BaseException, message: object = None) -> None:
        """Deal with an error of the actor: tell the asker, then the supervisor.

        A refused command and an unhandled message concern the sender only. All
        else shuts the gate; the parent's supervision decides in the next turn.
        """
        reply, self.reply = self.reply, None
        refuse(reply, error)
        if isinstance(error, CommandRejectedError):
            return
        if isinstance(error, UnhandledMessageError):
            self.pump.dead(self, message, "unhandled")
            return
        self.pump.on_failure(self, error, message)
        if self.state != "running":
            return
        self.state = "failed"
        self.error = error
        self.hold()
        if self.journal is not None:
            self.journal.revoke(error)
        if isinstance(message, Message) and not isinstance(message, (Tick, Finished)):
            self._lay_aside(message)
        self.signal(self._report)

    def _lay_aside(self, message: Message) -> None:
        """Deliver a message that crashed the actor again, or not any more."""
        crash = self.crash
        times = 1 if crash is None or crash[0] is not message else crash[1] + 1
        if isinstance(message, Ask) or times >= self.spec.crashes_max:
            self.crash = None
            self.pump.dead(self, message, "crashed")
        else:
            self.crash = (message, times)
            self.put_first([(message, None, self.origin)])

    def _report(self) -> None:
        """Tell the parent's supervision of a failure."""
        if self.state == "failed" and self.error is not None:
            self.supervision.failed(self, self.error)

    @property
    def supervision(self) -> "Supervision | Root":
        """Who decides about this cell's failures."""
        return self.pump.supervision_of(self)

    def bury(self, error: BaseException | None) -> None:
        """End for good: what waits becomes dead messages, watchers are told."""
        items = self.take_all()
        self.box = dead = DeadBox(self)
        self.gate = 0
        self.room = 1
        self.state = "stopped"
        self.error = error
        self.signals = None
        refuse(self.reply, ActorStoppedError(self.path))
        self.reply = None
        for item in items:
            dead.append(item)
        self.notify()
        watchers, self.watchers = self.watchers, None
        for watcher in (watchers or {}).values():
            watcher(error)
