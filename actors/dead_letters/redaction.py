"""Secrets are kept out of what is shown and logged of a dead letter."""

import re
from typing import TypeAlias

import msgspec

from .entry import Entry

Json: TypeAlias = "dict[str, Json] | list[Json] | str | float | bool | None"

HIDDEN = "[redacted]"
_NAMES = r"(?:password|passwd|secret|token|api[_-]?key|authorization|credential)"
_NAME = re.compile(_NAMES, re.IGNORECASE)
_PAIR = re.compile(
    rf"(\b[\w-]*{_NAMES}[\w-]*[\"']?\s*[=:]\s*)(?:bearer\s+|basic\s+)?(?:\"[^\"]*\"|'[^']*'|[^\s,;&]+)",
    re.IGNORECASE,
)
_LOGIN = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]+:)[^\s@/]+(?=@)", re.IGNORECASE)


def redacted_text(text: str) -> str:
    """Hide what follows the name of a secret, and passwords in addresses.

    >>> redacted_text("login failed: password=hunter2 for https://me:pw@host/")
    'login failed: password=[redacted] for https://me:[redacted]@host/'
    """
    text = _PAIR.sub(rf"\1{HIDDEN}", text)
    return _LOGIN.sub(rf"\1{HIDDEN}", text)


def redacted_payload(payload: msgspec.Raw) -> msgspec.Raw:
    """Hide the values of fields with the name of a secret, however deep."""
    value: Json = msgspec.json.decode(payload)
    return msgspec.Raw(msgspec.json.encode(_redacted(value)))


def _redacted(value: "Json") -> "Json":
    match value:
        case dict():
            return {
                name: HIDDEN if _NAME.search(name) else _redacted(each)
                for name, each in value.items()
            }
        case list():
            return [_redacted(each) for each in value]
        case str():
            return redacted_text(value)
        case _:
            return value


def redacted_entry(entry: Entry) -> Entry:
    """Hide the secrets in an entry's message and edited payload."""
    edited = entry.edited and redacted_payload(entry.edited)
    message = redacted_text(entry.message)
    return msgspec.structs.replace(entry, message=message, edited=edited)
