"""The events that the tests of the log append."""

from typing import Any

from dramaturg.events import Event, Registry


class Started(Event, tag="test.started"):
    name: str = ""


class Counted(Event, tag="test.counted"):
    by: int = 1


class Measured(Event, tag="test.measured"):
    ratio: float


class Noted(Event, tag="test.noted", version=3):
    anything: Any = None


class Ended(Event, tag="test.ended", closes=True):
    pass


class Unregistered(Event, tag="test.unregistered"):
    pass


REGISTRY = Registry([Started, Counted, Measured, Noted, Ended])
