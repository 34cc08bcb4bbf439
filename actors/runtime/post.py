"""Messages from other threads, brought to the loop's."""

from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from typing import Final

from .errors import MailboxFullError, SystemClosedError
from .messages import Message
from .refs import Ref

POST_MAX: Final = 10_000
"""Messages on their way to the loop; one more is refused to its sender."""

Undeliverable = Callable[[Ref, Message], None]


class Post:
    """Hands over what other threads tell; the loop is woken once for many messages."""

    __slots__ = ("_due", "_loop", "_mail", "_undeliverable")

    def __init__(self, loop: AbstractEventLoop, undeliverable: Undeliverable) -> None:
        self._loop = loop
        self._mail: deque[tuple[Ref, Message]] = deque()
        self._due = False
        self._undeliverable = undeliverable

    def put(self, ref: Ref, message: Message) -> None:
        """Tell `ref` from any thread, in order per thread."""
        if len(self._mail) >= POST_MAX:
            raise MailboxFullError(ref.path, POST_MAX)
        self._mail.append((ref, message))
        if not self._due:
            self._due = True
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError as error:
                self._due = False  # so that the next one is told as well
                self._mail.clear()
                raise SystemClosedError(
                    f"the loop of {ref.path} is closed: its system is over",
                ) from error

    def _deliver(self) -> None:
        self._due = False  # first: what comes from now on is for the next call
        left = len(self._mail)
        try:
            while left:
                left -= 1
                ref, message = self._mail.popleft()
                try:
                    ref.tell(message)
                except MailboxFullError:
                    self._undeliverable(ref, message)
        finally:  # what nobody can be told does not keep back the rest
            if left and not self._due:
                self._due = True
                self._loop.call_soon(self._deliver)
