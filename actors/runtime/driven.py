"""Loops that own time and chance: the test kit's."""

from abc import abstractmethod
from asyncio import AbstractEventLoop
from random import Random
from typing import TYPE_CHECKING

from ...events.wall import KeepsTime

if TYPE_CHECKING:
    from .clock import Clock
    from .pump import Pump


class DrivenLoop(AbstractEventLoop, KeepsTime):
    """An event loop that decides what a system leaves open.

    A system entered in one takes its clock, its chance and its pump from it, unless
    it was given a clock or a seed of its own.
    """

    clock: "Clock"
    """The loop's own time."""
    pump_class: "type[Pump]"
    """Gives the actors of a system their turns, in an order of the loop's choice."""

    @abstractmethod
    def new_random(self) -> Random:
        """Return a source of chance that follows from the loop's seed."""

    @abstractmethod
    async def quiet(self) -> None:
        """Wait until nothing is left to do but to let time pass."""
