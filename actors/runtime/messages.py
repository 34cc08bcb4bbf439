"""The base of all messages, and of those that want an answer."""

from typing import Any, ClassVar, Generic, TypeVar, dataclass_transform

import msgspec

from .collected import may_close_a_circle

Answer = TypeVar("Answer")


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class MessageType(msgspec.StructMeta):
    """Makes classes of messages; it tells type checkers that they are frozen."""

    def __new__(
        cls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        **options: Any,
    ) -> "MessageType":
        """Have the collector see messages that may lead back to who keeps them.

        Most hold plain values. Those it does not see: a message costs half as much
        then, and a million of them in mailboxes cost no collection.
        """
        if "gc" not in options:
            seen = any(issubclass(b, Message) and b.__struct_config__.gc for b in bases)
            options["gc"] = seen or may_close_a_circle(namespace)
        return super().__new__(cls, name, bases, namespace, **options)


class Message(msgspec.Struct, frozen=True, gc=False, metaclass=MessageType):
    """Something told to an actor.

    Fields hold plain values, references to actors, and containers that nobody
    changes.
    """

    expendable: ClassVar[bool] = False
    """True for what only reminds an actor of its own state: with the actor nothing of
    it is lost, so that it is counted as a dead message and not told about."""


class Ask(Message, Generic[Answer]):
    """A message that is answered, by an `Answer`.

    `class Get(Ask[int])` makes `await ref.ask(Get())` an `int` for type checkers.
    """


def is_ask(message: Message) -> bool:
    """Tell whether somebody may wait for an answer to `message`."""
    return isinstance(message, Ask)


class Control(Message):
    """What the runtime puts into a mailbox: never dropped for want of room."""


class Terminated(Control):
    """A watched actor has stopped for good."""

    path: str
    error: BaseException | None = None
    """What it died of; None: it stopped in an orderly way."""


class Tick(Control):
    """A timer has fired; worked off only if that timer still stands."""

    timer: Any


class Last(Control):
    """The last message an actor works off: it stops then. The runtime's own."""
