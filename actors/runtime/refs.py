"""References: all that one actor knows of another."""

from abc import ABC, abstractmethod
from asyncio import Future
from typing import TypeVar

from .messages import Ask, Message
from .origin import Origin

A = TypeVar("A")


class Ref(ABC):
    """Where messages for an actor go. It is hashable and survives restarts.

    All methods are for the thread of the system's loop. None of their parameters is
    keyword-only: CPython makes short work of calls only where none is.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def path(self) -> str:
        """Where the actor stands in the tree, such as `/pipelines/documents/extract`."""

    @property
    @abstractmethod
    def stopped(self) -> bool:
        """Whether it has stopped for good, so that what comes now is dead."""

    @abstractmethod
    def tell(self, message: Message, origin: Origin | None = None) -> None:
        """Put `message` in the mailbox; at most once, in order, without an answer.

        Without `origin` the one of the message being worked on is passed on.
        Raises `MailboxFullError` where the mailbox's policy says so. A message to
        a stopped actor becomes a dead message.
        """

    @abstractmethod
    def ask(
        self,
        message: Ask[A],
        timeout_s: float = 5.0,
        origin: Origin | None = None,
    ) -> Future[A]:
        """Put `message` in the mailbox and return a future of the answer.

        The future raises what the handler raised, `AskTimeoutError` after
        `timeout_s`, `ActorStoppedError`, `AskCycleError` or `MailboxFullError`.
        """

    @abstractmethod
    async def offer(self, message: Message, origin: Origin | None = None) -> None:
        """Wait until there is room in the mailbox, then tell."""

    def __repr__(self) -> str:
        """Show the path."""
        return f"<Ref {self.path}>"
