"""The guards of a process by name, built from configuration."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from ..breakers import Breakers, Outcomes
from ..limits import RateLimit
from ..not_open import NotOpenError
from ..retries import Classifier, RetryBudget, Retrying
from ..runtime import ActorSystem
from ..runtime.clock import sleep
from .config import GuardConfig
from .guard import Guard


class NoSuchGuardError(NotOpenError):
    """There is no guard of this name."""

    kind = "guard"


class Guards(Mapping[str, Guard]):
    """Opens guards by name; their breakers are those of the registry of breakers.

    With a system that has a log, breakers are event-sourced and time is the
    system's. `configs` holds plain settings by name, as from TOML, which come
    before those that the code gives. Raises `SettingsError`.
    """

    def __init__(
        self,
        system: ActorSystem | None = None,
        configs: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        breakers: Breakers | None = None,
    ) -> None:
        self._system = system
        self._breakers = Breakers(system) if breakers is None else breakers
        self._configs = {
            name: GuardConfig.from_dict(plain)
            for name, plain in (configs or {}).items()
        }
        self._guards: dict[str, Guard] = {}

    async def open(
        self,
        name: str,
        config: GuardConfig | None = None,
        *,
        outcomes: Outcomes | None = None,
        classifier: Classifier | None = None,
        budget: RetryBudget | None = None,
    ) -> Guard:
        """Return the guard of this name; the first call says what it consists of."""
        found = self._guards.get(name)
        if found is not None:
            return found
        config = self._configs.get(name, config) or GuardConfig()
        breaker = None
        if config.breaker is not None:
            breaker = await self._breakers.open(name, config.breaker, outcomes)
        if name not in self._guards:  # another may have opened it meanwhile
            self._guards[name] = Guard(
                name,
                config,
                breaker=breaker,
                rate_limit=self._rate_limit(name, config),
                retrying=self._retrying(config, classifier, budget),
            )
        return self._guards[name]

    def _rate_limit(self, name: str, config: GuardConfig) -> RateLimit | None:
        if config.rate_limit is None or self._system is None:
            return None
        clock = self._system.clock
        wait = partial(sleep, clock)
        return RateLimit(name, config.rate_limit, clock=clock.now_s, sleep=wait)

    def _retrying(
        self,
        config: GuardConfig,
        classifier: Classifier | None,
        budget: RetryBudget | None,
    ) -> Retrying | None:
        if config.retry is None:
            return None
        if self._system is None:
            return Retrying(config.retry, classifier, budget=budget)
        clock = self._system.clock
        return Retrying(
            config.retry,
            classifier,
            budget=budget,
            sleep=partial(sleep, clock),
            clock=clock.now_s,
            draw=self._system.random.random,
        )

    def __getitem__(self, name: str) -> Guard:
        """Return an open guard. Raises `NoSuchGuardError`."""
        try:
            return self._guards[name]
        except KeyError:
            raise NoSuchGuardError(name, sorted(self._guards)) from None

    def __iter__(self) -> Iterator[str]:
        """Go through the names in the order they were opened."""
        return iter(self._guards)

    def __len__(self) -> int:
        """Count the open guards."""
        return len(self._guards)
