"""Steps in a graph database, through a store that fences inside its transactions."""

from typing import Generic, Protocol, TypeVar

import msgspec

from ....events.transactions import InDoubt
from ..news import Answered, Found
from ..step import Call, Nothing, Step

A = TypeVar("A", bound=msgspec.Struct)
C_contra = TypeVar("C_contra", contravariant=True)


class GraphStore(Protocol[C_contra]):
    """What a graph database has to offer, each method being one transaction in it.

    The store keeps a node or row per key beside the data: written, with its result,
    or fenced. `C_contra` is the class of the changes it understands.
    """

    async def write(self, key: str, change: C_contra) -> msgspec.Raw:
        """Apply `change` under `key` and return its result as JSON.

        A key that was written already only returns the result it had then. Raises
        `FencedError`, without any change, for a key that is fenced.
        """
        ...

    async def undo(self, key: str, change: C_contra) -> None:
        """Take back what `key` wrote, if it did, and fence the key, in one go."""
        ...

    async def look(self, key: str) -> tuple[Found, msgspec.Raw]:
        """Tell whether `key` was written ("unknown": it is fenced), and its result."""
        ...


class GraphStep(Step[A, Nothing], Generic[A]):
    """Changes a graph, once per key however often it is tried."""

    undo = Nothing

    def __init__(
        self,
        name: str,
        arguments: type[A],
        store: GraphStore[A],
        *,
        in_doubt: InDoubt = "redo",
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.in_doubt = in_doubt
        self._store = store

    async def prepare(self, args: A, call: Call) -> Nothing:
        """Need nothing: the store knows by the key what was written."""
        del args, call
        return Nothing()

    async def run(self, args: A, undo: Nothing, call: Call) -> msgspec.Raw:
        """Write the change. Raises `FencedError` if it comes too late."""
        del undo
        return await self._store.write(call.key, args)

    async def compensate(self, args: A, undo: Nothing, call: Call) -> None:
        """Take the change back, if it was written, and fence it off for good."""
        del undo
        await self._store.undo(call.key, args)

    async def query(self, args: A, undo: Nothing, call: Call) -> Answered:
        """Ask the store whether the change was written."""
        del args, undo
        found, result = await self._store.look(call.key)
        return Answered(call.step, found, result)
