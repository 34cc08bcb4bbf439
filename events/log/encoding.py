"""Turns an event into the JSON that is kept, and refuses what JSON would change."""

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import msgspec
from msgspec import inspect

from ..event import Event
from ..registry import Registry
from .api import IdempotencyKey
from .errors import EncodingError

INT_LIMIT = 2**53
"""From here on a reader that knows only doubles would see another number."""

Check = Callable[[Event], None]

_JSON = msgspec.json.Encoder()
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


class EventEncoder:
    """Encodes the events of a registry on the loop, a microsecond or less each.

    msgspec writes NaN and infinity as `null` and integers of any size, so that
    they would come back as something else. Which fields could hold such numbers is
    worked out once per class, when its first event comes; an event is then tested by
    a comparison per field.
    """

    def __init__(self, registry: Registry) -> None:
        self._known = frozenset(registry.classes.values())
        self._checks: dict[type[Event], Check | None] = {}

    def encode(self, event: Event) -> bytes:
        """Return the event's data as a JSON document.

        Raises `EncodingError` for classes outside the registry and for values
        that could not be read back as they are.
        """
        try:
            check = self._checks[type(event)]
        except KeyError:
            check = self._learn(type(event))
        try:
            if check is not None:
                check(event)
            return _JSON.encode(event)
        except (TypeError, ValueError, msgspec.MsgspecError) as error:
            raise EncodingError(
                f"{type(event).__qualname__} cannot be kept as JSON: {error}",
            ) from error

    def _learn(self, cls: type[Event]) -> Check | None:
        """Work a class out. Raises `EncodingError` for one outside the registry."""
        if cls not in self._known:
            raise EncodingError(
                f"{cls.__qualname__} is not registered with this log: "
                "add the class to its registry",
            )
        check = self._checks[cls] = _check_of(cls)
        return check


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


def _check_of(cls: type[Event]) -> Check | None:
    """Compile the test of a class: None if no field can hold a number."""
    integers: list[str] = []
    floats: list[str] = []
    raws: list[str] = []
    others: list[str] = []
    for name, kind in _field_types(cls):
        if isinstance(kind, inspect.IntType):
            integers.append(name)
        elif isinstance(kind, inspect.FloatType):
            floats.append(name)
        elif isinstance(kind, inspect.RawType):
            raws.append(name)
        elif not _is_plain(kind):
            others.append(name)
    checks = [
        *([_check_integers(*integers)] if integers else ()),
        *(_check_float(name) for name in floats),
        *(_check_raw(name) for name in raws),
        *(_check_nested(name) for name in others),
    ]
    if len(checks) <= 1:
        return checks[0] if checks else None

    def check_all(event: Event) -> None:
        for check in checks:
            check(event)

    return check_all


def _all_of(checks: list[Check]) -> Check:
    """Join tests into one, most classes' two without a loop."""
    first, *rest = checks
    if not rest:
        return first
    second = _all_of(rest)

    def check(event: Event) -> None:
        first(event)
        second(event)

    return check


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


def _check_integers(*names: str) -> Check:
    if len(names) == 1:
        return _check_integer(names[0])
    get = operator.attrgetter(*names)

    def check(event: Event) -> None:
        values = get(event)
        if max(values) >= INT_LIMIT or min(values) <= -INT_LIMIT:
            for name in names:
                _check_integer(name)(event)

    return check


def _check_integer(name: str) -> Check:
    get = operator.attrgetter(name)

    def check(event: Event) -> None:
        if not -INT_LIMIT < get(event) < INT_LIMIT:
            raise ValueError(f"{name} is {get(event)}, its size must be below 2**53")

    return check


def _check_float(name: str) -> Check:
    get = operator.attrgetter(name)
    infinity = float("inf")

    def check(event: Event) -> None:
        if not -infinity < get(event) < infinity:
            raise ValueError(f"{name} is {get(event)}, which JSON cannot say")

    return check


def _check_raw(name: str) -> Check:
    get = operator.attrgetter(name)

    def check(event: Event) -> None:
        value = get(event)
        if value is not msgspec.UNSET:
            _read_raw(value)

    return check


def _check_nested(name: str) -> Check:
    get = operator.attrgetter(name)

    def check(event: Event) -> None:
        _check_value(get(event), name)

    return check


def _check_value(value: Any, where: str) -> None:
    """Test whatever stands in a field that may hold numbers somewhere."""
    if isinstance(value, bool | str | bytes | None):
        return
    if isinstance(value, msgspec.Raw):
        _read_raw(value)
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
