"""A graph that fails in bursts, to see that the pipeline does not mind."""

import random
from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

import anyio
import msgspec

from .entities import Entities
from .errors import DocumentError, GraphUnavailableError
from .graph import Found, Graph, GraphDocument

Fault = Literal["refuses", "hangs", "loses the answer"]
"""How the graph fails in a burst.

Refusing changes nothing; hanging goes on until the caller gives up; a lost answer comes
after the work is done, so that doing it again must do no harm.
"""

BURST_MEAN_S = 1.0
RATE_MAX = 0.9
"""At more, nothing would ever finish."""
_FAULTS: tuple[Fault, ...] = ("refuses", "hangs", "loses the answer")
_WEIGHTS = (6, 1, 2)
R = TypeVar("R")


class ChaosRateError(DocumentError):
    """The share of bad time is not between 0 and `RATE_MAX`."""


class ChaosGraph:
    """Stands before a graph and spoils it for `rate` of the time.

    Good and bad times follow each other, of random length; `seed` fixes them and the
    kinds of failure. `now_s` is a monotonic clock.
    """

    def __init__(
        self,
        graph: Graph,
        rate: float,
        seed: int | None,
        *,
        now_s: Callable[[], float],
        burst_mean_s: float = BURST_MEAN_S,
    ) -> None:
        if not 0 <= rate <= RATE_MAX:
            raise ChaosRateError(
                f"a chaos rate of {rate} is not between 0 and {RATE_MAX}: choose another"
            )
        self._graph = graph
        self._rate = rate
        self._random = random.Random(seed)  # noqa: S311 - faults need no secrecy
        self._now_s = now_s
        self._burst_mean_s = burst_mean_s
        self._bad = False
        self._until_s = now_s() + self._good_s()
        self.faults = 0
        """How many calls have been spoilt."""

    async def write(self, key: str, change: GraphDocument) -> msgspec.Raw:
        """See `Graph.write`."""
        return await self._spoil(lambda: self._graph.write(key, change))

    async def undo(self, key: str, change: GraphDocument) -> None:
        """See `Graph.undo`."""
        await self._spoil(lambda: self._graph.undo(key, change))

    async def look(self, key: str) -> tuple[Found, msgspec.Raw]:
        """See `Graph.look`."""
        return await self._spoil(lambda: self._graph.look(key))

    async def read(self, key: str) -> Entities | None:
        """See `Graph.read`."""
        return await self._spoil(lambda: self._graph.read(key))

    async def _spoil(self, call: Callable[[], Awaitable[R]]) -> R:
        fault = self._fault()
        if fault is None:
            return await call()
        self.faults += 1
        if fault == "hangs":
            await anyio.sleep_forever()
        if fault == "loses the answer":
            await call()
        raise GraphUnavailableError(f"the graph {fault}, as chaos wants it")

    def _fault(self) -> Fault | None:
        now_s = self._now_s()
        while now_s >= self._until_s:
            self._bad = not self._bad
            mean_s = self._burst_mean_s
            drawn_s = self._random.expovariate(1 / mean_s) if self._bad else None
            self._until_s += self._good_s() if drawn_s is None else drawn_s
        if not self._bad:
            return None
        return self._random.choices(_FAULTS, _WEIGHTS)[0]

    def _good_s(self) -> float:
        """Draw the length of a good time, so that bad ones make up the rate."""
        if self._rate == 0:
            return float("inf")
        mean_s = self._burst_mean_s * (1 - self._rate) / self._rate
        return self._random.expovariate(1 / mean_s)
