"""Actors by kind and id: there when a message comes, gone when idle for long."""

from asyncio import Future
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote, unquote

import structlog

from . import lifecycle
from .cell import Cell
from .children import Children
from .errors import ActorStoppedError, SystemClosedError
from .faults import described
from .idle import LOOKS, Quiet
from .mailbox import Item, Mailbox, bury, refuse
from .messages import Ask, Message
from .origin import Origin
from .refs import Ref
from .spec import ChildSpec, SupervisorSpec
from .supervision import Backoff

if TYPE_CHECKING:
    from .actor import Actor
    from .clock import Alarm
    from .system import ActorSystem

A = TypeVar("A")

_log = structlog.get_logger(__name__)


class EntityRef(Ref):
    """Reaches one entity, which is activated by the first message.

    While its supervisor goes down, or the system is over, messages are dead.
    """

    __slots__ = ("_id", "_kind", "_path")

    def __init__(self, kind: "EntityKind", entity_id: str) -> None:
        self._path = f"{kind.path}/{quote(entity_id, safe='')}"
        self._kind = kind
        self._id = entity_id

    @property
    def path(self) -> str:
        """Where its actor stands in the tree when it is there."""
        return self._path

    @property
    def stopped(self) -> bool:
        """Whether it has stopped for good: an entity comes back."""
        return False

    def tell(self, message: Message, origin: Origin | None = None) -> None:
        """Put `message` in the entity's mailbox."""
        try:
            cell = self._kind.cell(self._id)
        except SystemClosedError:
            self._kind.dead(self, message)
        else:
            cell.tell(message, origin=origin)

    def ask(
        self,
        message: Ask[A],
        timeout_s: float = 5.0,
        origin: Origin | None = None,
    ) -> Future[A]:
        """Put `message` in the entity's mailbox and return a future of the answer."""
        try:
            cell = self._kind.cell(self._id)
        except SystemClosedError:
            self._kind.dead(self, message)
            reply: Future[A] = self._kind.pump.loop.create_future()
            refuse(reply, ActorStoppedError(self.path))
            return reply
        return cell.ask(message, timeout_s, origin=origin)

    async def offer(self, message: Message, origin: Origin | None = None) -> None:
        """Wait until there is room in the entity's mailbox, then tell."""
        try:
            cell = self._kind.cell(self._id)
        except SystemClosedError:
            self._kind.dead(self, message)
        else:
            await cell.offer(message, origin=origin)

    def __eq__(self, other: object) -> bool:
        """Tell whether both reach the same entity."""
        return isinstance(other, EntityRef) and other.path == self.path

    def __hash__(self) -> int:
        """Go by the path."""
        return hash(self.path)


