"""The plain actor: state of its own, and a method per class of messages."""

from typing import TYPE_CHECKING, ClassVar, cast

from .handlers import Handlers, handlers_of

if TYPE_CHECKING:
    from .cell import Cell
    from .context import ActorContext
    from .journal import Journal


class _LazyContext:
    """Makes an actor's context when it is first asked for; many never ask."""

    def __get__(self, actor: "Actor", kind: type) -> "ActorContext":
        """Make it, and leave it where the next look finds it before this."""
        actor.ctx = context = actor.runtime_cell.own_context()
        return context


class Actor:
    """What handles messages one at a time.

    Subclass it and mark methods::

        class Counter(Actor):
            def __init__(self) -> None:
                self.count = 0

            @handles
            def add(self, message: Add) -> None:
                self.count += message.n

            @handles
            def get(self, message: Get) -> int:
                return self.count

    An error in a handler ends this instance; the supervisor has a new one made.
    """

    ctx: "ActorContext" = cast("ActorContext", _LazyContext())
    """There from `starting` on."""
    runtime_cell: "Cell"
    """The runtime's side of it; not for actors."""
    handlers: ClassVar[Handlers] = handlers_of(object)
    hooks: ClassVar[frozenset[str]] = frozenset()
    """Which of `starting`, `stopping`, `restarting` the class defines."""

    def __init_subclass__(cls) -> None:
        """Collect the handlers."""
        super().__init_subclass__()
        cls.handlers = handlers_of(cls, cls.handlers.otherwise)
        names = ("starting", "stopping", "restarting")
        cls.hooks = frozenset(
            name for name in names if getattr(cls, name) is not getattr(Actor, name)
        )
        keeps_nothing = cls.open_journal is Actor.open_journal
        cls.handlers.at_once = keeps_nothing and "starting" not in cls.hooks

    async def starting(self) -> None:
        """Get ready; no message is worked off before this has returned."""

    async def stopping(self) -> None:
        """Clean up before an orderly stop; not called after a failure."""

    async def restarting(self, error: BaseException | None) -> None:
        """Clean up this instance after `error`, before a new one takes its place.

        `None`: it did not fail itself, it is restarted together with others.
        """

    def open_journal(self) -> "Journal | None":
        """Return what keeps this actor's events; plain actors have none."""
        return None


Actor.handlers.at_once = True
