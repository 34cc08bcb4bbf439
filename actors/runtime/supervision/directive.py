"""What a supervisor does about a failure, by the class of the exception."""

from collections.abc import Mapping
from typing import Literal

from ..errors import UnrecoverableError
from .backoff import Backoff

Directive = Literal["restart", "stop", "escalate", "resume"] | Backoff
"""Restart (after the child's own backoff, if it has one), restart after this
`Backoff`, stop it for good, fail the supervisor itself, or go on with the same
instance. An actor that owns a stream is never resumed: it is restarted, because
only its log says what its state is."""

Directives = Mapping[type[Exception], Directive]
"""A directive per class of exception; the nearest class in the MRO counts, and
what is not listed is restarted, or stopped where a restart would fail in the same way
(`UnrecoverableError`)."""


def directive_for(directives: Directives, error: BaseException) -> Directive:
    """Return the directive for `error`.

    What is not listed is restarted, unless that would fail in the same way.
    """
    if directives:
        for kind in type(error).__mro__:
            if kind in directives:
                return directives[kind]
    return "stop" if isinstance(error, UnrecoverableError) else "restart"
