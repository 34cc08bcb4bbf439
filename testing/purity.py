"""Folds and deciders are called, and watched while they are."""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

from ..actors.runtime import recovery
from ..events import Event, Fold
from .differences import differences
from .errors import ImpureError

R = TypeVar("R")
S = TypeVar("S")


def folded(fold: Fold[S], stream: str, state: S, event: Event, version: int) -> S:
    """Return the next state.

    Raises `EvolveError` if the fold fails, and `ImpureError` if it changes the state
    that it is given, or makes two states of the same state and event.
    """
    what = f"evolve of {event!r}"

    def evolve() -> S:
        return recovery.folded(fold, stream, state, (event,), version - 1)

    after = untouched(what, state, evolve)
    alike(what, after, evolve())
    return after


def untouched(what: str, state: object, call: Callable[[], R]) -> R:
    """Return what `call` returns; `ImpureError` if `state` is another afterwards."""
    before = copy.deepcopy(state)
    can_tell = before == state
    try:
        return call()
    finally:
        if can_tell and before != state:
            raise ImpureError(
                f"{what} changed the state it was given; return a new one:\n"
                f"{differences(before, state, 'before', 'after')}",
            )


def alike(what: str, one: object, other: object) -> None:
    """Raise `ImpureError` if the same call has led to two results."""
    if one != other and copy.deepcopy(one) == one:
        raise ImpureError(
            f"{what} came out in two ways; time and chance are the context's:\n"
            f"{differences(one, other, 'once', 'again')}",
        )


def shown(value: Any) -> str:
    """Name a value in the head of a message."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."
