"""How two values differ, for a person."""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

WIDTH: Final = 72


def differences(expected: object, found: object, one: str, other: str) -> str:
    """Show both values line by line: `-` is in the first only, `+` in the second."""
    lines = difflib.ndiff(list(_lines(expected)), list(_lines(found)))
    return "\n".join(
        [
            f"  - {one}",
            f"  + {other}",
            *(f"    {line}" for line in lines if not line.startswith("?")),
        ]
    )


def _lines(value: Any, indent: str = "", before: str = "") -> Iterator[str]:
    """Write a value on one line if it fits, else a line for each part."""
    text = repr(value)
    if len(indent) + len(before) + len(text) <= WIDTH:
        yield f"{indent}{before}{text}"
        return
    opening, parts, closing = _parts(value)
    if not parts:
        yield f"{indent}{before}{text}"
        return
    yield f"{indent}{before}{opening}"
    for label, part in parts:
        yield from _lines(part, indent + "  ", label)
    yield f"{indent}{closing}"


def _parts(value: Any) -> tuple[str, list[tuple[str, Any]], str]:
    """Take a value apart: brackets, and what stands between them by label."""
    whole = value  # of which checkers go on knowing as little as is known
    match value:
        case msgspec.Struct():
            fields = [(f"{f}=", getattr(value, f)) for f in value.__struct_fields__]
            return f"{type(value).__name__}(", fields, ")"
        case Mapping():
            return "{", [(f"{key!r}: ", part) for key, part in whole.items()], "}"
        case tuple() | list():
            brackets = "()" if isinstance(value, tuple) else "[]"
            return brackets[0], [("", part) for part in whole], brackets[1]
        case _:
            return "", [], ""
