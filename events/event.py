"""What an event is: a frozen record under a tag that never changes."""

from typing import Any, ClassVar, dataclass_transform

import msgspec


@dataclass_transform(
    frozen_default=True,
    field_specifiers=(msgspec.field,),
)
class EventType(msgspec.StructMeta):
    """Takes the class arguments `tag`, `version` and `closes` of an event.

    msgspec's own metaclass refuses arguments it does not know, so they are
    taken off before it sees them.
    """

    def __new__(  # noqa: PLR0913, PYI034 - the signature is the class statement's
        cls,
        name: str,
        bases: tuple[type, ...],
        namespace: dict[str, Any],
        *,
        tag: str = "",
        version: int = 1,
        closes: bool = False,
        **config: Any,
    ) -> "EventType":
        """Create the class; the arguments become its class attributes."""
        namespace.update(tag=tag, version=version, closes=closes)
        return super().__new__(cls, name, bases, namespace, **config)


class Event(msgspec.Struct, frozen=True, gc=False, metaclass=EventType):
    """Something that happened, as it is kept in the log.

    Subclasses name a stable `tag` and a schema `version`::

        class Opened(Event, tag="breaker.opened", version=1):
            retry_at_us: int

    A class may be renamed or moved, its tag never. An event whose class says
    `closes=True` ends its stream: the log then counts the stream as closed and
    start-up no longer reads it. A later event of another class opens it again.
    Instances are outside the garbage collector's sight, so fields hold plain
    values and immutable containers of them (never a cycle).
    """

    tag: ClassVar[str]
    version: ClassVar[int]
    closes: ClassVar[bool]


class UnknownEvent(msgspec.Struct, frozen=True, gc=False):
    """An event whose tag nobody registered, or whose version is from the future.

    It is kept, shown and skipped by readers; an actor that finds one in its own
    stream refuses to recover (see `UnknownTagError`).
    """

    tag: str
    version: int
    data: bytes
    """The stored JSON document, byte for byte."""


class Erased(UnknownEvent, frozen=True, gc=False):
    """An event whose data was erased on purpose: its owner's key was destroyed.

    What it was is still known, by its tag; `data` is the ciphertext that is left.
    Readers pass it over as they do an event that nobody registered, and so does an
    actor that finds one in its own stream, unless its fold says what it comes to.
    """

    key: str
    """The name of the key that was destroyed."""


class Withheld(UnknownEvent, frozen=True, gc=False):
    """An event that is encrypted, and read by a tool that has not its key.

    It was not erased: whoever has the key file reads it. Readers show that it is there
    and pass it over; a log that is open for writing never gives one.
    """

    key: str
    """The name of the key that is needed."""
