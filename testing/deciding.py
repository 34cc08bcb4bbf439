"""What a decider is given when no system is there."""

import random
from collections.abc import Iterable
from typing import Any, Final, NoReturn, Protocol, cast

import msgspec

from ..actors.runtime import Message, Origin, OwnerContext
from ..actors.runtime.event_sourced import decide_command
from ..events import Event
from .errors import ExpectationError, ImpureError

NOW_US: Final = 1_700_000_000_000_000


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision is made in, besides the state."""

    now_us: int = NOW_US
    """Wall time in microseconds."""
    now_s: float = 0.0
    """Monotonic time in seconds."""
    seed: int = 0
    """Of `ctx.random`."""
    origin: Origin = Origin()
    """Where the command comes from."""


class _Absent:
    """Stands where a cell and a system would be."""

    path = "/given"

    def __getattr__(self, name: str) -> NoReturn:
        raise ImpureError(
            f"it used {name!r} of a running system: a decider takes time, chance and "
            "the origin from its context, and leaves the rest to `react`",
        )


_ABSENT: Final = cast("Any", _Absent())


class Streams(Protocol):
    """Whose streams change hands in a decision."""

    def adopt(self, stream: str, events: tuple[Event, ...]) -> None:
        """Own `stream` from now on."""
        ...

    def release(self, stream: str) -> None:
        """Forget `stream`."""
        ...


class DecidingContext(OwnerContext):
    """A context with time, chance and an origin, and nothing to act on."""

    __slots__ = ("_random", "_setting", "_streams")

    def __init__(self, setting: Setting, streams: "Streams | None" = None) -> None:
        super().__init__(_ABSENT, _ABSENT)
        self._setting = setting
        self._random = random.Random(setting.seed)  # noqa: S311 - a test's
        self._streams = streams

    @property
    def now_us(self) -> int:
        """Wall time in microseconds."""
        return self._setting.now_us

    @property
    def now_s(self) -> float:
        """Seconds on a clock that never goes back."""
        return self._setting.now_s

    @property
    def random(self) -> random.Random:
        """A source of chance by the setting's seed."""
        return self._random

    @property
    def origin(self) -> Origin:
        """Where the command comes from."""
        return self._setting.origin

    def adopt(self, stream: str, events: Iterable[Event], owner: str = "") -> None:  # noqa: ARG002 - no state depends on it
        """Own `stream` from now on."""
        assert self._streams is not None
        self._streams.adopt(stream, tuple(events))

    def release(self, stream: str) -> None:
        """Forget `stream`."""
        assert self._streams is not None
        self._streams.release(stream)


def decided_by(actor: Any, command: Message) -> None:
    """Raise `ExpectationError` if `actor` does not decide about such a command."""
    if actor.handlers[type(command)] is not decide_command:
        raise ExpectationError(
            f"{type(actor).__name__} has a method with @handles for "
            f"{type(command).__name__}: test it with a system and a probe",
        )
