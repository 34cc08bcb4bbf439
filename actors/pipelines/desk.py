"""Where callers wait: for the end of an item, for room, for everything to be over."""

from asyncio import Future, get_running_loop
from collections import deque
from collections.abc import Iterable

from .item import Item

Waiter = Future[Item | None]


class Desk:
    """Wakes callers when it may be worth their while to look again.

    It is shared by a pipeline's actor and the callers in the same loop, outlives
    restarts of the actor, and decides nothing: who is woken asks the actor or the
    log for what is so. Every method is for the loop's thread.
    """

    def __init__(self) -> None:
        self._ends: dict[str, list[Waiter]] = {}
        self._room: deque[Waiter] = deque()
        self._idle: list[Waiter] = []

    def waiter(self, stream: str) -> Waiter:
        """Return what is woken when an item has ended, with its last state.

        It is woken with None when the item should be looked for again.
        """
        waiter: Waiter = get_running_loop().create_future()
        self._ends.setdefault(stream, []).append(waiter)
        return waiter

    def dismiss(self, stream: str, waiter: Waiter) -> None:
        """Take a waiter back that nobody waits for any more."""
        waiters = self._ends.get(stream, [])
        if waiter in waiters:
            waiters.remove(waiter)
            if not waiters:
                del self._ends[stream]

    async def room(self) -> None:
        """Wait for a sign that one more item may be admitted, first come first woken."""
        waiter: Waiter = get_running_loop().create_future()
        self._room.append(waiter)
        try:
            await waiter
        except BaseException:
            if waiter.done() and not waiter.cancelled():
                self.has_room(1)  # pass it on: it was not used
            raise

    def idle(self) -> Waiter:
        """Return what is woken when it seems that no item goes on by itself."""
        waiter: Waiter = get_running_loop().create_future()
        self._idle = [each for each in self._idle if not each.done()]
        self._idle.append(waiter)
        return waiter

    def has_ended(self, stream: str, item: Item | None) -> None:
        """Wake those who wait for an item."""
        _wake(self._ends.pop(stream, ()), item)

    def has_room(self, items: int) -> None:
        """Wake as many producers as there is room for items."""
        while items > 0 and self._room:
            waiter = self._room.popleft()
            if not waiter.done():
                waiter.set_result(None)
                items -= 1

    def is_idle(self) -> None:
        """Wake those who wait for everything to be over."""
        waiters, self._idle = self._idle, []
        _wake(waiters)

    def look_again(self, room: int) -> None:
        """Wake everybody, since the actor has started anew and signs may be lost."""
        for stream in tuple(self._ends):
            self.has_ended(stream, None)
        self.has_room(room)
        self.is_idle()

    def close(self) -> None:
        """Wake everybody at the end: whoever asks again gets an error, not silence."""
        self.look_again(len(self._room))


def _wake(waiters: Iterable[Waiter], item: Item | None = None) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(item)
