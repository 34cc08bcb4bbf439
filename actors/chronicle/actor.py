"""The actor that writes down what happens to the actors of its system."""

import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import anyio
import structlog

from ...events import DramaturgError, Event
from ...events import actors as events
from ...events.actors import ActorCount
from ..runtime import (
    ActorContext,
    Ask,
    Backoff,
    ChildSpec,
    Decision,
    EventSourced,
    Mailbox,
    Message,
    UnhandledMessageError,
    handles,
)
from .limits import ChronicleLimits
from .look import counted
from .news import News, listen
from .state import FOLD, SystemState, changes

if TYPE_CHECKING:
    from ..runtime import ActorSystem, Ref

NAME: Final = "chronicle"
CLOSE_S: Final = 5.0

_log = structlog.get_logger(__name__)


class TakeCensus(Message):
    """Look at all actors."""


class Census(Message):
    """Write down what a look has found."""

    counts: dict[str, ActorCount]
    omitted: int
    untold: int


class Tell(Message):
    """Write down what happened to an actor."""

    event: Event


class Begin(Ask[None]):
    """Write down that the system is up."""

    pid: int


class Finish(Ask[None]):
    """Take the last census, and write down that the system stops."""

    counts: dict[str, ActorCount]
    omitted: int
    untold: int


class Chronicle(EventSourced[SystemState]):
    """Hears of failures and restarts at once, and takes a census now and then.

    Its events cost nothing per message and are bounded by `ChronicleLimits`.
    """

    fold = FOLD
    snapshot_every = 100
    personal = False

    def __init__(self, name: str, limits: ChronicleLimits) -> None:
        self.stream = f"{FOLD.kind}/{name}"
        self.limits = limits
        self._end: Callable[[], None] = lambda: None
        self._told = 0
        self._untold = 0

    async def starting(self) -> None:
        """Begin to listen, and to look now and then."""
        self._end = listen(self.ctx.system, self._hear)
        self.ctx.timers.once("census", self.limits.first_s, TakeCensus())

    async def stopping(self) -> None:
        """Listen no more."""
        self._end()

    async def restarting(self, error: BaseException | None) -> None:  # noqa: ARG002 - the signature
        """Listen no more: the next instance does."""
        self._end()

    @handles
    def take_census(self, message: TakeCensus) -> None:
        """Look at all actors, and say so when there is anything new."""
        counts, omitted = counted(self.ctx.system, self.limits.actors_max)
        counts.pop(self.ctx.self.path, None)  # it is busy with nothing but this
        untold, self._untold, self._told = self._untold, 0, 0
        self.ctx.self.tell(Census(counts, omitted, untold))
        self.ctx.timers.once("census", self.limits.interval_s, message)

    def finish(self) -> Finish:
        """Return what there is to say at the end."""
        counts, omitted = counted(self.ctx.system, self.limits.actors_max)
        counts.pop(self.ctx.self.path, None)
        return Finish(counts, omitted, self._untold)

    def decide(
        self, state: SystemState, command: Message, ctx: ActorContext
    ) -> Decision:
        """Decide what is written."""
        at_us = ctx.now_us
        match command:
            case Tell():
                return Decision((command.event,))
            case Census():
                return Decision(_census(state, command, at_us))
            case Begin():
                return Decision((events.SystemStarted(at_us, command.pid),))
            case Finish():
                last = events.SystemStopped(at_us)
                return Decision((*_census(state, command, at_us), last))
            case _:
                raise UnhandledMessageError(ctx.self.path, command)

    def _hear(self, news: News) -> None:
        """Write news down, or only count them; and none of its own, without an end."""
        if news.path == self.ctx.self.path:
            return
        self._told += 1
        if self._told > self.limits.told_max:
            self._untold += 1
        else:
            self.ctx.self.tell(Tell(news))


def _census(
    state: SystemState, census: Census | Finish, at_us: int
) -> tuple[Event, ...]:
    """Return a census if it has anything to say, or rates have to fall to zero."""
    changed, gone = changes(state, census.counts)
    news = changed or gone or census.untold or census.omitted != state.omitted
    if not news and not any(each.rate_per_s for each in state.actors.values()):
        return ()
    event = events.ActorsCounted(at_us, changed, gone, census.omitted, census.untold)
    return (event,)


@asynccontextmanager
async def chronicled(
    system: "ActorSystem",
    limits: ChronicleLimits | None = None,
) -> AsyncGenerator["Ref", None]:
    """Have the log of `system` tell what happens to its actors while the block runs.

    The system's name is the stream's, `system/<name>`, so each system of a log has a
    name of its own. Yields the chronicle. Raises what its start raises; a failure
    later on concerns nobody else.
    """
    limits = limits or ChronicleLimits()
    ref = await system.spawn(
        ChildSpec(
            id=NAME,
            factory=lambda: Chronicle(system.name, limits),
            mailbox=Mailbox(policy="drop_new"),
            backoff=Backoff(),
        ),
    )
    await ref.ask(Begin(os.getpid()))
    try:
        yield ref
    finally:
        with anyio.CancelScope(shield=True):
            await _finish(system, ref)


async def _finish(system: "ActorSystem", ref: "Ref") -> None:
    """Write the end of a system down, if that can be written."""
    try:
        actor = system.cell(ref.path).actor
        if isinstance(actor, Chronicle):
            await ref.ask(actor.finish(), timeout_s=CLOSE_S)
    except DramaturgError as error:
        _log.warning("chronicle.unfinished", error=repr(error))
