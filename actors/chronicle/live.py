"""What a chronicle would tell, of a system in this process and of this moment."""

import os
from typing import TYPE_CHECKING, Self

from ...events.actors import ActorsCounted, SystemStarted
from .look import counted
from .news import News, listen
from .state import SystemState, changes, evolve

if TYPE_CHECKING:
    from ..runtime import ActorSystem


class LiveActors:
    """The same state as the one in the log, by the same fold, without a log.

    It hears of failures and restarts from its making to its end::

        with LiveActors(system) as live:
            ...
            for path, actor in live.look().actors.items():
                print(path, actor.count.depth, actor.rate_per_s, actor.failure)
    """

    def __init__(self, system: "ActorSystem", *, actors_max: int = 10_000) -> None:
        self._system = system
        self._actors_max = actors_max
        started = SystemStarted(system.clock.now_us(), os.getpid())
        self._state = evolve(SystemState(system.name), started)
        self._end = listen(system, self._hear)

    def _hear(self, news: News) -> None:
        self._state = evolve(self._state, news)

    def look(self) -> SystemState:
        """Take a census and return it; rates are those since the last look."""
        counts, omitted = counted(self._system, self._actors_max)
        changed, gone = changes(self._state, counts)
        at_us = self._system.clock.now_us()
        census = ActorsCounted(at_us, changed, gone, omitted)
        self._state = evolve(self._state, census)
        return self._state

    def close(self) -> None:
        """Hear no more."""
        self._end()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Hear no more."""
        self.close()
