"""How settings structs are read from plain data, with errors that name the setting."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from ..events import DramaturgError

T = TypeVar("T", bound=msgspec.Struct)


class SettingsError(DramaturgError, ValueError):
    """A setting has a value that cannot work, or a name that nobody knows."""


def from_plain(kind: type[T], data: Mapping[str, object], what: str) -> T:
    """Build settings from a mapping such as a TOML table; numbers may be text.

    `what` names the place for the message. Raises `SettingsError`.
    """
    unknown = sorted(set(data) - set(kind.__struct_fields__))
    if unknown:
        raise SettingsError(
            f"{what}: there is no setting {unknown[0]!r}; "
            f"there are {', '.join(kind.__struct_fields__)}",
        )
    try:
        return msgspec.convert(dict(data), kind, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{what}: {error}") from error


def require(*, holds: bool, name: str, value: object, rule: str) -> None:
    """Refuse a setting unless its rule holds. Raises `SettingsError`."""
    if not holds:
        raise SettingsError(f"{name} is {value!r}, but must be {rule}")
