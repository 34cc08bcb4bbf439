"""What a breaker needs of whoever writes its events."""

from typing import Protocol

from .actions import Action
from .core import Journal


class Recorder(Journal, Protocol):
    """A journal that can be waited for."""

    async def durable(self) -> None:
        """Wait until all that was told so far is in the log. Raises `DramaturgError`s."""
        ...

    async def obey(self, action: Action) -> None:
        """Have a person's action decided, logged and put in force."""
        ...
