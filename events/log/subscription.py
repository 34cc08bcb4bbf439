"""Following a log: what is there already, then what is appended, in order."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from .api import EventLog, Recorded

WAIT_S = 1.0
"""How long a follower waits for news before it looks by itself."""


async def subscribe_pages(
    log: EventLog,
    after: int = 0,
    *,
    page: int = 500,
    wait_s: float = WAIT_S,
) -> AsyncGenerator[list[Recorded], None]:
    """Yield every event after position `after`, page by page, for ever.

    Catching up and following are one loop, so there is no seam between them at
    which an event could be missed or come twice. At most one page is in memory:
    a slow reader falls behind in the file and not in a queue. Only what is durable
    is handed out. To go on later, subscribe after the last position seen.
    """
    news = asyncio.Event()
    forget = log.on_commit(lambda _position: news.set())
    try:
        while True:
            news.clear()
            durable = log.position
            if durable > after:
                events = await log.read(after, durable, limit=page)
                after = events[-1].position
                yield events
            else:
                await _wait(news, wait_s)
    finally:
        forget()


async def subscribe(
    log: EventLog,
    after: int = 0,
    *,
    page: int = 500,
    wait_s: float = WAIT_S,
) -> AsyncGenerator[Recorded, None]:
    """Yield every event after position `after`, one by one; see `subscribe_pages`."""
    pages = subscribe_pages(log, after, page=page, wait_s=wait_s)
    async with aclosing(pages):
        async for events in pages:
            for recorded in events:
                yield recorded


async def _wait(news: asyncio.Event, wait_s: float) -> None:
    try:
        async with asyncio.timeout(wait_s):
            await news.wait()
    except TimeoutError:
        return  # the caller looks at the log whether or not it was woken
