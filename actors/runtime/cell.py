"""The cell: what an actor is to the runtime, and what a local reference is made of.

How messages wait and when they are worked off is in `inbox`. `state` is for people and
supervisors: starting, running, failed, suspended (its log is not writable), backing_off,
stopping, down (may be started again), stopped.

What moves a cell between states is in `lifecycle`: `start`, `halt`, `restart`, `stop`.
Failures come in through `fail`, whoever caught them; the parent's `Supervision` hears of
them in a turn of its own, never inside a handler. Of a handler that failed in a turn of
the pump it hears at the end of that turn.
"""

from asyncio import CancelledError, Future
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from .context import ActorContext
from .errors import (
    ActorStoppedError,
    AskCycleError,
    HandlerCancelledError,
    MailboxFullError,
)
from .extras import NO_EXTRAS
from .failure import concerns_supervisor
from .handlers import Handlers, is_reentrant, unhandled
from .inbox import BUSY, HELD, Inbox
from .inline import hastened, run_inline
from .mailbox import DeadBox, Item, Reply, bury, refuse
from .messages import Ask, Message
from .origin import Origin
from .reentry import LATCHED, taken, unlatch
from .stash import taken_back
from .waits import waits_for

if TYPE_CHECKING:
    from .actor import Actor
    from .change import Change
    from .children import Children
    from .journal import Journal
    from .keeper import Supervision
    from .pump import Pump
    from .root import Root
    from .spec import AnySpec
    from .steps import Worker

A = TypeVar("A")

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


