"""A node's claims as its loop sees them, without a server."""

import asyncio
from collections.abc import Sequence

import pytest

from dramaturg.events.log import LogUnavailableError, LogUnreadableError
from dramaturg.events.log.postgres.claiming import Claims
from dramaturg.events.log.postgres.claims import Taken


class Node:
    """A node whose server says what it is told to say."""

    def __init__(self, *answers: Taken | Exception) -> None:
        self.node, self.epoch, self.available = "n", 1, True
        self.asked: list[tuple[int, list[str], list[str]]] = []
        self.fenced = 0
        self._answers = list(answers)
        self.claims = Claims(self, self._ask, self._stale, every_s=0.001)

    async def _ask(
        self, epoch: int, names: Sequence[str], released: Sequence[str]
    ) -> Taken:
        self.asked.append((epoch, [*names], [*released]))
        answer = self._answers.pop(0) if self._answers else Taken(names, alive=True)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _stale(self) -> None:
        self.fenced += 1
        self.epoch += 1


@pytest.mark.asyncio
async def test_a_claim_that_could_not_be_asked_for_is_asked_for_again() -> None:
    node = Node(LogUnreadableError("no"), Taken([], alive=True))
    node.claims.release("a")

    await node.claims.claim("b")

    assert node.asked == [(1, ["b"], ["a"]), (1, ["b"], ["a"]), (1, ["b"], [])]


@pytest.mark.asyncio
async def test_a_fenced_node_claims_in_its_next_epoch() -> None:
    node = Node(Taken([], alive=False))

    await node.claims.claim("b")

    assert node.fenced == 1
    assert [epoch for epoch, _, _ in node.asked] == [1, 2]


@pytest.mark.asyncio
async def test_nothing_is_asked_while_the_log_is_away() -> None:
    node = Node()
    node.available = False
    node.claims.release("a")
    waiting = asyncio.create_task(node.claims.claim("b"))
    await asyncio.sleep(0.01)
    assert node.asked == []

    node.available = True
    node.epoch = 2
    await waiting

    assert node.asked == [(2, ["b"], [])]  # with its epoch all else was given up


@pytest.mark.asyncio
async def test_all_who_want_a_name_get_it_and_who_waits_at_the_end_is_refused() -> None:
    node = Node()
    await asyncio.gather(node.claims.claim("a"), node.claims.claim("a"))
    assert node.asked == [(1, ["a"], [])]

    node.available = False
    waiting = asyncio.create_task(node.claims.claim("b"))
    await asyncio.sleep(0)
    await node.claims.close()
    with pytest.raises(LogUnavailableError, match="the log is closed"):
        await waiting
    await node.claims.close()


@pytest.mark.asyncio
async def test_a_log_is_closed_once_it_has_its_answer() -> None:
    node = Node()
    answer = asyncio.Event()
    asked = asyncio.Event()

    async def ask(*_: object) -> Taken:
        asked.set()
        await answer.wait()
        raise LogUnreadableError("too late to be of interest")

    node.claims = Claims(node, ask, lambda: None, every_s=0.001)
    node.claims.release("a")
    await asked.wait()
    closing = asyncio.create_task(node.claims.close())
    for _ in range(3):
        await asyncio.sleep(0)
    assert not closing.done(), "a thread is at work in the database"

    answer.set()
    await closing
