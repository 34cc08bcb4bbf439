"""Following what a recorder records."""

import threading
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from eventsourcing.persistence import Notification, Subscription

if TYPE_CHECKING:
    from .recorder import LogApplicationRecorder

WAIT_S = 1.0
"""How long a subscription waits to be told of news before it looks by itself."""

PAGE = 500
"""Notifications that are read at a time."""


class LogSubscription(Subscription["LogApplicationRecorder"]):
    """Iterates in the reader's own thread, and needs no other.

    A wake-up that is missed, as when another process records, delays it by `WAIT_S`.
    """

    def __init__(
        self,
        recorder: "LogApplicationRecorder",
        gt: int | None = None,
        topics: Sequence[str] = (),
    ) -> None:
        super().__init__(recorder, gt, topics)
        self._after = gt
        self._page: deque[Notification] = deque()
        self._news = threading.Event()
        recorder.listen(self._news)

    def stop(self) -> None:
        """End the iteration, also one that waits in another thread."""
        super().stop()
        self._recorder.unlisten(self._news)
        self._news.set()

    def __next__(self) -> Notification:
        """Return the next notification, or wait for it."""
        while not self._has_been_stopped:
            if self._page:
                return self._page.popleft()
            self._news.clear()
            page = self._recorder.select_notifications(
                self._after,
                PAGE,
                topics=self._topics,
                inclusive_of_start=self._after is None,
            )
            if page:
                self._page.extend(page)
                self._after = page[-1].id
            else:
                self._news.wait(WAIT_S)
        raise StopIteration