class Cell(Inbox):
    """One actor's place in the tree; it outlives the instances that fill it."""

    __slots__ = (
        "__weakref__",
        "actor",
        "asking",
        "change",
        "handled",
        "handlers",
        "job",
        "message",
        "origin",
        "parent",
        "refusal",
        "reply",
        "started_s",
        "state",
    )

    parent: "Cell | None"
    handlers: Handlers
    actor: "Actor | None"
    state: State
    handled: int
    started_s: float
    job: "Worker | None"
    message: Message | None
    """The message whose handler is suspended."""
    reply: Reply | None
    """Who waits for the answer to the message at work; None once answered or taken."""
    origin: Origin | None
    asking: "tuple[tuple[Cell, Reply], ...] | None"
    """Whom the coroutine at work asks; None while none is at work."""
    change: "Change | None"
    """The start, halt or stop under way."""
    refusal: Callable[[Message], Exception] | None
    """Makes the error for an ask that nobody is going to answer soon."""

    def ask(
        self,
        message: Ask[A],
        timeout_s: float = 5.0,
        origin: Origin | None = None,
    ) -> Future[A]:
        """Put `message` in the mailbox and return a future of the answer."""
        pump = self.pump
        reply: Future[A] = Future(loop=pump.loop)
        if origin is None:
            origin = pump.origin
        asker = pump.current
        if asker is not None and asker.asking is not None:
            self._asked_by(asker, message, reply, origin)
        elif pump.inline > 0 and (self.box is None or hastened(pump, self)):
            run_inline(pump, self, message, reply, origin)
        else:
            self._queue((message, reply, origin))
        if not reply.done():
            pump.asks.add(reply, self, message, timeout_s, origin)
        return reply

    def _asked_by(
        self,
        asker: "Cell",
        message: Ask[A],
        reply: Future[A],
        origin: Origin | None,
    ) -> None:
        """Take an ask from a coroutine handler, unless it would wait for itself."""
        idle = self.box is None
        if not idle and waits_for(self, asker) and not self.takes_now(message):
            refuse(reply, AskCycleError(self.path, message))
            return
        open_asks = tuple(ask for ask in asker.asking or () if not ask[1].done())
        asker.asking = (*open_asks, (self, reply))
        if idle and self.pump.inline > 0:
            run_inline(self.pump, self, message, reply, origin)
            if reply.done():
                asker.asking = open_asks
        else:
            self._queue((message, reply, origin))

    def _queue(self, item: tuple[Ask[Any], Future[Any], Origin | None]) -> None:
        """Put an ask in the mailbox, or refuse it."""
        box = self.box
        if box is None:
            self.box = [item]
            self.pump.schedule(self)
        elif self.refusal is not None:
            refuse(item[1], self.refusal(item[0]))
        elif len(box) < self.room:
            box.append(item)
        else:
            try:
                self.overflow(item)
            except MailboxFullError as error:
                refuse(item[1], error)

    def takes_now(self, message: Message) -> bool:
        """Tell whether `message` need not wait for the handler that is suspended."""
        return self.busy and is_reentrant(self.handlers[type(message)])

    def overflow(self, item: Item) -> None:
        """Put `item` in a mailbox that seems full, or work it off at once."""
        if self.room != LATCHED or not taken(self, item):
            super().overflow(item)

    def own_context(self) -> ActorContext:
        """Return what the actor sees of the runtime; it stays over restarts."""
        context = self.extras.context
        if context is None:
            context = ActorContext(self, self.pump.system)
            self.own_extras().context = context
        return context

    @property
    def path(self) -> str:
        """Where it stands in the tree; put together for those who ask."""
        parent = self.parent
        family = None if parent is None else parent.extras.children
        return "/" if family is None else family.prefix + self.spec.id

    @property
    def children(self) -> "Children | None":
        """The cells below it, once there was one."""
        return self.extras.children

    @property
    def journal(self) -> "Journal | None":
        """What keeps the events of its present or last instance, if anything does."""
        return self.extras.journal

    @property
    def error(self) -> BaseException | None:
        """What it last failed of."""
        return self.extras.error

    @error.setter
    def error(self, error: BaseException | None) -> None:
        if error is not self.extras.error:
            self.own_extras().error = error

    @property
    def dropped(self) -> int:
        """Messages that found the mailbox full, whatever became of them."""
        return self.extras.dropped

    @property
    def restarts(self) -> int:
        """How often a new instance has taken the place of one that went down."""
        return self.extras.restarts

    # The outcome of a handler

    def answer(self, result: object, message: Message) -> None:
        """Answer the ask at work, unless its reply was taken or nobody waits."""
        reply, self.reply = self.reply, None
        if reply is None:
            return
        if reply.done():
            self.pump.dead(self, message, "late_reply")
        else:
            reply.set_result(result)

    def settled(self, result: object) -> None:
        """Take the result of a suspended handler: the worker's call."""
        if self.job is not None:
            self.pump.overdue.take(self)
        if self.message is not None:
            self.answer(result, self.message)
        self._ended()

    def crashed(self, error: BaseException) -> None:
        """Take the error of a suspended handler: the worker's call."""
        message, origin = self.message, self.origin
        late = self.pump.overdue.take(self) if self.job is not None else None
        self._ended()
        if isinstance(error, CancelledError):
            error = late or HandlerCancelledError(f"{self.path} cancelled its handler")
        self.origin = origin
        self.fail(error, message)
        self.origin = None

    def _ended(self) -> None:
        carried = self.job is not None
        self.job = self.message = self.origin = self.asking = None
        self.gate &= ~BUSY
        if not carried:  # it never suspended: the pump goes on with this cell
            return
        if self.room == LATCHED:
            unlatch(self)
        if self.waiting is not None:
            self.notify()
        if not self.gate:
            if self.batch is None and not self.box:
                self.box = None
            else:
                self.pump.schedule(self)

    def fail(self, error: BaseException, message: object = None) -> None:
        """Deal with an error of the actor; the supervision decides in the next turn."""
        if concerns_supervisor(self, error, message):
            self.signal(self._report)

    def _report(self) -> None:
        """Tell the parent's supervision of a failure."""
        if self.state == "failed" and self.error is not None:
            self.supervision.failed(self, self.error)

    @property
    def supervision(self) -> "Supervision | Root":
        """Who decides about this cell's failures."""
        return self.pump.supervision_of(self)

    def doom(self) -> None:
        """Bury what waits and refuse every ask from now on: a stop has begun."""
        self.hold()
        self.refusal = self._too_late
        for item in (*taken_back(self), *self.take_all()):
            bury(self, item, "stopped", ActorStoppedError(self.path))
        self.notify()

    def _too_late(self, message: Message) -> Exception:
        self.pump.dead(self, message, "stopped")
        return ActorStoppedError(self.path)

    def bury(
        self,
        error: BaseException | None,
        heir: Callable[[Item], None] | None = None,
    ) -> None:
        """End for good: what waits becomes dead messages, watchers are told."""
        items = self.take_all()
        self.box = dead = DeadBox(self, heir)
        self.gate = 0
        self.room = 1
        self.state = "stopped"
        self.refusal = None
        self.error = error
        self.signals = None
        refuse(self.reply, ActorStoppedError(self.path))
        self.reply = None
        for item in items:
            dead.append(item)
        self.notify()
        if self.extras.watchers is not None:
            watchers, self.extras.watchers = self.extras.watchers, None
            for watcher in watchers.values():
                watcher(error)


def new_cell(pump: "Pump", spec: "AnySpec", parent: "Cell | None") -> Cell:
    """Return a cell that is to be started.

    A function of ours costs a third of what a call of `__init__` by its class does.
    """
    cell = Cell()
    cell.pump = pump
    cell.spec = spec
    cell.parent = parent
    cell.box = []
    cell.gate = HELD
    cell.room = spec.mailbox.capacity
    cell.extras = NO_EXTRAS
    cell.handlers = NO_HANDLERS
    cell.state = "starting"
    cell.handled = 0
    cell.started_s = 0.0
    cell.batch = cell.signals = cell.waiting = None
    cell.actor = cell.change = cell.refusal = cell.job = cell.message = None
    cell.reply = cell.origin = cell.asking = None
    return cell
