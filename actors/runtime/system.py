"""The actor system: a tree of actors inside a running event loop."""

import asyncio
import random
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio

from . import ending, lifecycle, parting, watching
from .actor import Actor
from .asks import Asks
from .cell import Cell, new_cell
from .census import ActorInfo, describe
from .children import Children
from .clock import Clock, SystemClock
from .dead_messages import DeadMessages
from .driven import DrivenLoop
from .entities import Entities
from .errors import KilledError, NoSuchActorError, SystemClosedError
from .event_stream import EventStream
from .messages import Message
from .post import Post
from .pump import Pump
from .refs import Ref
from .registry import NameRegistry
from .root import Root
from .spec import AnySpec, ChildSpec
from .watchdog import Watchdog
from .workforce import Workforce

if TYPE_CHECKING:
    from ...events.log import EventLog
    from .journal import Journal

_QUIET_TURNS = 5
"""So many turns of the loop without a turn of an actor mean that all is settled."""


class ActorSystem:
    """Runs actors while its `async with` block does, and leaves no task behind.

    It touches no signal handler, no logging configuration and no loop policy, and
    keeps no global state: several may live in one process and one loop. When the
    block ends, actors are stopped in order, the last started first.

    With `development=True` a thread reports whatever keeps the loop from its turns for
    more than a tenth of a second: `loop.blocked`, with actor, message and stack.
    """

    def __init__(  # noqa: PLR0913 - all that may be put in the place of a default
        self,
        *,
        log: "EventLog | None" = None,
        clock: Clock | None = None,
        seed: int | None = None,
        name: str = "dramaturg",
        eager: bool = True,
        recoveries_max: int = 16,
        development: bool = False,
    ) -> None:
        self.log = log
        self.clock: Clock = clock or SystemClock()
        self.random = random.Random(seed)  # noqa: S311 - jitter, not secrets
        self._own_time, self._own_chance = clock is not None, seed is not None
        self.name = name
        self.events = EventStream()
        """What the runtime tells about itself."""
        self.dead_messages = DeadMessages(self.events)
        self.registry = NameRegistry(self)
        """Who is called what."""
        self.entities = Entities(self)
        """Actors that are there when a message comes and gone when idle for long."""
        self.recoveries = anyio.Semaphore(recoveries_max, fast_acquire=True)
        self.journals: dict[Journal, None] = {}
        """Of the event-sourced actors that are up."""
        self._off: list[Callable[[], None]] = []
        self._at_end: list[Callable[[], None]] = []
        self._eager = eager
        self._development = development
        self._workforce: Workforce | None = None
        self._post: Post | None = None
        self._body: anyio.CancelScope | None = None
        self._root: Cell | None = None
        self._error: BaseException | None = None

    async def __aenter__(self) -> Self:
        """Start the pump and its workers."""
        if self._workforce is not None:
            raise SystemClosedError(f"{self.name} was entered before: make another")
        loop = asyncio.get_running_loop()
        kind = self._driven_by(loop) if isinstance(loop, DrivenLoop) else Pump
        pump = kind(self, loop, self.clock, self.dead_messages)
        pump.asks = Asks(pump, self.clock)
        pump.supervise_root = Root(self)
        self._post = Post(loop, pump.undeliverable)
        self._workforce = Workforce(pump, eager=self._eager)
        await self._workforce.hired(self.stop_with)
        self._body = anyio.CancelScope()
        self._body.__enter__()
        spec = ChildSpec(id=self.name, factory=Actor)
        self._root = root = new_cell(pump, spec, None)
        await lifecycle.start(root)
        root.own_extras().children = Children(root)
        if self.log is not None:
            self._off.append(self.log.on_availability(self._on_availability))
            self._off.append(self.log.on_congestion(self._on_congestion))
        if self._development:
            watchdog = Watchdog(pump)
            self._off.append(watchdog.call_off)
        return self

    def _driven_by(self, loop: DrivenLoop) -> type[Pump]:
        """Take time, chance and the order of turns from a loop that owns them."""
        if not self._own_time:
            self.clock = loop.clock
        if not self._own_chance:
            self.random = loop.new_random()
        return loop.pump_class

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        """Stop all actors in order, then the workers.

        A cancellation, in the block or here, does not keep them from that; a second
        one does. Then they are cut off where they stand.
        """
        assert self._workforce is not None
        assert self._body is not None
        assert self._root is not None
        caught = self._body.__exit__(kind, error, traceback)
        root, self._root = self._root, None
        cancelled = kind is not None and issubclass(kind, asyncio.CancelledError)
        try:
            await ending.in_order(
                root,
                self._error,
                self._workforce.task,
                patient=caught or not cancelled,
            )
        finally:
            for off in self._off:
                off()
            self.entities.close()
            try:
                await self._workforce.dismissed()
            finally:
                ending.cut_off(root, self._error)
                for call in self._at_end:
                    call()
        if self._error is not None:
            raise self._error
        return caught

    def at_end(self, call: Callable[[], None]) -> None:
        """Have `call` called once all actors are down: wake whoever waits for one."""
        self._at_end.append(call)

    def needed_log(self, path: str) -> "EventLog":
        """Return the log. Raises `SystemClosedError` if there is none."""
        if self.log is None:
            raise SystemClosedError(
                f"{path} keeps events, but {self.name} has no log: "
                "give ActorSystem(log=...) one",
            )
        return self.log

    def _on_availability(self, available: bool) -> None:  # noqa: FBT001 - a listener
        """Suspend the event-sourced actors, or rebuild those that are."""
        if available:
            cells = self.suspended() if self._root is not None else ()
            for cell in cells:
                lifecycle.go(cell, lifecycle.rebuild(cell))
        else:
            for journal in tuple(self.journals):
                journal.suspend()

    def _on_congestion(self, congested: bool) -> None:  # noqa: FBT001 - a listener
        """Let those go on that waited for room in the log."""
        if not congested:
            for journal in tuple(self.journals):
                journal.arrived()

    def suspended(self) -> list[Cell]:
        """Return the cells that wait for the log to come back."""
        return [cell for cell in self.cells() if cell.state == "suspended"]

    def cells(self) -> Iterator[Cell]:
        """Go through all cells, parents first."""
        todo = [self.root]
        while todo:
            cell = todo.pop()
            yield cell
            if cell.children is not None:
                todo += reversed(cell.children.cells.values())

    def stop_with(self, error: BaseException | None) -> None:
        """End the block: nobody is left who could deal with `error`."""
        self._error = error
        if self._body is not None:
            self._body.cancel()

    @property
    def root(self) -> Cell:
        """The cell above all others."""
        if self._root is None:
            raise SystemClosedError(f"{self.name} is not running: use async with")
        return self._root

    async def spawn(self, spec: AnySpec, under: Ref | None = None) -> Ref:
        """Start an actor under `under`, or the root, and return once it is up.

        Raises what its start raised. What `lifecycle.make` does is written out for an
        actor that is up at once: calls, and tests of what a new cell cannot have, would
        be most of it.
        """
        if type(under) is Cell:  # said first and without a call: it is the usual case
            parent = under
        else:
            parent = self.root if under is None else local(under)
        children = parent.extras.children
        if children is None:
            children = parent.own_extras().children = Children(parent)
        cell = children.add(spec)
        try:
            cell.actor = actor = spec.factory()
            actor.runtime_cell = cell
            cell.handlers = handlers = actor.handlers
            if not handlers.at_once:
                await lifecycle.start(cell, made=True)
            else:
                cell.state = "running"
                cell.started_s = cell.pump.now_s()
                if cell.box:  # its factory looked it up by its path
                    cell.open()
                else:
                    cell.gate = 0
                    cell.box = None
        except BaseException as error:
            if not cell.stopped:
                children.remove(cell)
                cell.bury(error)
            raise
        return cell

    def ref(self, path: str) -> Ref:
        """Return the actor at `path`. Raises `NoSuchActorError`."""
        return self.cell(path)

    def cell(self, path: str) -> Cell:
        """Return the cell at `path`. Raises `NoSuchActorError`."""
        cell = self.root
        for part in path.strip("/").split("/"):
            children = cell.children
            found = children.cells.get(part) if children is not None else None
            if found is None:
                raise NoSuchActorError(path)
            cell = found
        return cell

    async def stop(self, ref: Ref, *, drain: bool = False) -> None:
        """Stop an actor for good and return when it is down.

        It ends its current message, its children are stopped, the last started first,
        and what waits in its mailbox becomes dead messages; with `drain` that is
        worked off first. A handler that stops its own actor does not wait.
        """
        cell = local(ref)
        own = cell.pump.current is cell
        if drain:
            ended = parting.drain(cell)
            if not own:
                await ended
        elif own:
            self.leave(cell)
        else:
            await parting.assured(cell, lifecycle.stop(cell, None))

    def leave(self, cell: Cell) -> None:
        """Stop the actor of `cell` for good after the message that it works on."""
        cell.signal(lambda: parting.leave(cell))

    def entity(self, kind: type[Actor], entity_id: str) -> Ref:
        """Return the actor of class `kind` for `entity_id`; see `entities`."""
        return self.entities.ref(kind, entity_id)

    def watch(self, watcher: Cell, ref: Ref) -> None:
        """Send `watcher` a `Terminated` once `ref` has stopped."""
        watching.watch(watcher, local(ref))

    def unwatch(self, watcher: Cell, ref: Ref) -> None:
        """Take `watch` back."""
        watching.unwatch(watcher, local(ref))

    def link(self, one: Ref, other: Ref) -> None:
        """Have either fail if the other ends with an error."""
        watching.link(local(one), local(other))

    def unlink(self, one: Ref, other: Ref) -> None:
        """Take `link` back."""
        watching.unlink(local(one), local(other))

    def post(self, ref: Ref, message: Message) -> None:
        """Tell an actor from another thread; all else is for the loop's thread.

        In order per thread; what its mailbox refuses becomes a dead message. Raises
        `MailboxFullError` while too many messages are on their way to the loop.
        """
        if self._post is None:
            raise SystemClosedError(f"{self.name} is not running: use async with")
        self._post.put(ref, message)

    def kill(self, ref: Ref) -> None:
        """Have an actor fail at once, in the middle of whatever it is doing.

        Its supervisor decides whether it comes back; `stop` ends it for good.
        """
        cell = local(ref)
        parting.fell(cell, KilledError(cell.path))

    def tree(self) -> ActorInfo:
        """Describe all actors: states, mailbox depths, restarts, last failures."""
        return describe(self.root)

    async def settled(self) -> None:
        """Wait until every actor is idle or waits for time or the outside: for tests."""
        pump = self.root.pump
        if isinstance(pump.loop, DrivenLoop):
            await pump.loop.quiet()
            return
        quiet = 0
        while quiet < _QUIET_TURNS:
            turns = pump.turns
            await asyncio.sleep(0)
            quiet = quiet + 1 if pump.parked and turns == pump.turns else 0


def local(ref: Ref) -> Cell:
    """Return the cell of one actor. Raises `TypeError` for a router."""
    if not isinstance(ref, Cell):
        message = f"{ref!r} stands for several actors: name one of them"
        raise TypeError(message)
    return ref
