"""What an actor does with messages, as something it can exchange."""

from functools import wraps
from typing import Any, ClassVar, Final

from .handlers import Handler, Handlers, handlers_of, unhandled


class Behaviour:
    """Handlers outside an actor's class.

    One is given to `ctx.become`::

        class Open(Behaviour):
            def __init__(self, door: "Door") -> None:
                self.door = door

            @handles
            def shut(self, message: Shut) -> None:
                self.door.ctx.become(Closed(self.door))

    What a behaviour does not handle is unhandled; common handlers go in a base class.
    """

    handlers: ClassVar[Handlers] = handlers_of(object)

    def __init_subclass__(cls) -> None:
        """Collect the handlers."""
        super().__init_subclass__()
        cls.handlers = handlers_of(cls)


_PLAIN: Final = frozenset(Behaviour.handlers)
"""The runtime's own messages: their handlers want the actor."""


def bound(behaviour: Behaviour) -> Handlers:
    """Return a table for a cell that calls the behaviour instead of the actor."""
    table = Handlers(unhandled)
    for kind, handler in type(behaviour).handlers.items():
        if handler is unhandled:
            continue  # found missing before, under another behaviour of this class
        table[kind] = handler if kind in _PLAIN else _bind(behaviour, handler)
    table.reentrant = type(behaviour).handlers.reentrant
    return table


def _bind(behaviour: Behaviour, handler: Handler) -> Handler:
    @wraps(handler)  # with its marks
    def call(_: Any, message: Any) -> Any:
        return handler(behaviour, message)

    return call