class EntityKind:
    """The entities of one kind, under a supervisor of their own.

    One that fails comes back after its backoff; more than `restarts_max` failures of
    the whole kind in `within_s` stop them all, and messages activate them again.
    """

    def __init__(  # noqa: PLR0913 - all that may be put in the place of a default
        self,
        supervisor: Callable[[], Cell],
        factory: "Callable[[str], Actor]",
        *,
        idle_s: float = 120.0,
        mailbox: Mailbox | None = None,
        backoff: Backoff | None = None,
        shutdown_s: float = 5.0,
    ) -> None:
        self._supervisor = supervisor
        self._top = top = supervisor()
        self.path = top.path
        self.pump = top.pump
        self._clock = top.pump.clock
        self._factory = factory
        self._interval_s = idle_s / LOOKS
        self._mailbox = mailbox or Mailbox()
        self._backoff = backoff or Backoff()
        self._shutdown_s = shutdown_s
        self._quiet: dict[Cell, Quiet] = {}
        self._alarm: Alarm | None = None

    @property
    def _children(self) -> Children:
        """The entities that are active, under a new supervisor if the last one ended."""
        if self._top.stopped:
            self._top = self._supervisor()
        assert self._top.children is not None
        return self._top.children

    def dead(self, ref: EntityRef, message: Message) -> None:
        """Count a message that nobody could be activated for."""
        self.pump.dead(ref, message, "stopped")

    def close(self) -> None:
        """Look at nobody any more: the system is over."""
        if self._alarm is not None:
            self._alarm.cancel()

    def cell(self, entity_id: str) -> Cell:
        """Return the entity's cell, activating it if there is none.

        Raises `SystemClosedError` if there can be none now.
        """
        name = quote(entity_id, safe="")
        children = self._children
        cell = children.cells.get(name)
        if cell is None or cell.stopped:
            cell = children.add(
                ChildSpec(
                    id=name,
                    factory=lambda: self._factory(entity_id),
                    mailbox=self._mailbox,
                    backoff=self._backoff,
                    shutdown_s=self._shutdown_s,
                ),
            )
            made = cell  # started in a turn of its own, with its first message waiting
            cell.signal(lambda: lifecycle.go(made, self._activate(made)))
            self._quiet[cell] = Quiet(cell)
            if self._alarm is None:
                self._alarm = self._clock.call_later(self._interval_s, self._sweep)
        return cell

    async def _activate(self, cell: Cell) -> None:
        """Start the cell; if it cannot start, those who wait are told why."""
        try:
            await lifecycle.start(cell)
        except Exception as error:  # noqa: BLE001 - logged, and told to who waits
            _log.warning("entity.not_activated", actor=cell.path, **described(error))
            self._children.remove(cell)
            for item in cell.take_all():
                bury(cell, item, "stopped", error)
            cell.bury(error)

    def _sweep(self) -> None:
        """Passivate who was idle long enough."""
        self._alarm = None
        for cell, quiet in tuple(self._quiet.items()):
            if cell.stopped:
                del self._quiet[cell]
            elif quiet.look() and cell.state == "running":
                lifecycle.go(cell, lifecycle.stop(cell, None, self._heir_of(cell)))
        if self._quiet:
            self._alarm = self._clock.call_later(self._interval_s, self._sweep)

    def _heir_of(self, cell: Cell) -> Callable[[Item], None]:
        """Return what hands late messages to the next activation."""
        entity_id = unquote(cell.spec.id)

        def inherit(item: Item) -> None:
            try:
                self.cell(entity_id).deliver(item)
            except SystemClosedError as error:
                bury(cell, item, "stopped", error)

        return inherit


class Entities:
    """All kinds of entities of a system; each kind is known by its actor class."""

    def __init__(self, system: "ActorSystem") -> None:
        self._system = system
        self._top: Cell | None = None
        self._kinds: dict[type, EntityKind] = {}

    def ref(self, kind: "type[Actor]", entity_id: str) -> EntityRef:
        """Return the entity `entity_id` of `kind`, whether it is active or not.

        A kind that was not registered is made by calling the class with the id.
        """
        found = self._kinds.get(kind)
        if found is None:
            found = self.register(kind)
        return EntityRef(found, entity_id)

    def register(
        self,
        kind: "type[Actor]",
        factory: "Callable[[str], Actor] | None" = None,
        *,
        idle_s: float = 120.0,
        mailbox: Mailbox | None = None,
        backoff: Backoff | None = None,
    ) -> EntityKind:
        """Say how entities of `kind` are made and how long they may idle."""
        made = EntityKind(
            partial(self._supervisor, kind.__name__),
            factory or kind,
            idle_s=idle_s,
            mailbox=mailbox,
            backoff=backoff,
        )
        self._kinds[kind] = made
        return made

    def close(self) -> None:
        """Passivate nobody any more: the system is over."""
        for kind in self._kinds.values():
            kind.close()

    def _supervisor(self, name: str) -> Cell:
        """Start the supervisor of a kind, and the one of all kinds if need be."""
        if self._top is None or self._top.stopped:
            self._top = _started(self._system.root, "entities")
        return _started(self._top, name)


def _started(parent: Cell, name: str) -> Cell:
    assert parent.children is not None
    cell = parent.children.add(
        SupervisorSpec(id=name, strategy="dynamic", restarts_max=100),
    )
    lifecycle.go(cell, lifecycle.start(cell))
    return cell
