"""What an error means for trying again: its class, and how long to wait at least."""

from collections.abc import Callable, Iterator
from typing import Literal, get_args

import msgspec

from ...events import DramaturgError
from ..answers import http_status, retry_after_s
from ..breakers.errors import BreakerOpenError
from ..limits.errors import LimitReachedError

ErrorClass = Literal[
    "breaker_open",
    "connection",
    "timeout",
    "throttled",
    "server",
    "transient",
    "validation",
    "rejected",
    "permanent",
    "unknown",
]
"""Throttled is HTTP 429 or a limit of our own, server 500, 502, 503 and 504, rejected any other 4xx or 5xx."""
ERROR_CLASSES: tuple[ErrorClass, ...] = get_args(ErrorClass)
SERVER_STATUSES = frozenset((500, 502, 503, 504))
CAUSES_MAX = 8
"""How far down a chain of causes an answer is looked for."""


class TransientError(DramaturgError):
    """Raise it for a failure that may be gone at the next try."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class InvalidInputError(DramaturgError):
    """Raise it for input that no try will ever accept; a person has to look at it."""


class PermanentError(DramaturgError):
    """Raise it for a failure that trying again cannot cure."""


class Failure(msgspec.Struct, frozen=True, gc=False):
    """An error as it stands in events: plain, and enough to decide on."""

    error_class: ErrorClass
    error: str
    """The exception's class."""
    message: str = ""
    status: int | None = None
    """The HTTP status, if there was one."""
    retry_after_s: float | None = None
    """How long the other side asked to be left alone."""


Predicate = Callable[[BaseException], bool]
Rule = type[BaseException] | tuple[type[BaseException], ...] | Predicate

DEFAULT_RULES: tuple[tuple[ErrorClass, Rule], ...] = (
    ("breaker_open", BreakerOpenError),
    ("throttled", LimitReachedError),
    ("transient", TransientError),
    ("validation", (InvalidInputError, msgspec.ValidationError)),
    ("permanent", PermanentError),
    ("timeout", TimeoutError),
    ("connection", ConnectionError),
)
"""Tried in order, after the caller's own rules and before the HTTP status."""
OF_CLIENTS: dict[tuple[str, str], ErrorClass] = {
    ("aiohttp", "ClientConnectionError"): "connection",
    ("httpx", "NetworkError"): "connection",
    ("httpx", "RemoteProtocolError"): "connection",
    ("httpx", "TimeoutException"): "timeout",
}
"""Errors of clients that are none of Python's own, by package and class."""


class Classifier:
    """Finds the class of an error.

    `rules` are pairs of a class and exception types or a predicate; the first
    that holds decides, before the defaults. An HTTP status and `Retry-After` are
    found on the exception or its `response`, under the names that common clients
    use. When neither tells, the causes of the error are asked.
    """

    def __init__(
        self,
        *rules: tuple[ErrorClass, Rule],
        message_max: int = 500,
    ) -> None:
        self._rules = (*rules, *DEFAULT_RULES)
        self._message_max = message_max

    def classify(self, error: BaseException, now_us: int | None = None) -> Failure:
        """Tell what `error` is; `now_us` is the wall time, for `Retry-After` dates."""
        status = http_status(error)
        return Failure(
            error_class=self._class_of(error),
            error=type(error).__name__,
            message=str(error)[: self._message_max],
            status=status,
            retry_after_s=retry_after_s(error, now_us),
        )

    def _class_of(self, error: BaseException) -> ErrorClass:
        for link in _chain(error):
            for error_class, rule in self._rules:
                if _holds(rule, link):
                    return error_class
            status = http_status(link)
            if status is not None:
                return class_of_status(status)
            for cls in type(link).__mro__:
                package = cls.__module__.partition(".")[0]
                found = OF_CLIENTS.get((package, cls.__name__))
                if found is not None:
                    return found
        return "unknown"


def class_of_status(status: int) -> ErrorClass:
    """Tell the class of an HTTP status that is an error."""
    if status == 429:
        return "throttled"
    return "server" if status in SERVER_STATUSES else "rejected"


def failure_of(response: object) -> Failure | None:
    """Tell whether a response is a failure that may be gone at the next try.

    For clients that return what others raise: httpx, aiohttp, and any object with a
    `status_code`, `status` or `code`. A 4xx other than 429 is an answer.
    """
    status = http_status(response)
    if status is None or class_of_status(status) == "rejected":
        return None
    return Failure(
        class_of_status(status),
        f"HTTP {status}",
        status=status,
        retry_after_s=retry_after_s(response),
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(CAUSES_MAX):
        if link is None:
            return
        yield link
        link = link.__cause__


def _holds(rule: Rule, error: BaseException) -> bool:
    if isinstance(rule, type | tuple):
        return isinstance(error, rule)
    return rule(error)
