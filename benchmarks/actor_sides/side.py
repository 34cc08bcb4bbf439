"""What each side of the comparison can be made to do."""

import importlib
from typing import Any, ClassVar

PAIRS = 100
"""Senders and receivers where many tell many."""

SPREAD = 1_000
"""Actors that get one message each."""

BURST = 200
"""Messages told before the sender lets others have their turn."""

AT_ONCE = 100
"""Asks on their way at the same time."""


class Absent(Exception):  # noqa: N818 - nothing is wrong: it is left out
    """The package of this side is not installed."""


class Side:
    """Does each kind of work `count` times and returns when it is done.

    What a side cannot do is not in `works`.
    """

    name: ClassVar[str]
    works: ClassVar[frozenset[str]]
    share: ClassVar[int] = 1
    """It does this part of the work that the others do: it is so much slower."""

    async def open(self) -> None:
        """Get everything ready."""

    async def close(self) -> None:
        """End what was begun."""

    async def tell(self, count: int) -> None:
        """Tell one actor in bursts, and wait until all is worked off."""
        raise NotImplementedError

    async def tell_pairs(self, count: int) -> None:
        """Have `PAIRS` actors tell one other each, all at the same time."""
        raise NotImplementedError

    async def tell_sparse(self, count: int) -> None:
        """Tell each of `SPREAD` idle actors one message, again and again."""
        raise NotImplementedError

    async def ask(self, count: int) -> None:
        """Ask one after the other."""
        raise NotImplementedError

    async def ask_at_once(self, count: int) -> None:
        """Ask `AT_ONCE` at a time."""
        raise NotImplementedError

    async def hop(self, count: int) -> None:
        """Have two actors pass a message to and fro."""
        raise NotImplementedError

    async def spawn(self, count: int) -> None:
        """Start actors and return when they are up."""
        raise NotImplementedError

    async def clear(self) -> None:
        """Stop what `spawn` has started; this is not measured."""


def package(name: str) -> Any:
    """Import a package that need not be there. Raises `Absent`."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Absent(name) from error
