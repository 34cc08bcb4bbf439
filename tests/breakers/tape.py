"""A journal that is durable whenever it is asked, and processes that write it."""

from functools import reduce

from dramaturg.actors.breakers import Breaker, BreakerConfig, BreakerState, evolve
from dramaturg.actors.breakers.actions import Action, obey
from dramaturg.actors.breakers.outbox import Outbox
from dramaturg.events import Event

from .clock import Hands


class Tape:
    """Does what the actor does, without an actor: one life of a process."""

    def __init__(
        self, config: BreakerConfig, hands: Hands, events: list[Event] | None = None
    ) -> None:
        self.hands = hands
        self.writable = True
        self.events = events if events is not None else []
        """What is durable."""
        self.outbox = Outbox()
        self.look_us: int | None = None
        self.breaker = Breaker(
            "db",
            config,
            recorder=self,
            clocks=hands.clocks,
            draw=lambda: 0.0,
        )
        self.machine = self.breaker.machine
        self.machine.load(self.replayed(), hands.now)
        self.write()

    def replayed(self) -> BreakerState:
        return reduce(evolve, self.events, BreakerState("db"))

    def add(self, event: Event) -> None:
        self.outbox.add(event)

    def due(self, after_s: float) -> None:
        due_us = self.hands.us + round(after_s * 1e6)
        self.look_us = due_us if self.look_us is None else min(due_us, self.look_us)

    def write(self) -> None:
        """Log what waits until nothing does."""
        if self.look_us is not None and self.look_us <= self.hands.us:
            self.look_us = None
            self.machine.tick(self.hands.now)
        while self.outbox.waiting:
            events = self.outbox.take(self.machine.state, self.hands.wall_us())
            self.events.extend(events)
            for event in events:
                assert self.outbox.confirm() is event
                self.machine.confirm(event, self.hands.now)

    def pass_s(self, seconds: float) -> None:
        until_us = self.hands.us + round(seconds * 1e6)
        while self.look_us is not None and self.look_us <= until_us:
            self.hands.us = max(self.hands.us, self.look_us)
            self.write()
        self.hands.us = until_us

    async def durable(self) -> None:
        self.write()

    async def obey(self, action: Action) -> None:
        obey(self.machine, action, self.hands.now)
        self.write()
