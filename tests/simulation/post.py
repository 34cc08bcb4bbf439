"""What stands between a dead letter queue and the owners it asks: answers get lost.

A queue whose question was answered, and did not hear of it, asks again; another copy
of a question comes beside it, or when all that it is about is long over. An owner has
to carry a redrive out once.
"""

import asyncio
from random import Random
from typing import Any

from dramaturg.actors.dead_letters.entry import Entry
from dramaturg.actors.dead_letters.messages import TakeBack
from dramaturg.actors.runtime import ActorSystem
from dramaturg.actors.runtime.errors import AskTimeoutError

COMES_LATE_S = (0.0, 3.0, 40.0)


class Post:
    """Delivers the questions of queues; not reliably, under some seeds.

    It has a chance of its own, so that other seeds stay what they are.
    """

    def __init__(self, system: ActorSystem, chance: Random, odds: float) -> None:
        self.system = system
        self.chance = chance
        self.odds = odds
        """How likely an answer is lost, and how likely a question comes twice."""

    def owner(self, entry: Entry) -> Any:
        """Return what asks the owner of an entry's work."""
        kind = entry.item.partition("/")[0]
        path = "/pipelines/work/items" if kind == "item" else "/transactions/main"
        return Asked(self, path)


class Asked:
    """The owner of one entry's work, as far as the queue can reach it."""

    def __init__(self, post: Post, path: str) -> None:
        self._post = post
        self._path = path

    async def ask(self, question: TakeBack, *, timeout_s: float) -> bool:
        """Hand a question on, twice perhaps, and the answer back, unless it is lost."""
        chance, odds = self._post.chance, self._post.odds
        asked = [self._once(question, 0.0, timeout_s)]
        if chance.random() < odds:
            away_s = chance.random() * chance.choice(COMES_LATE_S)
            asked.append(self._once(question, away_s, timeout_s))
        is_lost = chance.random() < odds
        # one that fails must not leave the other behind when the system stops
        first, *_ = await asyncio.gather(*asked, return_exceptions=True)
        if isinstance(first, BaseException):
            raise first
        if is_lost:
            raise AskTimeoutError(self._path, question, timeout_s)
        return first

    async def _once(self, question: TakeBack, after_s: float, timeout_s: float) -> bool:
        if after_s:
            await asyncio.sleep(after_s)
        ref = self._post.system.ref(self._path)
        return await ref.ask(question, timeout_s=timeout_s)
