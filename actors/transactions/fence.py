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


class Fences:
    """The fences of one coordinator's steps, by transaction and number.

    They outlive the coordinator's actor: when that is restarted, threads that its
    predecessor started may still be alive.
    """

    def __init__(self) -> None:
        self._fences: dict[str, dict[int, Fence]] = {}

    def of(self, transaction: str, step: int) -> Fence:
        """Return the fence of a step, always the same one."""
        fences = self._fences.setdefault(transaction, {})
        if step not in fences:
            fences[step] = Fence(f"{transaction}#{step}")
        return fences[step]

    def drop(self, transaction: str) -> None:
        """Close and forget the fences of a transaction that has ended."""
        for fence in self._fences.pop(transaction, {}).values():
            fence.close_at_once()
