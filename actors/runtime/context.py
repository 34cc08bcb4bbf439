"""What an actor may use: itself, the system, time, chance, timers, children."""

import random
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import structlog

from . import stash
from .behaviour import Behaviour, bound
from .errors import ActorStoppedError
from .mailbox import Reply, refuse
from .messages import Message
from .origin import NOWHERE, Origin
from .refs import Ref
from .timers import Timers
from .work import Running

if TYPE_CHECKING:
    from .cell import Cell
    from .spec import AnySpec
    from .system import ActorSystem

T = TypeVar("T")

_log = structlog.get_logger("dramaturg.actor")

_IDLE: Final = object()
"""The key of an actor's receive timeout among its timers."""


class Later:
    """An answer that is still owed: the handler has ended, the asker waits on."""

    __slots__ = ("_cell", "_reply")

    def __init__(self, cell: "Cell") -> None:
        self._cell = cell
        self._reply: Reply | None
        self._reply, cell.reply = cell.reply, None

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for it."""
        return self._reply is not None and not self._reply.done()

    def set(self, answer: object) -> None:
        """Answer; a dead message when nobody waits any more. The first answer counts."""
        reply, self._reply = self._reply, None
        if reply is None:
            return
        if reply.done():
            self._cell.pump.dead(self._cell, answer, "late_reply")
        else:
            reply.set_result(answer)

    def fail(self, error: Exception) -> None:
        """Answer with an error; harmless when nobody waits any more."""
        reply, self._reply = self._reply, None
        refuse(reply, error)


class ActorContext:
    """An actor's view of the runtime; it has one from `starting` on."""

    __slots__ = ("_owed", "at_us", "cell", "system")

    def __init__(self, cell: "Cell", system: "ActorSystem") -> None:
        self.cell = cell
        """The runtime's side of this actor; not for actors."""
        self.system = system
        self.at_us = 0
        """When the present or last decision was made: what its events say."""
        self._owed: list[Later] | None = None

    @property
    def self(self) -> Ref:
        """The actor's own reference."""
        return self.cell

    @property
    def now_us(self) -> int:
        """Wall time in microseconds."""
        return self.cell.pump.clock.now_us()

    @property
    def now_s(self) -> float:
        """Seconds on a clock that never goes back."""
        return self.cell.pump.clock.now_s()

    @property
    def random(self) -> random.Random:
        """The system's source of chance; what is drawn for a decision is recorded."""
        return self.system.random

    @property
    def origin(self) -> Origin:
        """Where the current message comes from."""
        return self.cell.pump.origin or self.cell.origin or NOWHERE

    @property
    def corr(self) -> str:
        """The correlation id of the current message."""
        return self.origin.corr

    @property
    def by(self) -> str:
        """The principal behind the current message."""
        return self.origin.by

    @property
    def cause(self) -> tuple[str, int] | None:
        """Stream and version of the event behind the current message."""
        return self.origin.cause

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger that knows the actor and the origin of the current message."""
        bound = _log.bind(actor=self.cell.path)
        origin = self.origin
        if origin.corr:
            bound = bound.bind(corr=origin.corr)
        if origin.by:
            bound = bound.bind(by=origin.by)
        if origin.cause is not None:
            bound = bound.bind(cause="{}@{}".format(*origin.cause))
        return cast("structlog.stdlib.BoundLogger", bound)

    @property
    def timers(self) -> Timers:
        """Messages to itself, later."""
        timers = self.cell.extras.timers
        if timers is None:
            timers = self.cell.own_extras().timers = Timers(self.cell)
        return timers

    def run(
        self,
        work: Coroutine[Any, Any, T],
        then: Callable[[T], Message] | None = None,
        failed: Callable[[Exception], Message] | None = None,
    ) -> Running:
        """Do `work` beside the mailbox; its outcome comes back as a message.

        Its first step is taken at once. Without `then` nobody hears of the result;
        without `failed` an error fails the actor. It is cancelled when the actor
        stops or restarts.
        """
        running = Running(self.cell, then, failed, self.cell.pump.origin)
        self.carry(work, running)
        return running

    def carry(self, work: Coroutine[Any, Any, object], running: Running) -> None:
        """Do `work` as `run` does; what becomes of it is for `running` to say."""
        cell = self.cell
        running.worker = cell.pump.steps.begin(work, running, None)
        if running.worker is not None or running.message is not None:
            works = cell.extras.works  # most work has ended by now, and is not kept
            if works is None:
                works = cell.own_extras().works = {}
            works[running] = None

    def later(self) -> Later:
        """Take over the answer to the current message, to give it in a later turn.

        What the handler returns is then not the answer. If the actor goes down
        first, the asker gets an error.
        """
        later = Later(self.cell)
        owed = [each for each in self._owed or () if each.wanted]
        self._owed = [*owed, later]
        return later

    def leave(self) -> None:
        """Stop for good after the current message; the runtime's call."""
        self.system.leave(self.cell)

    def refuse_owed(self) -> None:
        """Answer what is still owed with an error; the runtime's call."""
        owed, self._owed = self._owed, None
        for later in owed or ():
            later.fail(ActorStoppedError(self.cell.path))

    def spawn(self, spec: "AnySpec") -> Coroutine[Any, Any, Ref]:
        """Start a child of this actor and return once it is up."""
        return self.system.spawn(spec, self.cell)

    async def stop(self, ref: Ref | None = None, *, drain: bool = False) -> None:
        """Stop an actor for good, without `ref` this one after the current message.

        With `drain` what waits in the mailbox is worked off first.
        """
        await self.system.stop(self.cell if ref is None else ref, drain=drain)

    def exit(self) -> None:
        """End this life after the current message, in an orderly way.

        The supervisor decides what follows: a permanent actor is started again with
        its mailbox, another is gone.
        """
        cell = self.cell
        cell.signal(lambda: cell.supervision.exited(cell))

    def watch(self, ref: Ref) -> None:
        """Get a `Terminated` message once `ref` has stopped, also if it has already."""
        self.system.watch(self.cell, ref)

    def unwatch(self, ref: Ref) -> None:
        """Take `watch` back."""
        self.system.unwatch(self.cell, ref)

    def link(self, ref: Ref) -> None:
        """Fail with `ref` if it ends with an error, and the other way round."""
        self.system.link(self.cell, ref)

    def unlink(self, ref: Ref) -> None:
        """Take `link` back."""
        self.system.unlink(self.cell, ref)

    def stash(self, message: Message) -> None:
        """Put the current message aside; its asker waits on. See `unstash`.

        Raises `StashFullError` when as many are put aside as the mailbox may hold.
        """
        stash.put_aside(self.cell, message)

    def unstash(self) -> None:
        """Work off what was put aside, before all that waits."""
        stash.put_back(self.cell)

    def become(self, behaviour: Behaviour | None) -> None:
        """Handle messages from the next one on as `behaviour` says; None: as before.

        Not for event-sourced actors, whose behaviour follows from their state. A
        restart begins with the actor's own handlers.
        """
        cell = self.cell
        assert cell.actor is not None
        assert cell.journal is None, "an event-sourced actor behaves as its state says"
        cell.handlers = cell.actor.handlers if behaviour is None else bound(behaviour)

    def receive_timeout(self, after_s: float, message: Message | None) -> None:
        """Get `message` whenever nothing was worked off for `after_s`; None: no more.

        It comes up to a quarter of that time late.
        """
        if message is None:
            self.timers.cancel(_IDLE)
        else:
            self.timers.when_idle(_IDLE, after_s, message)
