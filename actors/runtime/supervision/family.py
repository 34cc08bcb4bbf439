"""A supervisor and its children, as far as decisions about them need to know."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from .backoff import Backoff
from .directive import Directives
from .intensity import Intensity
from .strategy import AutoShutdown, Restart, Strategy


class ChildRule(Protocol):
    """What a child spec says about restarting; both kinds of spec fit."""

    @property
    def restart(self) -> Restart:
        """Whether it is started again."""
        ...

    @property
    def significant(self) -> bool:
        """Whether its end may end the supervisor."""
        ...

    @property
    def backoff(self) -> Backoff | None:
        """How long it stays down."""
        ...

    @property
    def directives(self) -> Directives:
        """What to do by class of exception."""
        ...


class Child(msgspec.Struct):
    """One child: its rule and how it fares. The supervisor updates it in place."""

    rule: ChildRule
    started_s: float = 0.0
    """When it was last started, on the monotonic clock."""
    attempt: int = 0
    """Its failures in a row, see `Backoff`."""
    ended: bool = False
    """It exited normally and is kept only because a group restart starts it again."""


class Family(msgspec.Struct):
    """A supervisor's rule, its children in start order and its recent restarts."""

    strategy: Strategy
    intensity: Intensity
    auto_shutdown: AutoShutdown
    children: Mapping[str, Child]
    restarts: tuple[float, ...] = ()


class Failed(msgspec.Struct, frozen=True):
    """A child raised: in starting, in a handler, or because it was killed."""

    child: str
    error: BaseException
    now_s: float
    draw: float
    """A random number in [0, 1) for the jitter."""
    resumable: bool = True
    """Whether it can go on with the state it has: false for actors with a log and
    for a child that failed while starting."""


class Exited(msgspec.Struct, frozen=True):
    """A child has stopped of its own accord, without an error."""

    child: str
    now_s: float
    draw: float
