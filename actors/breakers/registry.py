"""The breakers of a process: one for each dependency, or each operation of it."""

from collections.abc import Iterator, Mapping
from typing import Any

import anyio

from ..not_open import NotOpenError
from ..runtime import ActorSystem, Backoff, ChildSpec, Ref, StartChild, SupervisorSpec
from .actor import BreakerActor
from .breaker import Breaker
from .config import BreakerConfig
from .desk import Desk
from .outcomes import Outcomes
from .statistics import Statistics
from .times import SYSTEM_CLOCKS, Clocks

SUPERVISOR = "breakers"


class NoSuchBreakerError(NotOpenError):
    """There is no breaker of this name."""

    kind = "breaker"


class Breakers(Mapping[str, Breaker]):
    """Opens breakers by name and knows them all.

    With a system that has a log, each gets an actor under `/breakers` that logs
    its stream `breaker/<name>`; its state is read back before `open` returns.
    `configs` holds plain settings by name, as from TOML, which come before those
    that the code gives.
    """

    def __init__(
        self,
        system: ActorSystem | None = None,
        configs: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        boot: str | None = None,
    ) -> None:
        self._system = system
        self._clocks = SYSTEM_CLOCKS
        if system is not None:
            clock = system.clock
            self._clocks = Clocks(clock.now_s, clock.now_us, boot, clock.call_later)
        elif boot is not None:
            self._clocks = Clocks(boot=boot)
        self._configs = {
            name: BreakerConfig.from_dict(plain)
            for name, plain in (configs or {}).items()
        }
        self._breakers: dict[str, Breaker] = {}
        self._supervisor: Ref | None = None
        self._lock = anyio.Lock()

    async def open(
        self,
        name: str,
        config: BreakerConfig | None = None,
        outcomes: Outcomes | None = None,
    ) -> Breaker:
        """Return the breaker of this name; the first call says how it judges.

        Name operations of one dependency `storage.upload`, `storage.download`:
        they fail apart.
        """
        async with self._lock:
            found = self._breakers.get(name)
            if found is None:
                config = self._configs.get(name, config)
                found = await self._begin(name, config, outcomes)
                self._breakers[name] = found
        return found

    async def _begin(
        self,
        name: str,
        config: BreakerConfig | None,
        outcomes: Outcomes | None,
    ) -> Breaker:
        system = self._system
        if system is None:
            return Breaker(name, config, outcomes=outcomes, clocks=self._clocks)
        desk = Desk(name) if system.log is not None else None
        breaker = Breaker(
            name,
            config,
            outcomes=outcomes,
            recorder=desk,
            clocks=self._clocks,
            draw=system.random.random,
        )
        if desk is not None:
            await self._spawn(system, breaker, desk)
        return breaker

    async def _spawn(self, system: ActorSystem, breaker: Breaker, desk: Desk) -> None:
        """Start the actor, and wait until it has read the state."""
        if self._supervisor is None:
            self._supervisor = await system.spawn(SupervisorSpec(id=SUPERVISOR))
        spec = ChildSpec(
            id=breaker.name,
            factory=lambda: BreakerActor(breaker, desk),
            backoff=Backoff(),
        )
        await self._supervisor.ask(StartChild(spec))
        await desk.durable()

    def __getitem__(self, name: str) -> Breaker:
        """Return an open breaker. Raises `NoSuchBreakerError`."""
        try:
            return self._breakers[name]
        except KeyError:
            raise NoSuchBreakerError(name, sorted(self._breakers)) from None

    def __iter__(self) -> Iterator[str]:
        """Go through the names in the order they were opened."""
        return iter(self._breakers)

    def __len__(self) -> int:
        """Count the open breakers."""
        return len(self._breakers)

    def statistics(self) -> tuple[Statistics, ...]:
        """Return the statistics of all breakers."""
        return tuple(breaker.statistics() for breaker in self.values())
