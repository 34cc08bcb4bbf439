"""The inbox of a cell: what waits there, and whether it may be worked off.

A cell owns no task and, while idle, no mailbox. `box` says how it stands:

* None: idle, nothing waits. `tell` makes a list and puts the cell in the pump's
  ready queue.
* a list: it is in the ready queue, or at work, or its `gate` is shut. Senders
  append; the pump swaps the list out and works through it (`batch`).
* a `DeadBox`: it has stopped for good.

`gate` is 0 while messages may be worked off. `BUSY`: a handler is suspended, a
worker carries it. `HELD`: the actor is not up (starting, failed, suspended, backing
off, stopping) or waits for its journal; messages wait. `SIGNALS`: calls of the runtime
are due, which overtake messages and run even while the cell is busy or held; the cell
is then in the ready queue. A cell may stand in the ready queue twice; the second time
does nothing.
"""

from collections.abc import Callable, Iterator
from itertools import chain, takewhile
from operator import length_hint
from typing import TYPE_CHECKING, Final

from .errors import ActorStoppedError
from .extras import NO_EXTRAS, Extras
from .mailbox import DeadBox, Item, bury, is_control, overflowed
from .messages import Message
from .origin import Origin
from .refs import Ref
from .waiting import Waiting

if TYPE_CHECKING:
    from .pump import Pump
    from .spec import AnySpec

BUSY: Final = 1
HELD: Final = 2
SIGNALS: Final = 4


class Inbox(Ref):
    """The part of a cell that takes messages in."""

    __slots__ = (
        "batch",
        "box",
        "extras",
        "gate",
        "pump",
        "room",
        "signals",
        "spec",
        "waiting",
    )

    pump: "Pump"
    spec: "AnySpec"
    box: "list[Item] | DeadBox | None"
    batch: Iterator[Item] | None
    gate: int
    room: int
    """How long `box` may grow before the bound must be looked at closely."""
    signals: list[Callable[[], None]] | None
    waiting: Waiting | None
    """Who waits until there is room, or until the handler has ended."""
    extras: Extras

    def own_extras(self) -> Extras:
        """Return what few cells have, to be changed."""
        if self.extras is NO_EXTRAS:
            self.extras = Extras()
        return self.extras

    def tell(self, message: Message, origin: Origin | None = None) -> None:
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
            self.overflow(item)

    async def offer(self, message: Message, origin: Origin | None = None) -> None:
        """Wait until there is room in the mailbox, then tell.

        Who waits is served in order.
        """
        waiting = self.waiting
        if self.full or (waiting is not None and waiting.places):
            await self.queue().for_room()
        self.tell(message, origin=origin)

    def overflow(self, item: Item) -> None:
        """Put `item` in a mailbox that seems full, as its policy says."""
        box = self.box
        if isinstance(box, list):
            overflowed(self, box, item)

    @property
    def depth(self) -> int:
        """How many messages wait."""
        batch = 0 if self.batch is None else length_hint(self.batch)
        return batch + (0 if self.box is None else len(self.box))

    @property
    def full(self) -> bool:
        """Whether what is told now finds no room."""
        return self.depth >= self.spec.mailbox.capacity and not self.stopped

    @property
    def busy(self) -> bool:
        """Whether a handler is suspended."""
        return bool(self.gate & BUSY)

    def take_oldest(self) -> Item | None:
        """Take out what has waited longest, but nothing of the runtime's own."""
        batch, box = self.batch or iter(()), self.box
        assert isinstance(box, list)
        kept: list[Item] = []
        found: Item | None = None
        for item in batch:
            if not is_control(item):
                found = item
                break
            kept.append(item)
        if kept:
            self.batch = iter([*kept, *batch])
        if found is None:
            places = (n for n, item in enumerate(box) if not is_control(item))
            place = next(places, None)
            found = None if place is None else box.pop(place)
        return found

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
        rest = [*items, *(self.batch or ())]
        self.batch = iter(rest)
        self.room = min(self.room, self.spec.mailbox.capacity - len(rest))
        self._nudge()

    def put_news(self, item: Item) -> None:
        """Put `item` before all that waits, but behind the news that came before it."""
        kind = type(item)
        waiting = list(self.batch or ())
        news = list(takewhile(lambda each: type(each) is kind, waiting))
        self.batch = iter(waiting[len(news) :])
        self.put_first([*news, item])

    def deliver(self, item: Item) -> None:
        """Put `item` in the mailbox whatever its bound: it is counted elsewhere."""
        if self.box is None:
            self.box = [item]
            self.pump.schedule(self)
        else:
            self.box.append(item)

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

    def queue(self) -> Waiting:
        """Return those who wait, made if there is nobody yet."""
        waiting = self.waiting
        if waiting is None:
            waiting = self.waiting = Waiting(self)
        return waiting

    def notify(self) -> None:
        """Wake those who wait, as far as there is something for them."""
        waiting = self.waiting
        if waiting is not None:
            waiting.notify()
            if not waiting:
                self.waiting = None
