"""The fence between a step and its compensation, for effects made in threads."""

from collections.abc import Generator
from contextlib import contextmanager
from threading import Lock

from .errors import FencedError


class Fence:
    """Refuses effects that come after the compensation has begun.

    A cancelled attempt may live on in a thread. It makes its effect inside
    `held()`, which is refused once the fence is closed; and closing waits until
    an effect that is being made has been made, so that the compensation finds it.
    After a crash no thread is left, so that this need not be on disk. `held` and
    `close` may wait and are for threads, not for the event loop.
    """

    def __init__(self, key: str) -> None:
        self._key = key
        self._lock = Lock()
        self._closed = False

    @contextmanager
    def held(self) -> Generator[None, None, None]:
        """Make an effect in here. Raises `FencedError` if it is too late for it."""
        with self._lock:
            if self._closed:
                raise FencedError(self._key)
            yield

    def close(self) -> None:
        """Let no further effect through."""
        with self._lock:
            self._closed = True

    def close_at_once(self) -> bool:
        """Close if no effect is being made right now; tell whether. Never waits."""
        if not self._lock.acquire(blocking=False):
            return False
        self._closed = True
        self._lock.release()
        return True
