"""Where a living breaker and the actor that logs its events meet.

The breaker outlives the instances of its actor: while there is none, or the log
cannot be written, it goes on in memory, and its events wait here.
"""

from typing import TYPE_CHECKING

from ...events import Event
from ...events.log import LogUnavailableError
from ..runtime import Ask, MailboxFullError, Message
from .actions import Action
from .outbox import Outbox

if TYPE_CHECKING:
    from .actor import BreakerActor


class Commit(Ask[None]):
    """Log what waits; answered when all of it is durable."""

    expendable = True


class LookAgain(Message):
    """Something may have run out."""

    expendable = True


class Desk:
    """The `Recorder` of one breaker."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.outbox = Outbox()
        self.called = False
        """Whether a `Commit` is on its way already."""
        self._actor: BreakerActor | None = None

    @property
    def writable(self) -> bool:
        """Whether what is told now can become durable."""
        log = None if self._actor is None else self._actor.ctx.system.log
        return log is not None and log.available

    def attach(self, actor: "BreakerActor") -> None:
        """Let this instance do the logging from now on."""
        self._actor = actor
        self.called = False
        self._call()

    def detach(self, actor: "BreakerActor") -> None:
        """Go on without it."""
        if self._actor is actor:
            self._actor = None

    def add(self, event: Event) -> None:
        """Take an event, and have it logged soon."""
        self.outbox.add(event)
        self._call()

    def due(self, after_s: float) -> None:
        """Have the actor look at the breaker after this time."""
        if after_s <= 0:
            self._call()
        elif self._actor is not None:
            self._actor.look_again_in(after_s)

    def _call(self) -> None:
        """Tell the actor that there is something to log, once until it does."""
        if self._actor is None or self.called:
            return
        try:
            self._actor.ctx.self.tell(Commit())
        except MailboxFullError:
            return  # it has plenty to do, and looks in here whatever it is told
        self.called = True

    async def durable(self) -> None:
        """Wait until all that was told so far is in the log."""
        await self._attached().ctx.self.ask(Commit())

    async def obey(self, action: Action) -> None:
        """Have a person's action decided, logged and put in force."""
        await self._attached().ctx.self.ask(action)

    def _attached(self) -> "BreakerActor":
        if self._actor is None:
            raise LogUnavailableError(
                f"breaker {self.name!r} has no actor that could log for it: it is "
                "starting, stopping or being restarted; try again",
            )
        return self._actor
