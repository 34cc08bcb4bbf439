"""Failures that go through many actors say what they began with, once."""

import itertools

import pytest

from dramaturg.actors.runtime import (
    ActorSystem,
    AnySpec,
    ChildSpec,
    SupervisorSpec,
    TreeTooDeepError,
)
from dramaturg.actors.runtime.children import DEPTH_MAX

from ..runtime.actors import AskFail, Counter, spec

LEVELS = 40


@pytest.mark.asyncio
async def test_an_escalated_error_is_quoted_once_however_many_levels_it_climbs() -> (
    None
):
    tree: AnySpec = spec("leaf", Counter)
    for level in range(LEVELS):
        tree = SupervisorSpec(id=f"s{level}", children=[tree], restarts_max=0)
    path = "".join(f"/s{level}" for level in reversed(range(LEVELS)))

    async with ActorSystem() as system:
        await system.spawn(tree)
        with pytest.raises(ValueError, match="AskFail"):
            await system.ref(f"{path}/leaf").ask(AskFail())
        await system.settled()
        failure = system.tree().children[0].failure

    assert "/s39 gives up" in failure
    assert "last s38 (ValueError('AskFail'))" in failure


@pytest.mark.asyncio
async def test_an_error_is_quoted_once_however_many_links_it_goes_through() -> None:
    names = [f"a{n}" for n in range(LEVELS)]
    async with ActorSystem() as system:
        refs = [
            await system.spawn(ChildSpec(id=n, factory=Counter, restart="temporary"))
            for n in names
        ]
        for one, other in itertools.pairwise(refs):
            system.link(one, other)
        last = system.cell(f"/{names[-1]}")
        with pytest.raises(ValueError, match="AskFail"):
            await refs[0].ask(AskFail())
        await system.settled()

    assert str(last.error) == "the linked actor /a38 ended: ValueError('AskFail')"


@pytest.mark.asyncio
async def test_a_tree_can_be_as_deep_as_its_limit() -> None:
    tree: AnySpec = spec("leaf", Counter)
    for _ in range(DEPTH_MAX - 1):
        tree = SupervisorSpec(id="s", children=[tree])
    async with ActorSystem() as system:
        await system.spawn(tree)

        assert len(list(system.cells())) == DEPTH_MAX + 1
        await system.stop(system.ref("/s"))
        assert len(list(system.cells())) == 1


@pytest.mark.asyncio
async def test_no_actor_has_children_further_down_than_the_limit() -> None:
    async with ActorSystem() as system:
        ref = await system.spawn(spec("a", Counter))
        for _ in range(DEPTH_MAX - 1):
            ref = await system.spawn(spec("a", Counter), under=ref)
        for deeper in (spec("a", Counter), SupervisorSpec(id="s")):
            with pytest.raises(TreeTooDeepError, match="further up"):
                await system.spawn(deeper, under=ref)

        assert len(list(system.cells())) == DEPTH_MAX + 1
