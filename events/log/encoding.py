"""Turns an event into the JSON that is kept, and refuses what JSON would change."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, cast

import msgspec
from msgspec import inspect

from ..event import Event
from ..registry import Registry
from .api import IdempotencyKey, StreamAppend
from .errors import EncodingError

INT_LIMIT = 2**53
"""From here on a reader that knows only doubles would see another number."""

_INT_MIN = 1 - INT_LIMIT

Encode = Callable[[Event], bytes]

_encode = msgspec.json.Encoder().encode
_read_raw = msgspec.json.Decoder(msgspec.Raw).decode
"""Fails for text that is no JSON; the numbers in it are its maker's business."""
_PLAIN = (
    inspect.NoneType,
    inspect.BoolType,
    inspect.StrType,
    inspect.BytesType,
    inspect.DateTimeType,
    inspect.DateType,
    inspect.TimeType,
    inspect.TimeDeltaType,
    inspect.UUIDType,
    inspect.DecimalType,
    inspect.EnumType,
    inspect.LiteralType,
)
"""Types whose values never become a JSON number that could be wrong."""
_HARMLESS = (bool, str, bytes, type(None), msgspec.UnsetType)
"""The same of the values that stand in a field of no such type."""


class EventEncoder:
    """Encodes the events of a registry on the loop, a microsecond or less each.

    msgspec writes NaN and infinity as `null` and integers of any size, so that
    they would come back as something else. Which fields could hold such numbers is
    worked out once per class, when its first event comes; an event is then tested by
    a comparison per field.
    """

    def __init__(self, registry: Registry) -> None:
        self._known = frozenset(registry.classes.values())
        self._encoders: dict[type[Event], Encode] = {}

    def encode(self, streams: Sequence[StreamAppend]) -> list[bytes]:
        """Return the data of all events of an append, each a JSON document.

        Raises `EncodingError` for classes outside the registry and for values
        that could not be read back as they are.
        """
        encoders = self._encoders
        datas: list[bytes] = []
        for append in streams:
            for event in append.events:
                cls = type(event)
                try:
                    encode = encoders.get(cls) or self._learn(cls)
                    datas.append(encode(event))
                except (TypeError, ValueError, msgspec.MsgspecError) as error:
                    raise EncodingError(
                        f"{cls.__qualname__} cannot be kept as JSON: {error}",
                    ) from error
        return datas

    def _learn(self, cls: type[Event]) -> Encode:
        """Work a class out. Raises `EncodingError` for one outside the registry."""
        if cls not in self._known:
            raise EncodingError(
                f"{cls.__qualname__} is not registered with this log: "
                "add the class to its registry",
            )
        encode = self._encoders[cls] = _encoder_of(cls)
        return encode


def is_name(text: str) -> bool:
    """Tell whether a text can name a stream in a file: not empty, no NUL, no halves."""
    if text.isascii():
        return text != "" and "\0" not in text
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def check_key(key: IdempotencyKey) -> None:
    """Raise `EncodingError` for a key that a file cannot keep."""
    for text in (key.scope, key.key, key.stream):
        if not is_name(text):
            raise EncodingError(
                f"{text!r} cannot be part of an idempotency key: give it a text that "
                "is not empty and holds no NUL and no half of a surrogate pair",
            )
    expires_us = key.expires_us
    if expires_us is not None and not -INT_LIMIT < expires_us < INT_LIMIT:
        raise EncodingError(f"a key's expires_us is {expires_us}, 2**53 is the limit")


def _encoder_of(cls: type[Event]) -> Encode:
    """Compile what tests and encodes the events of a class.

    It is one function, and none but msgspec's own for a class whose fields hold no
    numbers. Nearly all that is to be tested are integers.
    """
    kinds = dict(_field_types(cls))
    integers = [n for n, kind in kinds.items() if isinstance(kind, inspect.IntType)]
    others = [
        (name, _usual(cls, name))
        for name, kind in kinds.items()
        if name not in integers and not _is_plain(kind)
    ]
    if not integers and not others:
        return _encode
    # One call fetches all integers. It gives a tuple for two names or more only, so
    # that the first is named twice.
    numbers = attrgetter(*integers, integers[0]) if integers else _no_numbers

    def encode(event: Event) -> bytes:
        for value in numbers(event):
            if not _INT_MIN <= value < INT_LIMIT:
                name = integers[numbers(event).index(value)]
                raise ValueError(f"{name} is {value}, its size must be below 2**53")
        for name, usual in others:
            value = getattr(event, name)
            if value is usual:
                continue
            if value.__class__ is msgspec.Raw:
                _check_raw(value)
            else:
                _check_value(value, name)
        return _encode(event)

    return encode


def _usual(cls: type[Event], name: str) -> object:
    """Return the JSON that a field holds by default; it is looked at here, once."""
    fields = {field.name: field for field in msgspec.structs.fields(cls)}
    usual = fields[name].default
    if isinstance(usual, msgspec.Raw):
        _check_raw(usual)
        return usual
    return msgspec.NODEFAULT  # no value is this


def _no_numbers(_: Event) -> tuple[int, ...]:
    return ()


def _check_raw(value: msgspec.Raw) -> None:
    """Raise unless this is JSON, in UTF-8 as all of a document is."""
    _read_raw(value)
    str(value, "utf-8")


def _field_types(cls: type[Event]) -> Iterable[tuple[str, inspect.Type]]:
    info = cast("inspect.StructType", inspect.type_info(cls))
    return [(field.name, field.type) for field in info.fields]


def _is_plain(kind: inspect.Type) -> bool:
    if isinstance(kind, _PLAIN):
        return True
    if isinstance(kind, inspect.UnionType):
        return all(map(_is_plain, kind.types))
    if isinstance(kind, inspect.VarTupleType | inspect.CollectionType):
        return _is_plain(kind.item_type)
    if isinstance(kind, inspect.TupleType):
        return all(map(_is_plain, kind.item_types))
    if isinstance(kind, inspect.DictType):
        return _is_plain(kind.key_type) and _is_plain(kind.value_type)
    return False


def _check_value(value: Any, where: str) -> None:
    """Test whatever stands in a field that may hold numbers somewhere."""
    if isinstance(value, _HARMLESS):
        return
    if isinstance(value, msgspec.Raw):
        _check_raw(value)
    elif isinstance(value, int):
        if not -INT_LIMIT < value < INT_LIMIT:
            raise ValueError(f"{where} is {value}, its size must be below 2**53")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where} is {value}, which JSON cannot say")
    else:
        for name, item in _items(value):
            _check_value(item, f"{where}{name}")


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    """List what a container holds, with a name for each item."""
    if isinstance(value, dict):
        pairs = cast("Mapping[Any, Any]", value).items()
        yield from ((" (a key)", key) for key, _ in pairs)
        yield from ((f"[{key!r}]", item) for key, item in pairs)
    elif isinstance(value, tuple | list | set | frozenset):
        items = cast("Iterable[Any]", value)
        yield from ((f"[{index}]", item) for index, item in enumerate(items))
    elif isinstance(value, msgspec.Struct):
        names = value.__struct_fields__
        yield from ((f".{name}", getattr(value, name)) for name in names)
