"""Which messages the garbage collector has to look at."""

import datetime as dt
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum
from types import NoneType, SimpleNamespace, UnionType
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    NewType,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)
from uuid import UUID

import msgspec

_PLAIN: Final = (
    *(bool, int, float, complex, str, bytes, NoneType, Enum, Decimal, UUID),
    *(dt.date, dt.time, dt.timedelta, msgspec.Raw, msgspec.UnsetType),
)
_CONTAINERS: Final = (tuple, list, dict, set, frozenset, Sequence, Mapping)


def may_close_a_circle(namespace: Mapping[str, Any]) -> bool:
    """Tell whether a class with this body has fields that may lead back to an actor.

    A reference leads to its cell, and from there to the whole system, which may keep
    the message: in an error's traceback, in the mailbox, among the dead. What cannot
    be made out is taken for such a field.
    """
    own = namespace.get("__annotations__")
    if own is None:
        return "__annotate__" in namespace or "__annotate_func__" in namespace
    module = sys.modules.get(namespace.get("__module__", ""))
    body = SimpleNamespace(__annotations__=own)
    try:
        hints = get_type_hints(body, None if module is None else vars(module))
    except (NameError, TypeError, SyntaxError, AttributeError):
        return True
    return not all(is_plain(hint) for hint in hints.values())


def is_plain(hint: Any) -> bool:
    """Tell whether values of this type refer to nothing but others that are plain."""
    origin = get_origin(hint)
    if origin in {Union, UnionType, *_CONTAINERS}:
        return all(is_plain(each) for each in get_args(hint) if each is not Ellipsis)
    if origin is Annotated:
        return is_plain(get_args(hint)[0])
    if isinstance(hint, NewType):
        return is_plain(hint.__supertype__)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return not hint.__struct_config__.gc
    is_class = isinstance(hint, type) and issubclass(hint, _PLAIN)
    return is_class or origin in {Literal, ClassVar}
