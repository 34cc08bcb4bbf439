"""Chaos: bursts of failure that come from a seed and take up the wanted time."""

import asyncio
import itertools
from collections.abc import Sequence

import msgspec
import pytest

from dramaturg.applications.documents.chaos import ChaosGraph, ChaosRateError
from dramaturg.applications.documents.entities import Entities
from dramaturg.applications.documents.errors import GraphUnavailableError
from dramaturg.applications.documents.graph import NOTHING, Found, GraphDocument
from dramaturg.events.log.artifacts import Artifact

pytestmark = pytest.mark.asyncio
DOCUMENT = GraphDocument("k", "text", "t", "c", Artifact("d", 1))


class Calls:
    """A graph that only counts."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def write(self, key: str, change: GraphDocument) -> msgspec.Raw:
        self.calls.append(f"write {key} {change.key}")
        return NOTHING

    async def undo(self, key: str, change: GraphDocument) -> None:
        self.calls.append(f"undo {key} {change.key}")

    async def look(self, key: str) -> tuple[Found, msgspec.Raw]:
        self.calls.append(f"look {key}")
        return "absent", NOTHING

    async def read(self, key: str) -> Entities | None:
        self.calls.append(f"read {key}")
        return None


class Clock:
    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


async def outcomes(rate: float, seed: int, seconds: Sequence[float]) -> list[str]:
    """Call at each of these times and say what came of it."""
    clock, graph = Clock(), Calls()
    chaos = ChaosGraph(graph, rate, seed, now_s=clock)
    found: list[str] = []
    for clock.s in seconds:
        before = len(graph.calls)
        call = asyncio.ensure_future(chaos.write("s", DOCUMENT))
        for _ in range(3):
            await asyncio.sleep(0)
        if not call.done():
            call.cancel()
            found.append("hangs")
        elif call.exception() is None:
            found.append("works")
        else:
            assert isinstance(call.exception(), GraphUnavailableError)
            found.append("lost" if len(graph.calls) > before else "refused")
    assert chaos.faults == len(found) - found.count("works")
    return found


TIMES = [number / 10 for number in range(20_000)]


async def test_the_graph_fails_for_the_wanted_share_of_time_and_in_every_way() -> None:
    found = await outcomes(0.3, 5, TIMES)

    bad = [outcome != "works" for outcome in found]
    assert 0.25 < sum(bad) / len(bad) < 0.35
    assert {"works", "refused", "lost", "hangs"} == set(found)
    turns = sum(a != b for a, b in itertools.pairwise(bad))
    assert turns < sum(bad) / 2, "failures come in bursts"


async def test_the_same_seed_gives_the_same_failures() -> None:
    times = TIMES[:500]

    assert await outcomes(0.5, 1, times) == await outcomes(0.5, 1, times)
    assert await outcomes(0.5, 1, times) != await outcomes(0.5, 2, times)


async def test_without_chaos_nothing_fails() -> None:
    assert set(await outcomes(0, 1, TIMES[::100])) == {"works"}


async def test_every_call_is_passed_on() -> None:
    graph = Calls()
    chaos = ChaosGraph(graph, 0, 1, now_s=Clock())

    await chaos.write("a", DOCUMENT)
    await chaos.undo("b", DOCUMENT)
    await chaos.look("c")
    await chaos.read("d")

    assert graph.calls == ["write a k", "undo b k", "look c", "read d"]


@pytest.mark.parametrize("rate", [-0.1, 0.95, float("nan")])
async def test_a_rate_that_lets_nothing_finish_is_refused(rate: float) -> None:
    with pytest.raises(ChaosRateError, match="choose another"):
        ChaosGraph(Calls(), rate, 1, now_s=Clock())
