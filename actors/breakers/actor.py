"""The actor of a breaker: it owns the stream, and what is not decided per call."""

import msgspec

from ...events import Event
from ..runtime import ActorContext, Decision, EventSourced, Message
from .actions import Action, obey
from .breaker import Breaker
from .desk import Commit, Desk, LookAgain
from .state import FOLD, BreakerState
from .times import Now

SNAPSHOT_EVERY = 500


class Stop(Message):
    """Log all that was counted: the end is near."""


class BreakerActor(EventSourced[BreakerState]):
    """Logs the transitions, probe grants and roll-ups of one breaker.

    The breaker decides them itself, in the turn of the call that caused them; an
    action of a person is decided here and in force once it is durable.
    """

    fold = FOLD
    snapshot_every = SNAPSHOT_EVERY
    personal = False

    def __init__(self, breaker: Breaker, desk: Desk) -> None:
        self.stream = f"{FOLD.kind}/{breaker.name}"
        self._breaker = breaker
        self._machine = breaker.machine
        self._desk = desk
        self._look_s: float | None = None
        """When the next look is due."""

    def decide(
        self, state: BreakerState, command: Message, ctx: ActorContext
    ) -> Decision:
        """Take what the breaker has decided, and decide what a person wants."""
        del state  # the machine's own is the same, and ahead by what waits here
        machine, desk, now = self._machine, self._desk, self._breaker.now()
        desk.called = True
        try:
            if isinstance(command, Action):
                by = command.by or ctx.by
                obey(machine, msgspec.structs.replace(command, by=by), now)
            elif isinstance(command, Stop):
                machine.stop(now)
            else:
                self._look(command, now)
        finally:
            desk.called = False
        return Decision(desk.outbox.take(machine.state, now.wall_us))

    def _look(self, command: Message, now: Now) -> None:
        assert isinstance(command, Commit | LookAgain), command
        if isinstance(command, LookAgain):
            self._look_s = None
        self._machine.tick(now)

    def react(self, event: Event, ctx: ActorContext) -> None:
        """Put a person's decision in force."""
        del ctx
        durable = self._desk.outbox.confirm()
        assert durable is event, (durable, event)
        self._machine.confirm(event, self._breaker.now())

    def resume(self, state: BreakerState, ctx: ActorContext) -> None:
        """Hand the state over at the first start; later log what waits meanwhile."""
        del ctx
        machine, outbox, now = self._machine, self._desk.outbox, self._breaker.now()
        if machine.ready:
            written = outbox.recover(self.journal.version)
            for event in written:
                machine.confirm(event, now)
            outbox.drop(machine.forget(now))
        else:
            outbox.restart(self.journal.version)
            machine.load(state, now)
        self._desk.attach(self)

    def look_again_in(self, after_s: float) -> None:
        """Look at the breaker after this time, or earlier if that was asked for."""
        due_s = self.ctx.now_s + after_s
        if self._look_s is None or due_s < self._look_s:
            self._look_s = due_s
            self.ctx.timers.once("look", after_s, LookAgain())

    async def stopping(self) -> None:
        """Log the last counts."""
        self.journal.command(Stop())
        await self.journal.drain()
        self._desk.detach(self)

    async def restarting(self, error: BaseException | None) -> None:
        """Let the breaker go on without this instance."""
        del error
        self._desk.detach(self)
