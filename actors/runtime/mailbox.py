"""Mailboxes: how many messages wait for an actor, and what happens at the bound."""

from asyncio import Future
from collections.abc import Callable, Sized
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from .dead_messages import Reason
from .errors import ActorStoppedError, MailboxFullError
from .messages import Control, Message
from .origin import Origin

if TYPE_CHECKING:
    from .inbox import Inbox

Policy = Literal["reject", "drop_oldest", "drop_new", "wait"]
"""What happens to a message that finds the mailbox full: the sender gets
`MailboxFullError`; the oldest message makes room; the new one is dropped; the
sender waits in `await ref.offer(...)` (and `tell` is refused)."""

Reply = Future[Any]
Envelope = tuple[Message, Reply | None, Origin | None]
"""A message with who waits for its answer and where it comes from."""
Item = Message | Envelope
"""What lies in a mailbox; a message without an envelope costs least."""


class Mailbox(msgspec.Struct, frozen=True):
    """The bound of a mailbox. What the runtime puts in is neither refused nor dropped."""

    capacity: int = 1000
    policy: Policy = "reject"

    def __post_init__(self) -> None:
        """Refuse a mailbox that could hold nothing."""
        if self.capacity < 1:
            message = f"capacity={self.capacity}: take 1 or more"
            raise ValueError(message)


def opened(item: Item) -> Envelope:
    """Return the message, who waits for the answer, and the origin."""
    return item if isinstance(item, tuple) else (item, None, None)


def is_control(item: Item) -> bool:
    """Tell whether this is of the runtime's own."""
    return isinstance(item[0] if isinstance(item, tuple) else item, Control)


def refuse(reply: Reply | None, error: BaseException) -> None:
    """Answer an ask with an error; harmless where nobody waits any more."""
    if reply is not None and not reply.done():
        reply.set_exception(error)
        reply.exception()  # an asker who does not look is not told twice


class DeadBox(Sized):
    """The mailbox of a stopped actor: everything put in becomes a dead message.

    If there is an `heir`, the next life of a passivated entity, that gets it instead.
    """

    __slots__ = ("_heir", "_inbox")

    def __init__(
        self,
        inbox: "Inbox",
        heir: Callable[[Item], None] | None = None,
    ) -> None:
        self._inbox = inbox
        self._heir = heir

    def __len__(self) -> int:
        """Seem empty, so that senders need no second test."""
        return 0

    def append(self, item: Item) -> None:
        """Tell the asker, and count the message as dead."""
        if self._heir is not None:
            self._heir(item)
            return
        bury(self._inbox, item, "stopped", ActorStoppedError(self._inbox.path))


def bury(inbox: "Inbox", item: Item, reason: Reason, error: Exception) -> None:
    """Answer an undeliverable ask with `error`, and count the message as dead."""
    message, reply, _ = opened(item)
    refuse(reply, error)
    inbox.pump.dead(inbox, message, reason)


def overflowed(inbox: "Inbox", box: list[Item], item: Item) -> None:
    """Put `item` in a mailbox that seems full, as its policy says."""
    mailbox = inbox.spec.mailbox
    if inbox.depth < mailbox.capacity:
        box.append(item)
        return
    inbox.own_extras().dropped += 1
    error = MailboxFullError(inbox.path, mailbox.capacity)
    if mailbox.policy == "drop_oldest":
        oldest = inbox.take_oldest()
        if oldest is not None:
            bury(inbox, oldest, "mailbox_full", error)
        box.append(item)
    elif mailbox.policy == "drop_new":
        bury(inbox, item, "mailbox_full", error)
    else:
        raise error
