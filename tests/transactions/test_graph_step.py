"""The graph step over a store in memory that keeps the protocol."""

import msgspec
import pytest

from dramaturg.actors.transactions import Call, FencedError
from dramaturg.actors.transactions.fence import Fence
from dramaturg.actors.transactions.news import Found
from dramaturg.actors.transactions.steps.graph import GraphStep

pytestmark = pytest.mark.asyncio


class Node(msgspec.Struct, frozen=True, gc=False):
    name: str


class Store:
    def __init__(self) -> None:
        self.written: dict[str, msgspec.Raw] = {}
        self.fenced: set[str] = set()
        self.nodes: list[str] = []

    async def write(self, key: str, change: Node) -> msgspec.Raw:
        if key in self.fenced:
            raise FencedError(key)
        if key not in self.written:
            self.nodes.append(change.name)
            self.written[key] = msgspec.Raw(b"%d" % len(self.nodes))
        return self.written[key]

    async def undo(self, key: str, change: Node) -> None:
        if self.written.pop(key, None) is not None:
            self.nodes.remove(change.name)
        self.fenced.add(key)

    async def look(self, key: str) -> tuple[Found, msgspec.Raw]:
        if key in self.fenced:
            return "unknown", msgspec.Raw(b"null")
        found: Found = "done" if key in self.written else "absent"
        return found, self.written.get(key, msgspec.Raw(b"null"))


def call() -> Call:
    return Call("transaction/main/01", 2, 1, Fence("01#2"))


async def test_a_change_is_written_once_and_taken_back_once() -> None:
    store = Store()
    step = GraphStep("node", Node, store)
    args = Node("n")
    undo = await step.prepare(args, call())
    assert (await step.query(args, undo, call())).found == "absent"

    first = await step.run(args, undo, call())
    assert await step.run(args, undo, call()) == first
    assert store.nodes == ["n"]
    answer = await step.query(args, undo, call())
    assert (answer.step, answer.found, answer.result) == (2, "done", first)

    await step.compensate(args, undo, call())
    await step.compensate(args, undo, call())
    assert store.nodes == []
    with pytest.raises(FencedError):
        await step.run(args, undo, call())
    assert (await step.query(args, undo, call())).found == "unknown"
