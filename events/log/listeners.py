"""Who is told when something about the log changes."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Listeners(Generic[T]):
    """Callbacks that are told a value, in the order in which they were added."""

    __slots__ = ("_callbacks",)

    def __init__(self) -> None:
        self._callbacks: dict[object, Callable[[T], None]] = {}

    def add(self, callback: Callable[[T], None]) -> Callable[[], None]:
        """Add a callback; the function returned takes it off again."""
        entry = object()
        self._callbacks[entry] = callback

        def remove() -> None:
            self._callbacks.pop(entry, None)

        return remove

    def tell(self, value: T) -> None:
        """Call all of them; those added meanwhile hear the next value."""
        for callback in tuple(self._callbacks.values()):
            callback(value)


class Telling:
    """The part of a log that tells those who listen."""

    def __init__(self) -> None:
        self._availability: Listeners[bool] = Listeners()
        self._congestion: Listeners[bool] = Listeners()
        self._commits: Listeners[int] = Listeners()

    def on_availability(
        self,
        listener: Callable[[bool], None],
    ) -> Callable[[], None]:
        """Be told of failure and recovery; see `EventLog.on_availability`."""
        return self._availability.add(listener)

    def on_congestion(self, listener: Callable[[bool], None]) -> Callable[[], None]:
        """Be told of the limit of unwritten events; see `EventLog.on_congestion`."""
        return self._congestion.add(listener)

    def on_commit(self, listener: Callable[[int], None]) -> Callable[[], None]:
        """Be told of durable positions; see `EventLog.on_commit`."""
        return self._commits.add(listener)
