"""Who waits at a mailbox: for room, in order, or for the end of a handler."""

from asyncio import Future
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .inbox import Inbox


class Place:
    """A place in the queue for room; it is kept until its holder has told."""

    __slots__ = ("turn",)

    def __init__(self, turn: "Future[None]") -> None:
        self.turn = turn
        """Done when it is worth looking again."""


class Waiting:
    """All who wait at one mailbox; there is none where nobody does."""

    __slots__ = ("_ends", "_inbox", "places")

    def __init__(self, inbox: "Inbox") -> None:
        self._inbox = inbox
        self._ends: list[Future[None]] = []
        self.places: deque[Place] = deque()
        """Who waits for room, first come, first served."""

    def __bool__(self) -> bool:
        """Tell whether anybody waits."""
        return bool(self._ends or self.places)

    async def for_end(self) -> None:
        """Wait until something was worked off here, or a handler has ended."""
        waiter: Future[None] = self._inbox.pump.loop.create_future()
        self._ends.append(waiter)
        await waiter

    async def for_room(self) -> None:
        """Wait until it is one's turn and there is room, or the actor has stopped."""
        inbox, places = self._inbox, self.places
        loop = inbox.pump.loop
        place = Place(loop.create_future())
        places.append(place)
        try:
            while True:
                await place.turn
                if inbox.stopped or (places[0] is place and not inbox.full):
                    break
                place.turn = loop.create_future()
        except BaseException:
            places.remove(place)
            inbox.notify()  # the turn may have been given: it passes on
            raise
        places.remove(place)

    def notify(self) -> None:
        """Wake who waits for an end, and as many as there is room for."""
        ends, self._ends = self._ends, []
        inbox, places = self._inbox, self.places
        room = inbox.spec.mailbox.capacity - inbox.depth
        turns = (place.turn for place in islice(places, max(0, room)))
        if inbox.stopped:
            turns = (place.turn for place in places)
        for waiter in (*ends, *turns):
            if not waiter.done():
                waiter.set_result(None)
