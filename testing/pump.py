"""A pump whose every choice is the seed's."""

from asyncio import AbstractEventLoop
from math import inf
from random import Random
from typing import TYPE_CHECKING, Protocol, cast

from ..actors.runtime.pump import INLINE_MAX, MESSAGES_MAX, Pump

if TYPE_CHECKING:
    from ..actors.runtime import ActorSystem, Clock
    from ..actors.runtime.cell import Cell
    from ..actors.runtime.dead_messages import DeadMessages
    from ..actors.runtime.mailbox import Item


class Seeded(Protocol):
    """What the pump wants of its loop."""

    chance: Random | None

    def joined(self, system: "ActorSystem") -> None:
        """Know a system that runs here from now on."""
        ...

    def note(self, what: str) -> None:
        """Take `what` down in the trace."""
        ...


class SeededPump(Pump):
    """Picks among the ready actors, and where to break off.

    A turn is of one message up to the usual limit, and after any turn the slice may
    be over. An ask of an idle actor is answered in the asker's turn or in one of the
    actor's own. Order within a mailbox is kept, and with it the order between any
    pair of actors. No clock is looked at.
    """

    __slots__ = ("_chance", "_left", "_note")

    def __init__(
        self,
        system: "ActorSystem",
        loop: AbstractEventLoop,
        clock: "Clock",
        dead_messages: "DeadMessages",
    ) -> None:
        seeded = cast("Seeded", loop)
        self._chance = seeded.chance
        self._note = seeded.note
        self._left = INLINE_MAX
        super().__init__(system, loop, clock, dead_messages)
        self.until_s = -inf  # no turn is longer because nobody else is ready
        seeded.joined(system)

    @property
    def inline(self) -> int:
        """How many asks may yet be answered in the askers' turns, this one or not."""
        chance = self._chance
        return 0 if chance is not None and chance.random() < 0.5 else self._left

    @inline.setter
    def inline(self, left: int) -> None:
        known = self._left  # `left` was counted down from it, or from 0
        self._left = left if left == INLINE_MAX else max(left, known - 4)

    def run(self) -> None:
        """Give turns until chance ends the slice: the loop's call."""
        ready, chance = self.ready, self._chance
        self.turns += 1
        self.inline = INLINE_MAX
        try:
            while ready:
                if chance is not None:
                    self._draw(chance)
                cell = ready.popleft()
                if cell.gate and not self._attend(cell):
                    self._note(f"{cell.path} attended")
                else:
                    box = cell.box
                    if box.__class__ is list:
                        self._note(f"{cell.path} {self._worked_off(cell, box)}")
                if chance is not None and chance.random() < 0.5:
                    break
        finally:  # also when a handler wants the process to end
            if ready:
                self.loop.call_soon(self.run, context=self.base)
            else:
                self.parked = True

    def _worked_off(self, cell: "Cell", box: "list[Item]") -> int:
        if len(box) == 1 and cell.batch is None:
            self.one(cell, box)
            return 1
        return self.several(cell, box)

    def _draw(self, chance: Random) -> None:
        """Put the actor that is next first, and say how far it may go."""
        if len(self.ready) > 1:
            self.ready.rotate(-chance.randrange(len(self.ready)))
        self.budget = 1 + int(MESSAGES_MAX * chance.random() ** 3)  # mostly few
