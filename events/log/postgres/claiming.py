"""One node's claims, as its loop sees them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Protocol

import structlog

from ..errors import LogError, LogUnavailableError
from .claims import Taken

Ask = Callable[[int, Sequence[str], Sequence[str]], Awaitable[Taken]]
"""Takes names for an epoch and gives others up; see `claims.take`."""

CLOSING_S = 30.0
"""So long a log that is closed waits for the answer to what it has asked."""

_log = structlog.get_logger()


class Node(Protocol):
    """Whose claims they are."""

    node: str
    epoch: int
    available: bool


class Claims:
    """Asks for what actors want to own, all of it at once, until it is theirs.

    It asks when something is wanted, when another node has given something up, and
    every `every_s`, since a node that died says nothing. A failure of the log only
    makes it wait: what is wanted is asked for again in the next epoch.
    """

    def __init__(
        self, node: Node, ask: Ask, stale: Callable[[], None], *, every_s: float
    ) -> None:
        self._node = node
        self._ask = ask
        self._stale = stale
        """Called when the node's epoch is found to be fenced."""
        self._every_s = every_s
        self._wanted: dict[str, list[asyncio.Future[int]]] = {}
        self._released: dict[str, None] = {}
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._asked: asyncio.Future[Taken] | None = None
        """What was asked last; a thread waits for the answer, and holds locks."""

    async def claim(self, name: str) -> None:
        """Wait until `name` is this node's.

        Raises `LogUnavailableError` when the log is closed.
        """
        while (
            await self._epoch_of(name) != self._node.epoch or not self._node.available
        ):
            pass  # it failed just after that

    async def _epoch_of(self, name: str) -> int:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        self._wanted.setdefault(name, []).append(future)
        self.look()
        try:
            return await future
        except asyncio.CancelledError:
            waiting = self._wanted.get(name, [])
            if future in waiting:
                waiting.remove(future)
            if not waiting:
                self._wanted.pop(name, None)
                self.release(name)
            raise

    def release(self, name: str) -> None:
        """Give `name` up; what is claimed later is asked for after that."""
        self._released[name] = None
        self.look()

    def look(self) -> None:
        """Ask now: something is wanted or was given up."""
        self._news.set()
        if self._task is None and (self._wanted or self._released):
            self._task = asyncio.create_task(self._run(), name="dramaturg-claims")

    async def close(self) -> None:
        """Give up what was to be, and refuse whoever waits.

        What is being asked is answered first: a log that is closed holds no lock.
        """
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        if self._asked is not None and not self._asked.done():
            await asyncio.wait([self._asked], timeout=CLOSING_S)
        wanted, self._wanted = self._wanted, {}
        for name, futures in wanted.items():
            for future in futures:
                if not future.done():
                    error = LogUnavailableError(
                        f"{name!r} cannot be claimed: the log is closed",
                    )
                    future.set_exception(error)

    async def _run(self) -> None:
        told: set[str] = set()
        while self._wanted or self._released:
            self._news.clear()
            asked = {*self._wanted}
            if not self._node.available:
                self._released.clear()  # all is given up with the epoch
            else:
                await self._round()
            told &= self._wanted.keys()
            for name in asked & self._wanted.keys() - told:
                told.add(name)
                _log.info("log.claim_waits", claim=name, node=self._node.node)
            if self._wanted or self._released:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._every_s):
                        await self._news.wait()
        self._task = None

    async def _round(self) -> None:
        epoch, names, released = self._node.epoch, [*self._wanted], [*self._released]
        self._released.clear()
        self._asked = asyncio.ensure_future(self._ask(epoch, names, released))
        self._asked.add_done_callback(_heed)
        try:
            taken = await asyncio.shield(self._asked)
        except LogError as error:
            _log.warning("log.claim_failed", node=self._node.node, error=str(error))
            self._released = dict.fromkeys(released) | self._released
            return
        if not taken.alive:
            self._stale()
            return
        for name in taken.names:
            for future in self._wanted.pop(name, ()):
                if not future.done():
                    future.set_result(epoch)


def _heed(asked: asyncio.Future[Taken]) -> None:
    """Take an error for heard that nobody waits for any more."""
    if not asked.cancelled():
        asked.exception()
