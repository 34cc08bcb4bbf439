"""The events that the tests of the log append."""

from typing import Any

import msgspec

from dramaturg.events import Event, Registry


class Started(Event, tag="test.started"):
    name: str = ""


class Counted(Event, tag="test.counted"):
    by: int = 1


class Measured(Event, tag="test.measured"):
    ratio: float


class Noted(Event, tag="test.noted", version=3):
    anything: Any = None


class Part(msgspec.Struct, frozen=True):
    weight: float
    name: str = ""


class Mixed(Event, tag="test.mixed"):
    """A field of every kind that the encoder looks at in its own way."""

    first: int = 0
    second: float = 0.0
    third: int | None = None
    names: tuple[str, ...] = ()
    pair: tuple[str, int] = ("", 0)
    two_texts: tuple[str, bool] = ("", False)
    table: dict[str, float] = msgspec.field(default_factory=dict[str, float])
    labels: dict[str, str] = msgspec.field(default_factory=dict[str, str])
    parts: tuple[Part, ...] = ()
    raw: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"null"))


class Ended(Event, tag="test.ended", closes=True):
    pass


class Unregistered(Event, tag="test.unregistered"):
    pass


REGISTRY = Registry([Started, Counted, Measured, Noted, Mixed, Ended])
