"""Which method of an actor handles which class of messages."""

import inspect
from collections.abc import Callable
from types import UnionType
from typing import (
    Any,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from .errors import HandlerError, UnhandledMessageError
from .messages import Last, Tick
from .work import Finished

F = TypeVar("F", bound=Callable[..., Any])
Handler = Callable[[Any, Any], Any]
"""Takes the actor and the message; what it returns answers an ask."""

_MARK = "__dramaturg_handles__"
_REENTRANT = "__dramaturg_reentrant__"


@overload
def handles(method: F, /) -> F: ...


@overload
def handles(*, reentrant: bool) -> Callable[[F], F]: ...


def handles(
    method: Callable[..., Any] | None = None,
    *,
    reentrant: bool = False,
) -> Any:
    """Mark a method as the handler of the class its parameter is annotated with.

    It may be synchronous or a coroutine function, and its annotation a union. The
    nearest class in a message's MRO counts.

    `reentrant`: its messages are taken while another handler of the actor is suspended,
    before all that waits; that state may then be half changed. It must be synchronous.
    """

    def mark(method: F) -> F:
        setattr(method, _MARK, True)
        if reentrant:
            if inspect.iscoroutinefunction(method):
                raise HandlerError(
                    f"{method.__qualname__} is a coroutine function: a reentrant handler "
                    "must be synchronous, let it start longer work with ctx.run",
                )
            setattr(method, _REENTRANT, True)
        return method

    return mark if method is None else mark(method)


def is_reentrant(handler: Handler) -> bool:
    """Tell whether what it handles may be taken while another handler is suspended."""
    return hasattr(handler, _REENTRANT)


class Handlers(dict[type, Handler]):
    """A table from message class to handler, completed by MRO at the first miss."""

    __slots__ = ("at_once", "otherwise", "reentrant")

    def __init__(self, otherwise: Handler) -> None:
        super().__init__()
        self.otherwise = otherwise
        self.reentrant = False
        """Whether any of them is reentrant."""
        self.at_once = False
        """Whether their actor is up once it is made: without `starting` or a journal."""

    def __missing__(self, kind: type) -> Handler:
        """Find the handler of the nearest base and keep it."""
        for base in kind.__mro__[1:]:
            handler = self.get(base)
            if handler is not None:
                break
        else:
            handler = self.otherwise
        self[kind] = handler
        return handler


def unhandled(actor: Any, message: Any) -> None:
    """Refuse a message for which there is no handler."""
    raise UnhandledMessageError(actor.ctx.self.path, message)


def _take_tick(actor: Any, tick: Tick) -> Any:
    """Work off a timer's message, unless the timer is stale."""
    return _take(actor, tick.timer.taken())


def _take_finished(actor: Any, finished: Finished) -> Any:
    """Work off the message about finished work, unless it was cancelled."""
    return _take(actor, finished.running.taken())


def _take_last(actor: Any, _: Last) -> Any:
    """Stop: what was to be worked off before was."""
    actor.ctx.leave()


def _take(actor: Any, message: Any) -> Any:
    if message is not None:
        return actor.ctx.cell.handlers[message.__class__](actor, message)
    return None


def handlers_of(actor: type, otherwise: Handler = unhandled) -> Handlers:
    """Collect the handlers of an actor class, those of its bases first."""
    table = Handlers(otherwise)
    table[Tick] = _take_tick
    table[Finished] = _take_finished
    table[Last] = _take_last
    for cls in reversed(actor.__mro__):
        for name, member in vars(cls).items():
            if hasattr(member, _MARK):
                for kind in _kinds(cls, name, member):
                    table[kind] = getattr(actor, name)
    table.reentrant = any(is_reentrant(handler) for handler in table.values())
    return table


def _kinds(cls: type, name: str, method: Callable[..., Any]) -> tuple[type, ...]:
    """Return the message classes in the annotation of the method's parameter."""
    parameters = list(inspect.signature(method).parameters)
    try:
        hint = get_type_hints(method)[parameters[1]]
    except (IndexError, KeyError, NameError) as error:
        raise HandlerError(
            f"{cls.__qualname__}.{name} does not say what it handles ({error!r}): "
            "annotate its parameter with a message class known at module level",
        ) from error
    is_union = get_origin(hint) in {Union, UnionType}
    hints = get_args(hint) if is_union else (hint,)
    return tuple(get_origin(each) or each for each in hints)
